"""The command line: what each command leaves, says and returns."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pyarrow.parquet
import pytest
import yaml

from helpers import small
from helpers.command_line import Outcome, contents, tuneoff
from helpers.forking import forked_command
from tuneoff.errors import is_memory_error
from tuneoff.results import read_records, read_study
from tuneoff.spec import dump_study, expand, packaged_studies


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished study that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


_TELLING = """
import atexit, gc, sys
from tuneoff.cli import main

@atexit.register
def tell():
    heavy = {"torch", "transformers", "peft", "datasets", "ray"} & set(sys.modules)
    print("heavy:", *sorted(heavy), file=sys.stderr)
    if not gc.isenabled():
        print("garbage collection is off", file=sys.stderr)

main()
"""


def _fresh(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """The command line in a process of its own; it tells at last which heavy packages it has imported.

    And whether it has left garbage collection off, as it is while they are imported.
    """
    command = [sys.executable, "-c", _TELLING, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_run_leaves_the_study_its_runs_and_a_report(finished: Path) -> None:
    assert (finished / "study.yaml").read_text(encoding="utf-8").endswith(dump_study(read_study(finished)))
    runs = expand(read_study(finished))
    assert {path.name for path in (finished / "runs").iterdir()} == {run.run_id for run in runs}
    for run in runs:
        files = set(contents(finished / "runs" / run.run_id))
        adapter = {"adapter", "adapter/adapter.json", "adapter/adapter.safetensors"}
        always = {"record.json", "curve.jsonl", "predictions.parquet"}
        assert files == always | (adapter if run.method_name != "zero_shot" else set())
        rows = pyarrow.parquet.read_table(finished / "runs" / run.run_id / "predictions.parquet")
        assert len(rows) == small.ROWS["test"]
    report = {path.name for path in (finished / "report").iterdir()}
    assert report == {
        "report.md",
        "report.html",
        "summary.csv",
        "runs.csv",
        "decision.json",
        "health.json",
        "plots",
    }
    assert list((finished / "report" / "plots").glob("*.png"))


def test_a_run_goes_to_results_by_default_and_the_same_again_does_nothing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "results" / "small"))
    before = contents(folder / "runs")
    monkeypatch.chdir(tmp_path)
    outcome = tuneoff("run", finished / "study.yaml")
    assert (outcome.code, outcome.err) == (0, "")
    assert "5 of 5 runs are already done" in outcome.out
    assert "report: results/small/report/report.html" in outcome.out
    assert contents(folder / "runs") == before


@pytest.mark.slow
def test_a_diverged_run_is_reported_and_returns_one(tmp_path: Path) -> None:
    overrides = ["methods={full: {kind: full, learning_rate: 1e30}}", "ablations={}", "train_sizes=[8]"]
    command = ["run", small.study(tmp_path), "--out", tmp_path / "out"]
    outcome = tuneoff(*command, *(part for override in overrides for part in ("--set", override)))
    assert (outcome.code, outcome.err) == (1, "")
    assert re.search(r"films\.full\.n8\.s0-\w+: diverged: at step \d+ the loss is", outcome.out)
    assert (tmp_path / "out" / "report" / "report.md").is_file()
    assert tuneoff("status", tmp_path / "out") == (0, "0 of 1 runs complete\n1 diverged\n", "")
    assert tuneoff("report", tmp_path / "out").code == 1


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_report_is_made_again_without_torch(folder: Path) -> None:
    shutil.rmtree(folder / "report")
    done = _fresh("report", folder)
    assert (done.returncode, done.stderr) == (0, "heavy:\n")
    assert f"report: {(folder / 'report' / 'report.html').as_posix()}" in done.stdout
    assert (folder / "report" / "summary.csv").is_file()
    drawn = [path.read_bytes() for path in (folder / "report" / "plots").glob("*.png")]
    assert drawn and all(picture.startswith(b"\x89PNG") for picture in drawn)


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--help"], "fine-tuning"), (["run", "--help"], "STUDY"), (["studies"], "quickstart")],
)
def test_help_and_lists_come_without_heavy_imports(arguments: list[str], expected: str) -> None:
    done = _fresh(*arguments)
    assert (done.returncode, done.stderr) == (0, "heavy:\n")
    assert expected in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rn"], "No such command 'rn'. Did you mean 'run'? See `tuneoff --help`."),
        (["run"], "Missing argument 'STUDY'. See `tuneoff run --help`."),
        (["run", "quickstart", "--out"], "Option '--out' requires an argument. See `tuneoff --help`."),
    ],
)
def test_a_command_that_cannot_be_understood_ends_in_one_message(arguments: list[str], message: str) -> None:
    assert tuneoff(*arguments) == (2, "", f"error: {message}\n")


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    return fail


def test_an_interrupted_plan_says_so_and_returns_130(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneoff.spec.load_study", raising(KeyboardInterrupt()))
    outcome = tuneoff("plan", "quickstart")
    assert (outcome.code, outcome.err) == (130, "")
    assert outcome.out.startswith("\nInterrupted.")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), ImportError("libsqlite3.so.0: failed to map segment from shared object")],
    ids=["allocation", "library"],
)
def test_a_lack_of_memory_is_one_message(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneoff.spec.load_study", raising(error))
    outcome = tuneoff("plan", "quickstart")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: out of memory; free memory")


def test_a_library_that_may_not_be_loaded_is_no_lack_of_memory() -> None:
    assert not is_memory_error(
        ImportError("a.so: failed to map segment from shared object: Operation not permitted")
    )
    assert not is_memory_error(ImportError("No module named 'a'"))


@pytest.mark.subprocess
def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "tuneoff", "studies"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == tuneoff("studies").out


def test_studies_lists_the_packaged_ones_with_their_runs() -> None:
    lines = tuneoff("studies").out.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(packaged_studies())
    assert "flan-t5-small: google/flan-t5-small on sst2, samsum; 52 runs" in lines


def test_status_counts_the_runs_by_state(folder: Path) -> None:
    assert tuneoff("status", folder) == (0, "5 of 5 runs complete\n", "")
    failed, missing, *_ = read_records(folder)
    path = folder / "runs" / failed.run_id / "record.json"
    record = failed.model_copy(update={"state": "out_of_memory", "scores": {}})
    path.write_text(record.model_dump_json(), encoding="utf-8")
    shutil.rmtree(folder / "runs" / missing.run_id)
    assert tuneoff("status", folder) == (0, "3 of 5 runs complete\n1 out of memory\n", "")


@pytest.mark.slow
def test_a_plan_lists_every_run_with_its_parameters_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    outcome = tuneoff("plan", small.study(tmp_path), "--set", "ablations={}", "--set", "train_sizes=[8]")
    assert (outcome.code, outcome.err) == (0, "")
    lora = next(line for line in outcome.out.splitlines() if "films.lora.n8.s0" in line)
    # builtin:random has 3 encoder and 2 decoder layers, q and v of 128 x 96; rank r adds r (128 + 96) to each
    blocks = 3 + 2 * 2
    assert lora.count(f"{blocks * 2 * 2 * (128 + 96):,}") == 3
    assert "films.zero_shot.nfull.s0" in outcome.out
    assert "2 runs, about " in outcome.out
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".yaml"}


@pytest.mark.slow
def test_an_override_on_the_command_line_is_in_the_resolved_study(folder: Path) -> None:
    outcome = tuneoff("run", folder / "study.yaml", "--out", folder, "--set", "train_sizes=[8]")
    assert outcome.code == 0
    assert yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))["train_sizes"] == [8]
    assert tuneoff("status", folder).out.splitlines() == [
        "3 of 3 runs complete",
        "2 other results in the folder belong to no run of this study",
    ]


def _in_training(folder: Path, process: psutil.Process) -> bool:
    return bool(list(folder.glob("out/runs/films.lora.*/curve.jsonl")))


def _starting_workers(folder: Path, process: psutil.Process) -> bool:
    # by spawn or, where there is one, by the server that they are forked from
    children = process.children()
    return any("spawn_main" in " ".join(child.cmdline()) or child.children() for child in children)


def _starting_server(folder: Path, process: psutil.Process) -> bool:
    return bool(process.children())


def _long_run(folder: Path, *options: str) -> list[str]:
    """The arguments of a run that takes longer than anyone waits."""
    steps = ("training={max_steps: 1000000, eval_steps: 1000000}", "training.logging_steps=1")
    overrides = [part for step in steps for part in ("--set", step)]
    return ["run", str(small.study(folder)), "--out", str(folder / "out"), *overrides, *options]


def _wait(folder: Path, process: psutil.Process, when: Callable[[Path, psutil.Process], bool]) -> None:
    """Wait for a moment of a run, or its end."""
    until = time.monotonic() + 120
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and not when(folder, process):
        assert time.monotonic() < until, "the moment has not come"
        time.sleep(0.02)


def _assert_interrupted(folder: Path, ended: Outcome, *, complete: set[str]) -> None:
    assert (ended.code, ended.err) == (130, "")
    assert "Interrupted. Run the same command again to resume." in ended.out
    states = {record.spec.method_name: record.state for record in read_records(folder / "out")}
    assert {name for name, state in states.items() if state == "complete"} == complete
    assert set(states.values()) <= {"complete", "cancelled"}


@contextmanager
def _running_with_workers(
    folder: Path, *options: str, when: Callable[[Path, psutil.Process], bool]
) -> Iterator[BaseProcess]:
    """A long run with worker processes, at a certain moment."""
    arguments = [*_long_run(folder), "--executor", "process", *options]
    process = forked_command(arguments, folder / "out.txt", folder / "err.txt")
    try:
        assert process.pid is not None
        _wait(folder, psutil.Process(process.pid), when)
        yield process
    finally:
        process.kill()
        process.join()


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
def test_ctrl_c_in_training_is_no_traceback_and_what_is_done_is_kept(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    run = [sys.executable, "-c", _TELLING, *_long_run(tmp_path)]
    with subprocess.Popen(run, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        _wait(tmp_path, psutil.Process(process.pid), _in_training)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert err == "heavy: torch transformers\n"  # LoRA needs nothing of PEFT
    _assert_interrupted(tmp_path, Outcome(process.returncode, out, ""), complete={"zero_shot"})


_STARTING = """
import sys
from tuneoff import worker_server
from tuneoff.cli import main

def start():
    print("torch" in sys.modules)
    sys.exit(3)

worker_server.start = start
main()
"""


@pytest.mark.subprocess
def test_the_server_of_workers_is_started_before_what_it_imports_is_imported_here(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _STARTING, *_long_run(tmp_path), "--executor", "process"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "False\n"), done.stderr


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
@pytest.mark.parametrize(
    "when", [_starting_server, _starting_workers], ids=["before they start", "while they start"]
)
def test_ctrl_c_with_workers_is_no_traceback(
    tmp_path: Path, when: Callable[[Path, psutil.Process], bool]
) -> None:
    with _running_with_workers(tmp_path, when=when) as process:
        assert process.pid is not None
        os.killpg(process.pid, signal.SIGINT)
        process.join(timeout=120)
        assert process.exitcode is not None
    told = [(tmp_path / name).read_text(encoding="utf-8") for name in ("out.txt", "err.txt")]
    _assert_interrupted(tmp_path, Outcome(process.exitcode, *told), complete=set())


@pytest.mark.slow
@pytest.mark.subprocess
def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    with _running_with_workers(tmp_path, "--workers", "1", when=_in_training) as process:
        assert process.pid is not None
        workers = psutil.Process(process.pid).children(recursive=True)
        assert workers
        process.kill()
        process.join()
        _, left = psutil.wait_procs(workers, timeout=20)
        for worker in left:
            worker.kill()
    assert left == []
