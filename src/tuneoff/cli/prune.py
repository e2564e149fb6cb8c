"""What is left of a LoRA that was cut, on a terminal."""

from rich.console import Console
from rich.table import Table

from tuneoff.methods import Pruned
from tuneoff.reporting.formatting import byte_size, percent


def print_pruned(found: Pruned, console: Console) -> None:
    """Print the rank of each layer before and after, and what is stored."""
    table = Table("layer", box=None, pad_edge=False)
    for name in ("rank", "kept"):
        table.add_column(name, justify="right")
    for layer, (before, after) in found.ranks.items():
        table.add_row(layer, str(before), str(after))
    console.print(table)
    left_out = sum(not after for _, after in found.ranks.values())
    ranks, kept = (sum(column) for column in zip(*found.ranks.values(), strict=True))
    console.print(f"kept {kept:,} of {ranks:,} ranks; of {len(found.ranks)} layers, {left_out} are left out")
    share = percent(100 * found.after.parameters / found.before.parameters)
    console.print(
        f"stored: {found.before.parameters:,} parameters ({byte_size(found.before.bytes)}) before, "
        f"{found.after.parameters:,} ({byte_size(found.after.bytes)}) after, {share}%"
    )
    console.print(f"saved: {found.folder.as_posix()}", soft_wrap=True)
