"""Where memory runs out, a run reads its batches in parts, which gives the same gradient."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers import small
from tuneoff.results import RunFolder, read_curve
from tuneoff.spec import RunSpec, expand
from tuneoff.training import Session, loop, train_run

TRAINING = "{max_steps: 6, per_device_train_batch_size: 5, eval_steps: 3, logging_steps: 1, dtype: float32}"


def run_of(folder: Path, *overrides: str) -> RunSpec:
    method = "methods={lora: {kind: lora, rank: 2}}"
    training = [f"training={TRAINING}", "training.dropout={encoder: 0, decoder: 0, attention: 0}"]
    study = small.spec(folder, [method, "ablations={}", "train_sizes=[full]", *training, *overrides])
    (run,) = expand(study)
    return run


def losses(folder: Path) -> list[float]:
    return [point.loss for point in read_curve(RunFolder(folder)) if point.loss is not None]


def room_for(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let memory run out for larger batches in training."""
    collate: Callable[..., Any] = loop.collate

    def limited(batch: list[Any], **options: Any) -> Any:
        if len(batch) > rows:
            raise MemoryError
        return collate(batch, **options)

    monkeypatch.setattr(loop, "collate", limited)


@pytest.mark.slow
def test_where_memory_runs_out_smaller_batches_make_the_same_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(tmp_path)
    folders = [tmp_path / "whole", tmp_path / "parts"]
    for folder in folders:
        folder.mkdir()
    whole = train_run(run, folders[0], session=Session())
    room_for(1, monkeypatch)
    parts = train_run(run, folders[1], session=Session())
    assert (whole.state, whole.batch_parts) == ("complete", 1)
    assert (parts.state, parts.batch_parts) == ("complete", 4)
    assert losses(folders[1]) == pytest.approx(losses(folders[0]), rel=1e-4)
    assert parts.scores == pytest.approx(whole.scores, rel=1e-4)
    assert sorted(path.name for path in folders[1].iterdir()) == sorted(
        path.name for path in folders[0].iterdir()
    )


def test_where_one_row_is_too_much_the_run_is_out_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_for(0, monkeypatch)
    (tmp_path / "run").mkdir()
    record = train_run(run_of(tmp_path), tmp_path / "run", session=Session())
    assert record.state == "out_of_memory"
    assert RunFolder(tmp_path / "run").error_log.exists()
