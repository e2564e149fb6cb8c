"""A whole study: equal results, resume, the states of a run, and bad input before any work."""

import csv
import os
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import pandas as pd
import psutil
import pyarrow.parquet
import pytest

from helpers import small
from helpers.command_line import contents, tuneoff
from helpers.forking import result_of
from helpers.killing import Killing, killed_in_run, killed_with_whole_batches
from helpers.listening import EventLog
from helpers.sockets import asked_by_study, listening
from tuneoff import api
from tuneoff.errors import DataError, InputError, StudyError
from tuneoff.results import CurvePoint, RunRecord, RunState, read_records, read_study
from tuneoff.spec import RunSpec, dump_study, expand, load_study
from tuneoff.study import (
    Context,
    Event,
    InlineExecutor,
    Job,
    OnEvent,
    PointLogged,
    RunFinished,
    Work,
    run_study,
)
from tuneoff.study.events import ignore
from tuneoff.training import Session, load_backbone, train_run
from tuneoff.training.data import run_data

pytestmark = pytest.mark.slow

J = TypeVar("J")
R = TypeVar("R")


def _run(
    study_file: Path, folder: Path, listener: EventLog, overrides: Sequence[str] = ()
) -> tuple[RunRecord, ...]:
    study = load_study(str(study_file), overrides=overrides)
    run_study(study, folder, executor=InlineExecutor(), on_event=listener)
    return read_records(folder)


def _timeless(records: Sequence[RunRecord]) -> list[dict[str, object]]:
    return [record.model_dump(exclude={"timings"}) for record in records]


def _results(folder: Path) -> dict[str, str]:
    """The digests of all that runs leave besides their records."""
    others = ("record.json",)
    return {path: digest for path, digest in contents(folder / "runs").items() if not path.endswith(others)}


def test_a_second_folder_gets_equal_records_predictions_curves_and_weights(
    finished: Path, tmp_path: Path
) -> None:
    listener = EventLog()
    records = _run(finished.parent / "study.yaml", tmp_path / "out", listener)
    assert _timeless(records) == _timeless(read_records(finished))
    assert _results(tmp_path / "out") == _results(finished)
    assert listener.begun == listener.pending == [record.run_id for record in listener.ended]


class _Recording:
    """Stands for several workers: notes the order in which jobs are handed to them, and does them."""

    in_process = False

    def __init__(self) -> None:
        self.order: list[str] = []
        self.closed = False

    def prepare(self, setup: Callable[[], Session]) -> None:
        self._session = setup()

    def map(self, work: Work[J, R], jobs: Sequence[J], on_event: OnEvent = ignore) -> Generator[R]:
        self.order += [job.spec.run_id for job in jobs if isinstance(job, Job)]
        for job in jobs:
            yield work(job, Context(self._session, on_event))

    def close(self) -> None:
        self.closed = True


def test_several_workers_get_the_runs_as_planned_but_untrained_ones_last(tmp_path: Path) -> None:
    study, executor = small.spec(tmp_path, ["ablations={}", "train_sizes=[8]"]), _Recording()
    run_study(study, tmp_path / "out", executor=executor, on_event=EventLog())
    assert [run_id.split(".")[1] for run_id in executor.order] == ["lora", "zero_shot"]
    assert executor.closed
    assert [run.method_name for run in expand(study)] == ["zero_shot", "lora"]


def test_a_finished_run_is_never_done_again(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "out"))
    before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/**/*")}
    listener = EventLog()
    _run(finished.parent / "study.yaml", folder, listener)
    assert (listener.pending, listener.total, listener.begun) == ([], 5, [])
    assert {path: path.stat().st_mtime_ns for path in folder.glob("runs/**/*")} == before


def test_only_runs_that_a_changed_study_adds_are_done(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "out"))
    listener = EventLog()
    _run(
        finished.parent / "study.yaml",
        folder,
        listener,
        ["ablations.lora_rank.vary.rank=[1, 2, 3]", "train_sizes=[8]"],
    )
    assert [run.partition(".s0")[0] for run in listener.begun] == ["films.lora-rank=3.n8"]
    assert listener.total == 4


def test_an_interrupted_study_is_completed_by_the_same_call(finished: Path, tmp_path: Path) -> None:
    def interrupt(run: RunSpec, point: CurvePoint) -> None:
        if run.method_name == "lora" and point.step == 3:
            raise KeyboardInterrupt

    study, folder = finished.parent / "study.yaml", tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        _run(study, folder, EventLog(interrupt))
    states = {record.spec.method_name: record.state for record in read_records(folder)}
    assert states == {"zero_shot": "complete", "lora": "cancelled"}
    again = EventLog()
    records = _run(study, folder, again)
    assert len(again.pending) == 4
    assert _timeless(records) == _timeless(read_records(finished))
    assert _results(folder) == _results(finished)


@pytest.mark.subprocess
@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_runs_that_kill_their_workers_are_recorded_and_the_others_and_the_report_done(
    finished: Path, tmp_path: Path
) -> None:
    listener, folder = EventLog(), tmp_path / "out"
    study = load_study(str(finished.parent / "study.yaml"))
    run_study(study, folder, executor=Killing(partial(killed_in_run, "films.lora.n")), on_event=listener)
    states = Counter(record.state for record in read_records(folder))
    assert states == Counter(complete=3, out_of_memory=2) == Counter(one.state for one in listener.ended)
    outcome = tuneoff("report", folder)
    assert (outcome.code, outcome.err) == (1, "")
    assert outcome.out.count("out of memory: its worker process was killed by SIGKILL twice") == 2
    assert (folder / "report" / "report.md").is_file()
    again = EventLog()
    records = _run(finished.parent / "study.yaml", folder, again)
    assert [run.partition(".s0")[0] for run in again.begun] == ["films.lora.n8", "films.lora.nfull"]
    assert [record.scores for record in records] == [record.scores for record in read_records(finished)]


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_runs_whose_workers_are_killed_are_done_with_batches_in_parts(finished: Path, tmp_path: Path) -> None:
    study = load_study(str(finished.parent / "study.yaml"), overrides=["train_sizes=[8]", "ablations={}"])
    run_study(study, tmp_path, executor=Killing(killed_with_whole_batches))
    whole = {record.run_id: record for record in read_records(finished)}
    for record in read_records(tmp_path):
        assert (record.state, record.batch_parts) == ("complete", 2)
        assert record.scores == pytest.approx(whole[record.run_id].scores, rel=1e-2)


def test_a_run_that_is_interrupted_as_it_writes_leaves_nothing_cut(finished: Path, tmp_path: Path) -> None:
    def interrupt(run: RunSpec, point: CurvePoint) -> None:
        if run.method_name == "lora":
            curve = folder / "runs" / run.run_id / "curve.jsonl"
            curve.write_text('{"step": ', encoding="utf-8")
            raise KeyboardInterrupt

    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        _run(finished.parent / "study.yaml", folder, EventLog(interrupt))
    assert tuneoff("report", folder).err == ""
    assert tuneoff("report", folder).code == 1


def test_predictions_of_every_test_example_are_kept(finished: Path) -> None:
    with open(finished.parent / "test.csv", encoding="utf-8") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    for record in read_records(finished):
        rows = pyarrow.parquet.read_table(
            finished / "runs" / record.run_id / "predictions.parquet"
        ).to_pylist()
        assert [(row["row"], row["reference"]) for row in rows] == list(enumerate(labels))
        right = sum(row["prediction"] == row["reference"] for row in rows)
        assert record.scores["eval_accuracy"] == right / len(labels)


def _generating(beams: int) -> str:
    source = "{files: {train: train.csv, test: test.csv}}"
    return (
        f"tasks={{films: {{kind: summarization, source: {source}, prompt: '{{text}}', target: text, "
        f"allow_target_in_prompt: true, max_new_tokens: 2, num_beams: {beams}}}}}"
    )


@pytest.mark.parametrize(
    ("override", "state", "kind"),
    [
        ("methods={full: {kind: full, learning_rate: 1e30}}", "diverged", "DivergedError"),
        # 115 TB of keys and values
        ("methods={prefix: {kind: prefix, length: 50000000000}}", "out_of_memory", "RuntimeError"),
        # 800 TB, more than an address space has
        (_generating(10**14), "out_of_memory", "RuntimeError"),
        # more than a tensor can count
        (_generating(10**18), "failed", "RuntimeError"),
    ],
)
def test_a_run_that_goes_wrong_ends_in_its_state(
    tmp_path: Path, override: str, state: RunState, kind: str
) -> None:
    overrides = ["ablations={}", "methods={zero_shot: {kind: none}}", "train_sizes=[8]", override]
    listener = EventLog()
    (record,) = _run(small.study(tmp_path), tmp_path / "out", listener, overrides)
    assert (record.state, record.scores) == (state, {})
    assert record.failure is not None
    assert record.failure.kind == kind
    assert listener.ended == [record]
    again = EventLog()
    _run(tmp_path / "study.yaml", tmp_path / "out", again, overrides)
    assert again.begun == [record.run_id] * (state != "diverged")


def test_train_sizes_are_nested_and_equal_for_every_method(tmp_path: Path) -> None:
    study = small.spec(tmp_path, ["train_sizes=[3, 8, 20, full]", "seeds=[0, 1]"])
    tokenizer, session = load_backbone(study.model).tokenizer, Session()
    chosen: dict[tuple[int, object], set[tuple[int, ...]]] = {}
    for run in expand(study):
        if run.method_name == "zero_shot":
            continue
        rows = tuple(sorted(example.row for example in run_data(run, tokenizer, session).examples["train"]))
        chosen.setdefault((run.seed, run.train_size), set()).add(rows)
    assert all(len(rows) == 1 for rows in chosen.values())
    sets = {cell: set(rows.pop()) for cell, rows in chosen.items()}
    for seed in (0, 1):
        assert sets[seed, 3] < sets[seed, 8] < sets[seed, 20] < sets[seed, "full"]
        assert [len(sets[seed, size]) for size in (3, 8, 20, "full")] == [3, 8, 20, 24]
    assert sets[0, 8] != sets[1, 8]


@pytest.mark.parametrize(
    ("override", "kind", "expected"),
    [
        ("tasks.films.prompt='{texts}'", DataError, r"has no column 'texts' .*; did you mean 'text'\?"),
        (
            "tasks.films.max_target_length=1",
            DataError,
            "must fit into max_target_length=1 tokens, but 'negative' has",
        ),
        ("train_sizes=[8, 25]", DataError, "25"),
        ("ablations.lora_rank.vary={targets: [[q], [w]]}", StudyError, "none that ends in 'w'"),
    ],
)
def test_bad_input_is_found_before_anything_is_trained_or_written(
    tmp_path: Path, override: str, kind: type[InputError], expected: str
) -> None:
    study, listener = small.study(tmp_path), EventLog()
    with pytest.raises(kind, match=expected):
        _run(study, tmp_path / "out", listener, [override])
    assert not (tmp_path / "out").exists()
    assert listener.begun == []


class _Closable:
    """An executor that knows whether its work and it were expected to end."""

    in_process = False
    closed = False
    ended = False

    def prepare(self, setup: Callable[[], Session]) -> None:
        pass

    def map(
        self, work: Work[Job, RunRecord], jobs: Sequence[Job], on_event: OnEvent = ignore
    ) -> Generator[RunRecord]:
        try:
            for job in jobs:
                yield RunRecord(run_id=job.spec.run_id, spec=job.spec, state="complete")
        finally:
            self.closed = True

    def close(self) -> None:
        self.ended = True


def _refuse(event: Event) -> None:
    if isinstance(event, RunFinished):
        raise InputError("enough")


def test_work_is_ended_when_a_record_cannot_be_kept(tmp_path: Path) -> None:
    study = small.spec(tmp_path)
    (tmp_path / "out" / "runs").mkdir(parents=True)
    for run in expand(study):
        (tmp_path / "out" / "runs" / run.run_id).mkdir()
    executor = _Closable()
    # `caught` keeps the executor's generator alive: it must have been closed, not collected
    with pytest.raises(InputError, match="enough") as caught:
        run_study(study, tmp_path / "out", executor=executor, on_event=_refuse)
    assert (executor.closed, executor.ended, str(caught.value)) == (True, True, "enough")


def test_the_study_that_was_run_is_in_the_folder(finished: Path) -> None:
    assert read_study(finished).name == "small"


def test_a_varied_prompt_is_read_scored_and_shown_as_an_ablation(tmp_path):
    wording = "{of: zero_shot, task: films, vary: {prompt: ['Good or bad? {text}', 'It is said: {text}']}}"
    changes = [f"ablations={{wording: {wording}}}", "methods={zero_shot: {kind: none}}"]
    result = api.run(small.spec(tmp_path, changes), out=tmp_path / "out")
    own, other = result.data.records
    assert (own.spec.task.prompt, other.spec.task.prompt) == ("Good or bad? {text}", "It is said: {text}")
    assert (own.spec.method_name, other.spec.method_name) == ("zero_shot", "zero_shot-prompt=2")
    assert own.data.digests == other.data.digests
    assert own.scores["eval_loss"] != other.scores["eval_loss"]
    assert (tmp_path / "out/report/plots/ablation-wording-films.png").exists()
    report = (tmp_path / "out/report/report.md").read_text(encoding="utf-8")
    assert "prompt: It is said: {text}" in report
    assert not result.data.excluded


SHORT = ["ablations={}", "train_sizes=[8]"]


@pytest.mark.parametrize("executor", ["inline", pytest.param("process", marks=pytest.mark.subprocess)])
def test_a_run_listens_nowhere(tmp_path: Path, executor: Literal["inline", "process"]) -> None:
    before, found = listening(), set[tuple[str, int]]()
    processes = set[int]()

    def look(event: Event) -> None:
        if isinstance(event, PointLogged):
            found.update(listening() - before)
            processes.update(child.pid for child in psutil.Process().children(recursive=True))

    api.run(small.spec(tmp_path, SHORT), out=tmp_path / "out", executor=executor, on_event=look)
    assert len(read_records(tmp_path / "out")) == 2
    assert processes or executor == "inline"
    assert found == set()


@pytest.mark.subprocess
def test_a_study_of_a_local_model_and_local_data_asks_nothing_of_the_network(
    model_folder: Path, tmp_path: Path
) -> None:
    study = small.spec(tmp_path, [*SHORT, f"model.id={model_folder}"])
    (tmp_path / "local.yaml").write_text(dump_study(study), encoding="utf-8")
    assert result_of(asked_by_study, str(tmp_path / "local.yaml"), str(tmp_path / "out")) == []
    assert [one.state for one in read_records(tmp_path / "out")] == ["complete", "complete"]


SECRETS = ("HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "DATABASE_URL")


def test_no_secret_of_the_environment_is_in_what_a_study_writes_or_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, f"s3cret-of-{name}")
    broken = "methods={lora: {kind: lora}, full: {kind: full, learning_rate: 1e30}}"  # leaves a traceback
    changes = [part for one in (*SHORT, broken) for part in ("--set", one)]
    outcome = tuneoff("run", small.study(tmp_path), "--out", tmp_path / "out", *changes)
    assert outcome.code == 1
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {"record.json", "error.log", "report.html", "study.yaml"} <= {path.name for path in files}
    written = [path.read_bytes() for path in files if path.suffix != ".parquet"]
    written += [pd.read_parquet(path).to_csv().encode() for path in files if path.suffix == ".parquet"]
    told = b"".join([*written, outcome.out.encode(), outcome.err.encode()])
    assert b"lora" in told
    assert b"s3cret" not in told
    assert not [name for name in SECRETS if name.encode() in told]


def test_the_traceback_and_the_reason_of_a_failed_run_have_no_password(tmp_path: Path) -> None:
    def fail(point: CurvePoint) -> None:
        raise ConnectionError("no answer from http://ann:s3cret@hub/api")

    run = next(run for run in expand(small.spec(tmp_path, SHORT)) if run.method_name == "lora")
    (tmp_path / "run").mkdir()
    record = train_run(run, tmp_path / "run", on_point=fail)
    assert record.failure is not None
    assert record.failure.message == "no answer from http://***@hub/api"
    traceback = (tmp_path / "run" / "error.log").read_text(encoding="utf-8")
    assert "http://***@hub/api" in traceback and "s3cret" not in traceback
