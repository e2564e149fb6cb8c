"""Cut the LoRA of a run on disk: from its saved method to a smaller one."""

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from tuneoff.errors import StoreError
from tuneoff.methods import checkpoint, lora_rank
from tuneoff.results import RunFolder, find_run
from tuneoff.results.format import read_json
from tuneoff.results.layout import pruned_folder
from tuneoff.results.record import RunRecord


class Stored(NamedTuple):
    """What a saved method takes."""

    parameters: int
    bytes: int
    """Of its tensors."""


class Pruned(NamedTuple):
    """A run's method with its LoRA cut."""

    folder: Path
    """Where it was saved; `methods.load` opens it."""
    ranks: dict[str, tuple[int, int]]
    """Of each layer, by its name: before and after."""
    before: Stored
    after: Stored


def prune(run: Path, *, keep: float, out: Path | None = None) -> Pruned:
    """Cut the LoRA of a run to a share of its stored parameters, and save the method as it then is.

    `run` is a run's folder, or the study's output folder followed by the run's id. `out` is by default
    `pruned/<run_id>.keep<share>` in the output folder.

    Raises:
        StoreError: there is no such run, it has no LoRA or was not saved, or `out` exists.
        DamagedError: a file of the run is not as it was written.
    """
    folder = find_run(run)
    saved, stored = checkpoint.read(_adapter(folder))
    before = lora_rank.ranks(stored)
    if not before:
        raise StoreError(
            f"only LoRA can be cut to fewer ranks, but the run '{folder.path}' tunes with "
            f"kind: {saved.method.kind}; give a run of kind: lora, or of a stack that has it"
        )
    tensors = lora_rank.cut(stored, keep=keep)
    after = lora_rank.ranks(tensors)
    if not after:
        raise StoreError(
            f"--keep must leave LoRA at least one rank of one layer, but {keep:g} of its "
            f"{_size(stored).parameters:,} parameters is less; keep more"
        )
    place = out or pruned_folder(folder, keep)
    checkpoint.write(place, saved.method, saved.model, tensors)
    ranks = {layer: (rank, after.get(layer, 0)) for layer, rank in before.items()}
    return Pruned(place, ranks, _size(stored), _size(tensors))


def _adapter(folder: RunFolder) -> Path:
    """Return the folder of a run's saved method.

    Raises:
        StoreError: the run has none.
    """
    record, _ = read_json(RunRecord, folder.record)
    if record.state != "complete":
        reason = f"it ended as {record.state.replace('_', ' ')}"
    elif record.spec.method.kind == "none":
        reason = "it trained nothing"
    elif record.spec.training.save_strategy == "no":
        reason = "the study has training.save_strategy: no"
    else:
        return record.weights_folder(folder).adapter
    raise StoreError(
        f"only a saved method can be cut, but the run '{folder.path}' has none: {reason}; give another run"
    )


def _size(tensors: dict[str, Tensor]) -> Stored:
    return Stored(
        sum(tensor.numel() for tensor in tensors.values()), sum(tensor.nbytes for tensor in tensors.values())
    )
