"""Validation before the first step, which runs that start as the base share."""

from pathlib import Path

import pytest

import small
from tuneoff.spec import RunSpec, expand
from tuneoff.training import run, train_run


@pytest.fixture
def validations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods that had the validation split answered, in order, by a process that knows nothing yet."""
    monkeypatch.setattr(run, "_UNTOUCHED", {})
    scored, seen = run.Prepared.scores, []

    def noting(prepared, split, answers):
        if split == "validation":
            seen.append(prepared.spec.method_name)
        return scored(prepared, split, answers)

    monkeypatch.setattr(run.Prepared, "scores", noting)
    return seen


def first_point(spec: RunSpec, folder: Path) -> dict[str, float] | None:
    folder.mkdir()
    points = []
    train_run(spec, folder, on_point=points.append)
    assert points[0].step == 0
    return points[0].scores


def test_runs_that_start_as_the_base_are_validated_once_before_their_first_step(tmp_path, validations):
    methods = ["methods.full={kind: full}", "methods.prefix={kind: prefix}"]
    study = small.spec(tmp_path, [*methods, "training.max_steps=2", "training.eval_steps=2"])
    runs = {spec.method_name: spec for spec in expand(study)}
    names = ("lora", "full", "zero_shot", "prefix")
    points = [first_point(runs[name], tmp_path / name) for name in names]
    assert validations == ["lora", "lora", "full", "prefix", "prefix"]
    assert points[0] == points[1] == points[2] != points[3]


def test_another_task_or_batch_size_is_validated_anew(tmp_path, validations):
    spec = next(run for run in expand(small.spec(tmp_path)) if run.method_name == "zero_shot")
    less = spec.model_copy(update={"task": spec.task.model_copy(update={"max_eval_samples": 2})})
    batches = spec.training.model_copy(update={"per_device_eval_batch_size": 3})
    smaller = spec.model_copy(update={"training": batches})
    for number, one in enumerate((spec, less, smaller, spec)):
        first_point(one, tmp_path / str(number))
    assert len(validations) == 3
