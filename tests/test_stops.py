"""A study that is stopped or killed in the midst of a run goes on in the midst of that run."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from helpers import small
from helpers.command_line import tuneoff
from helpers.forking import forked_command
from tuneoff.cli.stops import seconds_of
from tuneoff.errors import InputError
from tuneoff.results import StudyFolder, read_records

STEPS = 120
OVERRIDES = [
    "methods={lora: {kind: lora, rank: 2, dropout: 0.1}}",
    "ablations={}",
    "train_sizes=[full]",
    f"training={{max_steps: {STEPS}, eval_steps: 60, per_device_train_batch_size: 4, save_steps: 10}}",
]


def arguments(folder: Path, out: str, *options: str) -> list[str]:
    overrides = [part for one in OVERRIDES for part in ("--set", one)]
    return ["run", str(small.study(folder)), "--out", str(folder / out), *overrides, *options]


def results(folder: Path) -> tuple[dict[str, Any], str, bytes]:
    """Return what is in the record of the one run, its curve and its weights."""
    (record,) = read_records(folder)
    run = StudyFolder(folder).run(record.run_id)
    weights = run.adapter / "adapter.safetensors"
    assert not run.checkpoint.exists()
    told = record.model_dump(exclude={"timings", "run_id", "spec"})  # with the paths of the data
    return told, run.curve.read_text(encoding="utf-8"), weights.read_bytes()


def stopped(command: Sequence[str], folder: Path, stop: Callable[[int], None] | None) -> tuple[int, str]:
    """Run a command, and stop it once the run has a checkpoint; return its code and what it said."""
    process = forked_command(command, folder / "out.txt", folder / "err.txt")
    assert process.pid is not None
    while stop and process.is_alive() and not list(folder.glob("out/runs/*/checkpoint.safetensors")):
        time.sleep(0.005)
    if stop:
        stop(process.pid)
    process.join(timeout=120)
    assert process.exitcode is not None
    said = "".join((folder / name).read_text(encoding="utf-8") for name in ("out.txt", "err.txt"))
    return process.exitcode, said


def terminate(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


def kill(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert tuneoff(*arguments(folder, "out")).code == 0
    return results(folder / "out")


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("executor", "stop", "code", "message"),
    [
        ("inline", terminate, 143, "Terminated. Run the same command again to resume."),
        ("process", terminate, 143, "Terminated. Run the same command again to resume."),
        ("inline", kill, -signal.SIGKILL, ""),
        ("inline", None, 124, "Stopped at the deadline. Run the same command again to resume."),
    ],
    ids=["SIGTERM", "SIGTERM with workers", "SIGKILL", "deadline"],
)
def test_a_stopped_run_ends_as_if_it_had_not_been(
    executor: str,
    stop: Callable[[int], None] | None,
    code: int,
    message: str,
    tmp_path: Path,
    undisturbed: tuple[dict[str, Any], str, bytes],
) -> None:
    options = (
        ["--executor", executor] if stop else ["--deadline", "4s", "--set", f"training.max_steps={10**6}"]
    )
    found, said = stopped(arguments(tmp_path, "out", *options), tmp_path, stop)
    assert (found, message in said, "Traceback" in said) == (code, True, False), said
    if stop is None:
        return
    (checkpoint,) = tmp_path.glob("out/runs/*/checkpoint.safetensors")
    assert checkpoint.exists()
    assert tuneoff(*arguments(tmp_path, "out")).code == 0
    assert results(tmp_path / "out") == undisturbed


@pytest.mark.parametrize(
    ("time", "seconds"), [("3h50m", 13_800), ("45m", 2_700), ("90s", 90), ("1h1s", 3_601)]
)
def test_a_deadline_is_in_hours_minutes_and_seconds(time: str, seconds: float) -> None:
    assert seconds_of(time) == pytest.approx(seconds)


@pytest.mark.parametrize("time", ["", "3", "0m", "3h50", "-5m", "5m3h", "99999999999h"])
def test_what_is_no_time_is_refused(time: str) -> None:
    with pytest.raises(InputError, match="--deadline must be a time such as 3h50m"):
        seconds_of(time)
