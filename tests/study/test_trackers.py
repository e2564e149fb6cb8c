"""What trackers are told: the real packages, in their offline modes, read back with their own readers."""

import json
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

import tuneoff
from helpers import fabricated as made
from helpers import small
from tuneoff.errors import InputError
from tuneoff.results import CurvePoint
from tuneoff.spec import RunSpec, StudySpec, expand
from tuneoff.study import (
    Event,
    PointLogged,
    RunFinished,
    RunsPlanned,
    RunStarted,
    Trackers,
    TrackerStopped,
)
from tuneoff.study import trackers as module
from tuneoff.study.trackers import settings_of

LOSSES = {1: 2.0, 2: 1.5, 3: 1.25}
DECISIONS = {"sst2.nfull": "lora (shown)"}


def _study(*names: str) -> StudySpec:
    training = {"max_steps": 3, "eval_steps": 3, "report_to": list(names)}
    return made.a_study(seeds=[0], training=training)


def _report(study: StudySpec, folder: Path) -> list[Event]:
    """Two runs that go on at once, as two workers do them, and what passes through."""
    events: list[Event] = []
    runs = [run for run in expand(study) if run.method_name in ("full", "lora")]
    trackers = Trackers(study, folder, events.append)
    for run in runs:
        trackers.take(RunStarted(run))
    for step, loss in LOSSES.items():
        for run in runs:
            shift = 10.0 if run.method_name == "lora" else 0.0
            trackers.take(PointLogged(run, CurvePoint(step=step, loss=loss + shift, learning_rate=0.1)))
    for run in runs:
        scores = {"eval_accuracy": 0.5, "eval_loss": 1.0}
        trackers.take(PointLogged(run, CurvePoint(step=3, scores=scores)))
        trackers.take(RunFinished(made.a_record(run, steps=3)))
    trackers.conclude(DECISIONS)
    trackers.close()
    assert [one for one in events if isinstance(one, TrackerStopped)] == []
    return events


def _runs(study: StudySpec) -> dict[str, RunSpec]:
    return {run.method_name: run for run in expand(study)}


def test_tensorboard_has_each_curve_its_settings_the_test_and_the_decision(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    study = _study("tensorboard")
    _report(study, tmp_path)
    for method, shift in (("full", 0.0), ("lora", 10.0)):
        run = _runs(study)[method]
        found = EventAccumulator(str(tmp_path / "tensorboard" / "sst2" / run.run_id)).Reload()
        curve = {one.step: one.value for one in found.Scalars("train/loss")}
        assert curve == {step: pytest.approx(loss + shift) for step, loss in LOSSES.items()}
        assert [one.value for one in found.Scalars("eval/accuracy")] == [0.5]
        (test,) = found.Scalars("test/accuracy")
        assert (test.step, test.value) == (3, pytest.approx(made.scores_of(run)["eval_accuracy"]))
        (settings,) = (tmp_path / "tensorboard" / "sst2" / run.run_id).glob("*/hparams.yml")
        assert "training.max_steps: 3" in settings.read_text(encoding="utf-8")
    decision = EventAccumulator(str(tmp_path / "tensorboard" / "decision" / "decision")).Reload()
    (text,) = decision.Tensors("decision/sst2.nfull/text_summary")
    assert text.tensor_proto.string_val == [b"lora (shown)"]


@pytest.mark.slow
def test_mlflow_has_a_run_for_the_study_and_below_it_one_for_each_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    study = _study("mlflow")
    _report(study, tmp_path)
    client = MlflowClient()
    experiment = client.get_experiment_by_name("fabricated")
    assert experiment is not None
    found = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    runs = _runs(study)
    assert set(found) == {"fabricated", runs["full"].run_id, runs["lora"].run_id}
    whole = found["fabricated"]
    assert whole.data.tags["decision.sst2.nfull"] == "lora (shown)"
    for method, shift in (("full", 0.0), ("lora", 10.0)):
        run = found[runs[method].run_id]
        assert run.data.tags["mlflow.parentRunId"] == whole.info.run_id
        assert (run.data.tags["task"], run.data.tags["method"], run.data.tags["seed"]) == (
            "sst2",
            method,
            "0",
        )
        assert run.data.params["training.max_steps"] == "3"
        assert run.info.status == "FINISHED"
        curve = {one.step: one.value for one in client.get_metric_history(run.info.run_id, "train/loss")}
        assert curve == {step: loss + shift for step, loss in LOSSES.items()}
        assert run.data.metrics["test/accuracy"] == made.scores_of(runs[method])["eval_accuracy"]
    assert whole.info.status == "FINISHED"
    interrupted = Trackers(study, tmp_path, print)
    interrupted.take(RunStarted(runs["lora"]))
    interrupted.close()
    later = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    before = {run.info.run_id for run in found.values()}
    assert [run.info.status for run_id, run in later.items() if run_id not in before] == ["KILLED", "KILLED"]


@pytest.mark.slow
@pytest.mark.subprocess
def test_wandb_writes_a_file_for_each_run_and_for_the_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    for name, value in {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(tmp_path),
        "WANDB_ERROR_REPORTING": "false",
    }.items():
        monkeypatch.setenv(name, value)
    study = _study("wandb")
    _report(study, tmp_path)
    # written by a process of its own, which may still be at it
    for _ in range(100):
        files = {path.read_bytes() for path in tmp_path.glob("wandb/offline-run-*/*.wandb")}
        if sum(b"lora (shown)" in content for content in files):
            break
        time.sleep(0.1)
    assert len(files) == 3
    for run in (_runs(study)["full"], _runs(study)["lora"]):
        (own,) = [content for content in files if run.run_id.encode() in content]
        assert b"train/loss" in own and b"test/accuracy" in own and b"training.max_steps" in own
    assert sum(b"lora (shown)" in content for content in files) == 1


@pytest.mark.slow
def test_trackio_has_the_points_of_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))  # which is read when it is imported
    pytest.importorskip("trackio")
    study = _study("trackio")
    _report(study, tmp_path)
    (file,) = tmp_path.glob("*.db")
    with sqlite3.connect(file) as base:
        rows = base.execute("select run_name, step, metrics from metrics").fetchall()
        settings = dict(base.execute("select run_name, config from configs").fetchall())
    for method, shift in (("full", 0.0), ("lora", 10.0)):
        name = _runs(study)[method].run_id
        points = [(step, json.loads(values)) for run, step, values in rows if run == name]
        curve = {step: values["train/loss"] for step, values in points if "train/loss" in values}
        assert curve == {step: loss + shift for step, loss in LOSSES.items()}
        assert [step for step, values in points if "test/accuracy" in values] == [3]
        assert json.loads(settings[name])["training.max_steps"] == 3
    assert any("lora (shown)" in str(values) for run, _, values in rows if run == "decision")


class _Broken:
    """A tracker whose server is gone after the first run has begun."""

    def __init__(self, study: str, folder: Path) -> None:
        self.calls: list[str] = []

    def begin(self, run: RunSpec) -> None:
        self.calls.append("begin")

    def log(self, run: RunSpec, values: Mapping[str, float], step: int) -> None:
        self.calls.append("log")
        raise ConnectionError("no route to host\nand a long trace")

    def end(self, run: RunSpec, state: str) -> None:
        self.calls.append("end")

    def conclude(self, decisions: Mapping[str, str]) -> None:
        self.calls.append("conclude")

    def close(self) -> None:
        self.calls.append("close")


def _replaced(monkeypatch: pytest.MonkeyPatch, backend: object) -> None:
    monkeypatch.setattr(module, "_CONNECT", {"tensorboard": lambda study, folder: backend})


def test_a_tracker_that_fails_is_off_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    broken = _Broken("", tmp_path)
    _replaced(monkeypatch, broken)
    study, events = _study("tensorboard"), list[Event]()
    run = _runs(study)["lora"]
    trackers = Trackers(study, tmp_path, events.append)
    told: list[Event] = [RunStarted(run), *(PointLogged(run, CurvePoint(step=1, loss=1.0)) for _ in range(3))]
    for event in [*told, RunFinished(made.a_record(run))]:
        trackers.take(event)
    trackers.conclude(DECISIONS)
    trackers.close()
    assert broken.calls == ["begin", "log"]
    stopped = [one for one in events if isinstance(one, TrackerStopped)]
    assert stopped == [TrackerStopped("tensorboard", "no route to host")]
    assert len(events) == len(told) + 2


def test_a_tracker_that_fails_tells_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")

    class Refused(_Broken):
        def begin(self, run: RunSpec) -> None:
            raise ConnectionError("API request to http://ann:s3cret@tracking:5000/api failed")

    _replaced(monkeypatch, Refused("", tmp_path))
    study, events = _study("tensorboard"), list[Event]()
    trackers = Trackers(study, tmp_path, events.append)
    trackers.take(RunStarted(_runs(study)["lora"]))
    trackers.close()
    assert events[1:] == [TrackerStopped("tensorboard", "API request to http://***@tracking:5000/api failed")]


def test_a_tracker_that_hangs_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    gone = threading.Event()

    class Hanging(_Broken):
        def begin(self, run: RunSpec) -> None:
            gone.wait()

    _replaced(monkeypatch, Hanging("", tmp_path))
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    study, events = _study("tensorboard"), list[Event]()
    trackers = Trackers(study, tmp_path, events.append)
    trackers.take(RunStarted(_runs(study)["lora"]))
    trackers.take(RunsPlanned((), 0))
    trackers.close()
    gone.set()
    assert [type(one) for one in events] == [RunStarted, RunsPlanned, TrackerStopped]


def test_a_missing_package_is_named_with_its_extra_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneoff.extras.find_spec", lambda name: None if name == "trackio" else object())
    with pytest.raises(InputError, match=r"pip install 'tuneoff\[trackio\]'"):
        tuneoff.run(small.spec(tmp_path, ["training.report_to=[trackio]"]), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_study_that_reports_to_nothing_starts_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    events = list[Event]()
    trackers = Trackers(_study(), tmp_path, events.append)
    trackers.take(RunsPlanned((), 0))
    trackers.conclude(DECISIONS)
    assert threading.active_count() == before
    trackers.close()
    assert len(events) == 1


def test_reporting_is_part_of_no_run() -> None:
    for one, other in zip(expand(_study()), expand(_study("wandb")), strict=True):
        assert (one.run_id, one.settings_key) == (other.run_id, other.settings_key)


def test_scores_have_the_names_of_transformers_trainer() -> None:
    run = expand(_study())[0]
    point = CurvePoint(step=1, scores={"eval_loss": 1.0, "other/eval_rougeL": 0.5})
    assert module._point_values(run, point) == {"eval/loss": 1.0, "eval/other/rougeL": 0.5}


def test_settings_are_flat_and_short() -> None:
    prompt = f"{'long ' * 100}{{text}}"
    task = made.SST2 | {"prompt": prompt}
    found = settings_of(expand(made.a_study(tasks={"sst2": task}))[2])
    assert (found["method.kind"], found["method.rank"], found["seed"]) == ("lora", 8, 0)
    assert all(isinstance(value, str | int | float | bool) for value in found.values())
    assert found["prompt"] == prompt[:250]


@pytest.mark.parametrize(
    ("given", "names"), [("mlflow", ("mlflow",)), ("none", ()), ("[wandb, trackio]", ("wandb", "trackio"))]
)
def test_one_tracker_may_stand_alone(tmp_path: Path, given: str, names: tuple[str, ...]) -> None:
    assert small.spec(tmp_path, [f"training.report_to={given}"]).training.report_to == names


@pytest.mark.slow
def test_a_study_reports_to_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    study = small.spec(tmp_path, ["training.report_to=[tensorboard]", "train_sizes=[8]", "ablations={}"])
    result = tuneoff.run(study, out=tmp_path / "out")
    for record in result.records:
        folder = tmp_path / "out" / "tensorboard" / "films" / record.run_id
        found = EventAccumulator(str(folder)).Reload()
        losses = [one.value for one in found.Scalars("train/loss")] if record.steps else []
        curve = result.curve(record.run_id)
        assert losses == pytest.approx([*curve.get("loss", curve["step"][:0]).dropna()], rel=1e-6)
        assert found.Scalars("test/loss")[0].value == pytest.approx(record.scores["eval_loss"], rel=1e-6)
    decision = EventAccumulator(str(tmp_path / "out" / "tensorboard" / "decision" / "decision")).Reload()
    assert decision.Tags()["tensors"] == ["decision/films.n8/text_summary"]
