"""Several processes that train each run together."""

import subprocess
import sys
import time
from collections.abc import Iterable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers import asking, small
from helpers.command_line import tuneoff
from helpers.forking import launched_together
from helpers.trials import three_trials
from tuneoff.cli import main
from tuneoff.errors import InputError
from tuneoff.results import StudyFolder, read_curve, read_records
from tuneoff.training import parallel

pytestmark = [pytest.mark.slow, pytest.mark.subprocess]
METHODS = (
    "methods={full: {kind: full}, lora: {kind: lora, rank: 2}, adalora: {kind: adalora, rank: 2}, "
    "prompt: {kind: prompt, length: 3}}"
)
TRAINING = (
    "training={max_steps: 7, eval_steps: 3, logging_steps: 1, per_device_train_batch_size: 3, "
    "per_device_eval_batch_size: 2, dtype: float32, dropout: {encoder: 0.0, decoder: 0.0, attention: 0.0}}"
)
"""Two processes share batches of 3, and of 8 rows a last one of 2; no dropout, which each draws alone."""
STUDY = [METHODS, TRAINING, "ablations={}", "train_sizes=[8]"]


def arguments(folder: Path, out: str, *overrides: str) -> list[str]:
    changes = [part for one in (*STUDY, *overrides) for part in ("--set", one)]
    return ["run", str(small.study(folder)), "--out", str(folder / out), *changes]


def exit_codes(processes: Iterable[BaseProcess]) -> list[int | None]:
    for process in processes:
        process.join(timeout=240)
    return [process.exitcode for process in processes]


def said(folder: Path) -> str:
    return (folder / "out.txt").read_text(encoding="utf-8")


def outcomes(folder: Path) -> dict[str, dict[str, Any]]:
    """What each run has computed: losses, norms and scores along the way, and the test's scores."""
    return {
        record.run_id: {
            "losses": [point.loss for point in curve if point.loss is not None],
            "norms": [point.grad_norm for point in curve if point.grad_norm is not None],
            "validation": [point.scores["eval_loss"] for point in curve if point.scores],
            "test": record.scores,
        }
        for record in read_records(folder)
        if (curve := read_curve(StudyFolder(folder).run(record.run_id)))
    }


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launcher, asking.PROGRAM, *arguments(tmp_path, "two")]
    with (tmp_path / "out.txt").open("wb") as file, asking.forks_of("tuneoff", tmp_path / "socket"):
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        assert tuneoff(*arguments(tmp_path, "one")).code == 0
        assert process.wait(timeout=240) == 0, said(tmp_path)
    one, two = outcomes(tmp_path / "one"), outcomes(tmp_path / "two")
    assert one.keys() == two.keys()
    assert len(one) == 4
    for run_id, alone in one.items():
        for name in ("losses", "norms", "validation"):
            assert two[run_id][name] == pytest.approx(alone[name], rel=2e-4), (run_id, name)
        assert two[run_id]["test"] == pytest.approx(alone["test"], rel=2e-4)
    assert {record.environment.processes for record in read_records(tmp_path / "two")} == {2}  # type: ignore[union-attr]
    assert said(tmp_path).count("report: ") == 1


def test_processes_that_are_stopped_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    changes = ["methods={lora: {kind: lora, rank: 2}}", "training.max_steps=60", "training.save_steps=5"]
    assert tuneoff(*arguments(tmp_path, "one", *changes)).code == 0
    two = partial(launched_together, main, arguments(tmp_path, "two", *changes), out=tmp_path / "out.txt")
    processes = two()
    while processes[0].is_alive() and not list(tmp_path.glob("two/runs/*/checkpoint.safetensors")):
        time.sleep(0.05)
    for process in processes:
        process.terminate()
    assert exit_codes(processes) == [143, 1], said(tmp_path)
    assert list(tmp_path.glob("two/runs/*/checkpoint.safetensors")), said(tmp_path)
    assert exit_codes(two()) == [0, 0], said(tmp_path)
    (one,), (other,) = outcomes(tmp_path / "one").values(), outcomes(tmp_path / "two").values()
    assert len(other["losses"]) == 60
    assert other["losses"][:20] == pytest.approx(one["losses"][:20], rel=2e-4)
    assert other["losses"][-20:] == pytest.approx(one["losses"][-20:], rel=0.05)


def test_a_trial_that_is_pruned_ends_in_all_processes_and_an_error_of_one_alone_ends_all(
    tmp_path: Path,
) -> None:
    processes = launched_together(three_trials, tmp_path, out=tmp_path / "out.txt")
    assert 0 not in exit_codes(processes)
    states = [line for line in said(tmp_path).splitlines() if line.startswith("state: ")]
    assert states == ["state: cancelled", "state: complete"]
    assert "ended in one of 2 processes that train together: too large for the second" in said(tmp_path)


def test_more_processes_than_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    with pytest.raises(InputError, match="this machine has 2 and more processes were launched"):
        parallel.count_processes()


def test_launched_processes_take_no_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "count_processes", lambda: 2)
    outcome = tuneoff(*arguments(tmp_path, "two"), "--executor", "process")
    assert outcome.code == 2
    assert outcome.err.startswith("error: processes that are launched together do each run together")
