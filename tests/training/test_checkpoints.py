"""A run that was stopped goes on from its checkpoint, and ends as the run that was not stopped."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers import small
from helpers.models import tiny
from tuneoff.methods import attach
from tuneoff.methods.lora import LoraAdapter
from tuneoff.results import CurvePoint, RunFolder, RunRecord
from tuneoff.spec import LoraSpec, RunSpec, expand
from tuneoff.training import Session, train_run
from tuneoff.training.checkpoints import FileCheckpoints, State

METHODS = {
    "lora": "{kind: lora, rank: 2, dropout: 0.2}",
    "full": "{kind: full, optim: adafactor, scale_parameter: true, learning_rate: 0.01}",
    "prefix": "{kind: prefix, length: 3, projection: 8}",
    "prompt": "{kind: prompt, length: 3, optim: adafactor, learning_rate: 0.3}",
    "adalora": "{kind: adalora, rank: 2, initial_rank: 4, warmup: 0.2, final: 0.3, interval: 1}",
    "stack": "{kind: stack, parts: [{kind: lora, rank: 2, dropout: 0.1}, {kind: prefix, length: 2}]}",
    "vera": "{kind: vera, rank: 4}",
}
STEPS = 9
TRAINING = {
    "plain": "{max_steps: 9, per_device_train_batch_size: 4, eval_steps: 4, logging_steps: 3}",
    "accumulating": "{num_train_epochs: 3, per_device_train_batch_size: 4, gradient_accumulation_steps: 2, "
    "eval_steps: 3, logging_steps: 2, lr_scheduler_type: cosine, warmup_ratio: 0.3}",
    "of the last step": "{max_steps: 9, per_device_train_batch_size: 4, eval_steps: 5, logging_steps: 4, "
    "load_best_model_at_end: false, dtype: bfloat16}",
}


def run_of(folder: Path, method: str, training: str) -> RunSpec:
    overrides = [f"methods={{tuned: {method}}}", "ablations={}", "train_sizes=[full]", f"training={training}"]
    (run,) = expand(small.spec(folder, overrides))
    return run


def interrupted_at(step: int) -> Callable[[CurvePoint], None]:
    """Return a function that presses Ctrl-C at the first point from this step on."""

    def interrupt(point: CurvePoint) -> None:
        if point.step >= step:
            signal.raise_signal(signal.SIGINT)

    return interrupt


def results(folder: Path, record: RunRecord) -> dict[str, Any]:
    """Return all that a run has left but its times."""
    tensors = load_file(folder / "adapter" / "adapter.safetensors")
    return {
        "record": record.model_dump(exclude={"timings"}),
        "curve": RunFolder(folder).curve.read_text(encoding="utf-8"),
        "weights": {name: tensor.numpy().tobytes() for name, tensor in tensors.items()},
        "files": sorted(path.name for path in folder.iterdir()),
    }


def finished(run: RunSpec, folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    record = train_run(run, folder, session=Session())
    assert record.state == "complete", record.failure
    return results(folder, record)


CASES = [(method, "plain") for method in METHODS]
CASES += [("lora", "accumulating"), ("stack", "accumulating"), ("full", "of the last step")]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "training"), CASES)
def test_wherever_it_is_stopped_it_ends_as_if_it_had_not_been(
    method: str, training: str, tmp_path: Path
) -> None:
    run = run_of(tmp_path, METHODS[method], TRAINING[training])
    expected = finished(run, tmp_path / "whole")
    # after an evaluation, between two of them, and at the end, when the last one has not been done
    for stop in (4, 6, STEPS):
        folder = tmp_path / f"stopped{stop}"
        folder.mkdir()
        with pytest.raises(KeyboardInterrupt):
            train_run(run, folder, session=Session(), on_point=interrupted_at(stop))
        assert RunFolder(folder).checkpoint.exists()
        assert finished(run, folder) == expected


def test_in_the_first_evaluation_there_is_nothing_to_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    run = run_of(tmp_path, METHODS["lora"], TRAINING["plain"])
    (tmp_path / "run").mkdir()
    monkeypatch.setattr("tuneoff.training.decode.Decoder.answers", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_run(run, tmp_path / "run", session=Session())
    assert not RunFolder(tmp_path / "run").checkpoint.exists()


class Killed(BaseException):
    """The process ends here: nothing is written any more."""


def killed_at(step: int) -> Callable[[CurvePoint], None]:
    def kill(point: CurvePoint) -> None:
        if point.step == step:
            raise Killed

    return kill


@pytest.fixture
def killed(tmp_path: Path) -> tuple[RunSpec, RunFolder]:
    """A run that was killed at step 7, and has a checkpoint of step 6."""
    training = TRAINING["plain"].replace("logging_steps: 3", "logging_steps: 1, save_steps: 3")
    run = run_of(tmp_path, METHODS["lora"], training)
    folder = RunFolder(tmp_path / "killed")
    folder.path.mkdir()
    with pytest.raises(Killed):
        train_run(run, folder.path, session=Session(), on_point=killed_at(7))
    return run, folder


def test_after_a_kill_it_goes_on_from_the_last_checkpoint(
    killed: tuple[RunSpec, RunFolder], tmp_path: Path
) -> None:
    run, folder = killed
    steps: list[int] = []
    record = train_run(run, folder.path, session=Session(), on_point=lambda point: steps.append(point.step))
    assert steps[0] == 7
    assert results(folder.path, record) == finished(run, tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("change", ["of other data", "of another rate", "cut"])
def test_a_checkpoint_that_does_not_fit_is_not_used(
    killed: tuple[RunSpec, RunFolder], tmp_path: Path, change: str
) -> None:
    run, folder = killed
    if change == "cut":
        folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:-100])
    elif change == "of other data":
        rows = (tmp_path / "train.csv").read_text(encoding="utf-8")
        (tmp_path / "train.csv").write_text(rows.replace("train 3 was", "train 3 is"), encoding="utf-8")
    else:
        method = run.method.model_copy(update={"learning_rate": 1e-4})
        run = run.model_copy(update={"method": method})
    steps: list[int] = []
    record = train_run(run, folder.path, session=Session(), on_point=lambda point: steps.append(point.step))
    assert steps[0] == 0
    assert results(folder.path, record) == finished(run, tmp_path / "whole")


@pytest.mark.slow
def test_where_no_checkpoint_can_be_written_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    training = TRAINING["plain"].replace("logging_steps: 3", "save_steps: 2")
    run = run_of(tmp_path, METHODS["lora"], training)
    expected = finished(run, tmp_path / "whole")
    monkeypatch.setattr("tuneoff.training.checkpoints.save_file", full)
    assert finished(run, tmp_path / "full") == expected


class Counted:
    """A training that has nothing to save but its number of steps."""

    step = 0

    def saved(self) -> State:
        return State({}, {"step": self.step})

    def restore(self, state: State) -> None:
        self.step = state.numbers["step"]


@pytest.mark.parametrize(("save_steps", "expected"), [(None, [6, 12]), (5, [5, 10])])
def test_there_is_a_checkpoint_every_ten_minutes_or_so_many_steps(
    save_steps: int | None, expected: list[int], tmp_path: Path
) -> None:
    folder, minutes, training = RunFolder(tmp_path), [0.0], Counted()
    folder.curve.touch()
    checkpoints = FileCheckpoints(folder, {}, save_steps=save_steps, clock=lambda: 60 * minutes[0])
    written: list[int] = []
    for training.step in range(1, 14):
        minutes[0] += 1.7
        checkpoints.save_if_due(training)
        if folder.checkpoint.exists():
            restored = Counted()
            FileCheckpoints(folder, {}).restore(restored)
            written.append(restored.step)
            folder.checkpoint.unlink()
    assert written == expected


def test_a_method_that_changes_after_a_step_and_does_not_say_how_has_no_checkpoints() -> None:
    class Changing(LoraAdapter):
        def after_step(self, step: int, steps: int) -> None:
            """Change."""

    generator = torch.Generator().manual_seed(0)
    adapted = attach(tiny("flan"), LoraSpec(kind="lora"), generator=generator, tokenizer=None)
    assert adapted.training_state() == {}
    adapted.parts[0].__class__ = Changing
    assert adapted.training_state() is None
