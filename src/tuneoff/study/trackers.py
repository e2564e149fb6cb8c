"""Report runs to experiment trackers while they go on: TensorBoard, MLflow, Weights & Biases, Trackio.

`Trackers` takes the events of a study, as a terminal does. All that talks to a tracker is done one after
another in a thread of its own, so that neither a slow server nor a missing one holds up a run: a tracker that
fails is off from then on, and a `TrackerStopped` says so once.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from accelerate import PartialState
from accelerate.tracking import GeneralTracker, TensorBoardTracker, TrackioTracker, WandBTracker

from tuneoff.errors import first_line
from tuneoff.extras import require_tracker
from tuneoff.results import CurvePoint, RunRecord, StudyFolder
from tuneoff.spec import RunSpec, StudySpec, Tracker, expand
from tuneoff.study.events import Event, OnEvent, PointLogged, RunFinished, RunStarted, TrackerStopped

_PATIENCE = 60.0
"""Seconds to wait at the end for what has not reached a tracker yet."""
_LONGEST_SETTING = 250
"""Characters of a setting; some trackers refuse longer ones."""
_DECISION = "decision"
Setting = str | int | float | bool
Values = Mapping[str, float]


class _Backend(Protocol):
    """One tracker, with an entry for each run that is under way."""

    def begin(self, run: RunSpec) -> None:
        """Open an entry with the run's settings."""

    def log(self, run: RunSpec, values: Values, step: int) -> None:
        """Add values to the entry of a run."""

    def end(self, run: RunSpec, state: str) -> None:
        """Close the entry of a run."""

    def conclude(self, decisions: Mapping[str, str]) -> None:
        """Report what a study has decided, by task and train size."""

    def close(self) -> None:
        """Close all that is open, after the study or because it was stopped."""


class Trackers:
    """Reports a study to the trackers that its runs name in `training.report_to`."""

    def __init__(self, study: StudySpec, folder: Path, on_event: OnEvent) -> None:
        """Start to report; `on_event` gets all events, and those of trackers that are off.

        Raises:
            InputError: the package of a tracker is not installed.
        """
        names = dict.fromkeys(name for run in expand(study) for name in run.training.report_to)
        for name in names:
            require_tracker(name)
        self._on_event = on_event
        self._tasks = queue.Queue[tuple[str, Callable[[_Backend], None]] | None]()
        self._failures = queue.Queue[TrackerStopped]()
        connect = {name: partial(_CONNECT[name], study.name, folder) for name in names}
        self._thread = threading.Thread(target=self._work, args=(connect,), daemon=True)
        self._names = tuple(names)
        if names:
            PartialState()  # which accelerate's trackers ask; made here, as the runs ask it, too
            self._thread.start()

    def take(self, event: Event) -> None:
        """Report an event, and pass it on."""
        match event:
            case RunStarted(run):
                self._for_all(run.training.report_to, lambda backend: backend.begin(run))
            case PointLogged(run, point) if values := _point_values(run, point):
                self._for_all(run.training.report_to, lambda backend: backend.log(run, values, point.step))
            case RunFinished(record):
                self._for_all(record.spec.training.report_to, lambda backend: _end(backend, record))
        self._tell_failures()
        self._on_event(event)

    def conclude(self, decisions: Mapping[str, str]) -> None:
        """Report the decisions of the study, by task and train size."""
        self._for_all(self._names, lambda backend: backend.conclude(decisions))

    def close(self) -> None:
        """Wait until all is reported, for a minute at most."""
        if self._names:
            self._tasks.put(None)
            self._thread.join(_PATIENCE)
            self._tell_failures()
            if self._thread.is_alive():
                reason = f"it takes longer than {_PATIENCE:.0f} s to report; what is left is lost"
                self._on_event(TrackerStopped(", ".join(self._names), reason))

    def _for_all(self, names: Sequence[str], report: Callable[[_Backend], None]) -> None:
        for name in names:
            self._tasks.put((name, report))

    def _tell_failures(self) -> None:
        while not self._failures.empty():
            self._on_event(self._failures.get())

    def _work(self, connect: Mapping[str, Callable[[], _Backend]]) -> None:
        """Do what is to be reported, in order, until None comes; a tracker that fails gets nothing more."""
        backends, off = dict[str, _Backend](), set[str]()
        while (task := self._tasks.get()) is not None:
            name, report = task
            if name in off:
                continue
            try:
                if name not in backends:
                    backends[name] = connect[name]()
                report(backends[name])
            except Exception as error:  # whatever a tracker does, it is no matter of the runs
                off.add(name)
                self._failures.put(TrackerStopped(name, first_line(error)))
        for name in backends.keys() - off:
            with suppress(Exception):
                backends[name].close()


class _Accelerated:
    """A tracker of accelerate that can have several entries open at once."""

    def __init__(self, start: Callable[[str, str, Mapping[str, Setting]], GeneralTracker]) -> None:
        """`start` opens an entry from its name, its group and its settings."""
        self._start = start
        self._open: dict[str, GeneralTracker] = {}

    def begin(self, run: RunSpec) -> None:
        if run.run_id in self._open:  # after its worker was lost
            self._open[run.run_id].finish()
        self._open[run.run_id] = self._start(run.run_id, run.task_name, settings_of(run))

    def log(self, run: RunSpec, values: Values, step: int) -> None:
        if run.run_id in self._open:
            self._open[run.run_id].log(dict(values), step=step)

    def end(self, run: RunSpec, state: str) -> None:
        if run.run_id in self._open:
            self._open.pop(run.run_id).finish()

    def conclude(self, decisions: Mapping[str, str]) -> None:
        entry = self._start(_DECISION, _DECISION, {})
        entry.log({f"{_DECISION}/{place}": text for place, text in decisions.items()}, step=0)
        entry.finish()

    def close(self) -> None:
        for entry in self._open.values():
            entry.finish()


def _tensorboard(study: str, folder: Path) -> _Backend:
    place = StudyFolder(folder).tensorboard

    def start(name: str, group: str, settings: Mapping[str, Setting]) -> GeneralTracker:
        tracker = TensorBoardTracker(f"{group}/{name}", logging_dir=place)
        tracker.start()
        if settings:
            tracker.store_init_configuration(dict(settings))
        return tracker

    return _Accelerated(start)


def _wandb(study: str, folder: Path) -> _Backend:
    import wandb

    def start(name: str, group: str, settings: Mapping[str, Setting]) -> GeneralTracker:
        tracker = WandBTracker(
            study,
            name=name,
            group=group,
            job_type=str(settings.get("method_name", _DECISION)),
            config=dict(settings),  # `store_init_configuration` sets those of the latest run
            reinit="create_new",
            settings=wandb.Settings(silent=True),
        )
        tracker.start()
        return tracker

    return _Accelerated(start)


def _trackio(study: str, folder: Path) -> _Backend:
    def start(name: str, group: str, settings: Mapping[str, Setting]) -> GeneralTracker:
        tracker = TrackioTracker(
            study,
            name=name,
            group=group,
            config=dict(settings),
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )
        # in a context of its own: trackio ends the run that it finds open in the current one
        Context().run(tracker.start)
        return tracker

    return _Accelerated(start)


class _Mlflow:
    """MLflow: an experiment with the study's name, and in it a run of the study with the runs below it.

    By its client, since accelerate's tracker logs to the run that was started last, and with several workers
    several are under way.
    """

    def __init__(self, study: str, folder: Path) -> None:
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient()
        found = self._client.get_experiment_by_name(study)
        self._experiment = found.experiment_id if found else self._client.create_experiment(study)
        self._study = self._client.create_run(self._experiment, run_name=study).info.run_id
        self._state = "KILLED"
        """How the study has ended, unless it has come to its decisions."""
        self._open: dict[str, str] = {}

    def begin(self, run: RunSpec) -> None:
        from mlflow.entities import Param

        if run.run_id in self._open:  # after its worker was lost
            self._client.set_terminated(self._open.pop(run.run_id), "FAILED")
        tags = {"task": run.task_name, "method": run.method_name, "train_size": str(run.train_size)}
        tags |= {"seed": str(run.seed), "mlflow.parentRunId": self._study}
        entry = self._client.create_run(self._experiment, run_name=run.run_id, tags=tags).info.run_id
        params = [Param(name, str(value)) for name, value in settings_of(run).items()]
        for first in range(0, len(params), 100):  # as many as one call may have
            self._client.log_batch(entry, params=params[first : first + 100])
        self._open[run.run_id] = entry

    def log(self, run: RunSpec, values: Values, step: int) -> None:
        from mlflow.entities import Metric

        if run.run_id in self._open:
            now = int(time.time() * 1000)
            metrics = [Metric(name, value, now, step) for name, value in values.items()]
            self._client.log_batch(self._open[run.run_id], metrics=metrics)

    def end(self, run: RunSpec, state: str) -> None:
        if run.run_id in self._open:
            ended = {"complete": "FINISHED", "cancelled": "KILLED"}.get(state, "FAILED")
            entry = self._open.pop(run.run_id)
            self._client.set_tag(entry, "state", state)
            self._client.set_terminated(entry, ended)

    def conclude(self, decisions: Mapping[str, str]) -> None:
        for place, text in decisions.items():
            self._client.set_tag(self._study, f"{_DECISION}.{place}", text)
        self._state = "FINISHED"

    def close(self) -> None:
        for entry in self._open.values():
            self._client.set_terminated(entry, "KILLED")
        self._client.set_terminated(self._study, self._state)


_CONNECT: Mapping[Tracker, Callable[[str, Path], _Backend]] = MappingProxyType(
    {"tensorboard": _tensorboard, "mlflow": _Mlflow, "wandb": _wandb, "trackio": _trackio}
)


def settings_of(run: RunSpec) -> dict[str, Setting]:
    """Return the settings of a run with one name each, such as `method.rank`, without those that are null.

    The prompt is one of them; labels and where the rows come from are not.
    """
    found: dict[str, Setting] = {
        "task_name": run.task_name,
        "method_name": run.method_name,
        "train_size": str(run.train_size),
        "seed": run.seed,
        "prompt": run.task.prompt[:_LONGEST_SETTING],
    }
    if run.mixture is not None:
        found["mixture"] = ", ".join(run.mixture.tasks)[:_LONGEST_SETTING]
    for part in ("model", "method", "training"):
        for name, value in getattr(run, part).model_dump(mode="json").items():
            found |= _flat(f"{part}.{name}", value)
    return found


def _flat(name: str, value: Any) -> dict[str, Setting]:
    if value is None:
        return {}
    if isinstance(value, dict):
        return {
            key: one for inner, item in value.items() for key, one in _flat(f"{name}.{inner}", item).items()
        }
    if isinstance(value, bool | int | float):
        return {name: value}
    return {name: str(value)[:_LONGEST_SETTING]}


def _end(backend: _Backend, record: RunRecord) -> None:
    if record.scores:
        backend.log(record.spec, _named(record.scores, "test"), record.steps)
    backend.end(record.spec, record.state)


def _point_values(run: RunSpec, point: CurvePoint) -> dict[str, float]:
    """Return what a point of a curve says, under the names of transformers' Trainer: `train/loss`."""
    values = {"train/loss": point.loss, "train/grad_norm": point.grad_norm}
    values["train/learning_rate"] = point.learning_rate
    values |= {f"train/learning_rate_{part}": rate for part, rate in (point.learning_rates or {}).items()}
    known = {name: value for name, value in values.items() if value is not None}
    return known | _named(point.scores or {}, "eval")


def _named(scores: Mapping[str, float], split: str) -> dict[str, float]:
    """Return scores under names such as `test/accuracy`; of a mixture's tasks, `eval/<task>/accuracy`."""
    found = {}
    for name, value in scores.items():
        *task, score = name.split("/")
        found["/".join([split, *task, score.removeprefix("eval_")])] = value
    return found
