"""Compare the test scores of the quickstart in bfloat16 and in float32, for equal seeds and rows.

    python benchmarks/bfloat16.py OUT     # about 40 minutes on 2 cores

Both studies are in OUT, and go on there. Where the processor does not multiply bfloat16, which would take a
hundred times as long, its products are emulated: of operands in bfloat16, in float32, and then rounded.
"""

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from tuneoff.cli import main as tuneoff
from tuneoff.results import read_records
from tuneoff.stats.compare import compare, holm
from tuneoff.stats.examples import RunScores, Scores, joint_scores
from tuneoff.stats.judge import read_evidence
from tuneoff.training.precision import resolve_dtype

SHARES = 2
FLASH = "_scaled_dot_product_flash_attention_for_cpu"
PRODUCTS = {"mm": (), "addmm": (), "bmm": (), "baddbmm": (), FLASH: (0,), f"{FLASH}_backward": (0, 1, 2)}
"""torch's operations, and which of several results are of their operands' type."""


def emulate() -> torch.library.Library:
    """Let products of bfloat16 be computed in float32; they are while what is returned is there.

    Raises:
        SystemExit: they differ from torch's own by more than a rounding.
    """
    torch.manual_seed(0)
    left, right = torch.randn(2, 32, 32, dtype=torch.bfloat16)
    own = left @ right
    library = torch.library.Library("aten", "IMPL")
    for name, rounded in PRODUCTS.items():
        library.impl(name, emulated(name, rounded), "CPU", with_keyset=True)
    if not torch.allclose(left @ right, own, rtol=2**-7, atol=2**-7):
        sys.exit("emulated products are not those that torch computes in bfloat16")
    return library


def emulated(name: str, rounded: tuple[int, ...]) -> Any:
    """Return an operation that computes as torch's own does, but bfloat16 in float32."""
    kernel = torch.library.get_kernel(f"aten::{name}", "CPU")

    def compute(keys: Any, *args: Any, **kwargs: Any) -> Any:
        operands = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.Tensor)]
        if not any(one.dtype == torch.bfloat16 for one in operands):
            return kernel.call_boxed(keys, *args, **kwargs)
        widened = {name: widen(one) for name, one in kwargs.items()}
        found = kernel.call_boxed(keys, *map(widen, args), **widened)
        if isinstance(found, torch.Tensor):
            return found.bfloat16()
        return tuple(one.bfloat16() if place in rounded else one for place, one in enumerate(found))

    return compute


def widen(value: Any) -> Any:
    """Return a tensor of bfloat16 in float32, and anything else as it is."""
    is_narrow = isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16
    return value.float() if is_narrow else value


def run(out: Path, dtype: str, seeds: int) -> None:
    """Do the quickstart in a precision, in processes that share the cores."""
    study = [f"training.dtype={dtype}", f"seeds={list(range(seeds))}"]
    changes = [argument for change in study for argument in ("--set", change)]
    command = [sys.executable, __file__, "run", "quickstart", "--out", str(out), *changes]
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // SHARES))}
    shares = [[*command, "--shard", f"{number}/{SHARES}"] for number in range(1, SHARES + 1)]
    processes = [subprocess.Popen(share, env=environment, stdout=subprocess.DEVNULL) for share in shares]
    codes = [process.wait() for process in processes]
    if any(codes):
        sys.exit(f"not all runs in {dtype} are complete; see {out}")


def scores(folder: Path) -> dict[tuple[str, str], Scores]:
    """Return the main test score by seed and row, by task and method."""
    records = read_records(folder)
    by_run = read_evidence(folder, records, ()).scores
    found: dict[tuple[str, str], dict[int, RunScores]] = defaultdict(dict)
    for record in records:
        found[record.spec.task_name, record.spec.method_name][record.spec.seed] = by_run[record.run_id]
    joint = {place: joint_scores(by_seed) for place, by_seed in found.items()}
    return {place: one for place, one in joint.items() if one is not None}


def compared(narrow: Path, wide: Path) -> Iterator[list[object]]:
    """Yield the mean scores of each method, and their difference, which holds for other seeds and rows."""
    low, high = scores(narrow), scores(wide)
    contrasts = {
        place: compare(found.values, high[place].values, seeded=len(found.seeds) > 1)
        for place, found in low.items()
    }
    adjusted = holm([contrast.p_value for contrast in contrasts.values()])
    for (place, contrast), p_adjusted in zip(contrasts.items(), adjusted, strict=True):
        difference = contrast.difference
        yield [
            *place,
            len(low[place].seeds),
            high[place].values.mean(),
            low[place].values.mean(),
            f"{difference.mean:+.3f}",
            f"{difference.low:+.3f} to {difference.high:+.3f}",
            p_adjusted,
        ]


def main() -> None:
    """Do both studies and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    folders = {dtype: options.out / dtype for dtype in ("bfloat16", "float32")}
    for dtype, folder in folders.items():
        run(folder, dtype, options.seeds)
    head = ["task", "method", "seeds", "float32", "bfloat16", "difference", "95% interval", "p (Holm)"]
    print(tabulate(compared(*folders.values()), head, tablefmt="github", floatfmt=".3f"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:  # a share of a study, as `run` starts it
        emulation = None if resolve_dtype("auto", torch.device("cpu")) == "bfloat16" else emulate()
        tuneoff(sys.argv[1:])
    else:
        main()
