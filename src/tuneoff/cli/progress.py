"""Progress of a study: a live view on a terminal, and a line for each event of note above it or alone."""

import threading
from collections.abc import Iterable
from typing import Self

from rich.console import Console
from rich.live import Live

from tuneoff.cli.live import REFRESHES, View, in_one_line, is_live
from tuneoff.errors import visible
from tuneoff.results import Activity, RunRecord, SearchResult, metric_name
from tuneoff.spec import RunSpec, TrainSize
from tuneoff.study import (
    DamagedMoved,
    Event,
    Follower,
    ModelConverting,
    PointLogged,
    RunFinished,
    RunsPlanned,
    RunStarted,
    SearchFinished,
    TrackerStopped,
    TrialFinished,
    TrialStarted,
)


class Progress:
    """Shows what a study is doing: drawn anew on a terminal, elsewhere in a line for each event."""

    def __init__(self, console: Console, study: str = "") -> None:
        self._console = console
        self._follower = Follower(study)
        self._lock = threading.Lock()  # the view is drawn by a thread of its own
        self._is_live = is_live(console)
        self._live = Live(View(self._activity), console=console, refresh_per_second=REFRESHES, transient=True)

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._is_live:
            self._live.stop()

    def show(self, event: Event) -> None:
        """Show an event."""
        with self._lock:
            self._follower.take(event)
        match event:
            case ModelConverting(file, folder):
                self._line(f"dequantizing {file.name} once, into {folder}")
            case DamagedMoved(results):
                for one in results:
                    self._line(f"{one.name} will be computed again: {one.reason}")
            case SearchFinished(result):
                self._line(_search_line(result))
            case RunsPlanned(pending, total, number):
                if number > 1:
                    more = "1 more run" if len(pending) == 1 else f"{len(pending)} more runs"
                    self._line(f"{more} where a decision needs more seeds: {_methods(pending)}")
                elif done := total - len(pending):
                    self._line(f"{done} of {total} runs are already done")
            case RunFinished(record):
                self._line(_run_line(record) + self._how_far())
            case TrackerStopped(name, reason):
                self._line(f"warning: nothing more is reported to {name}: {reason}")
            case _ if not self._is_live:
                self._plain(event)

    def _plain(self, event: Event) -> None:
        """Show in a line what a terminal shows in its view."""
        match event:
            case TrialStarted(search, number, seed, steps):
                self._line(f"{_slug(search.search_id)}  trial {number}  seed {seed}  {steps} steps  started")
            case TrialFinished(search, trial):
                metric = metric_name(search.run.selection_metric)
                score = "" if trial.score is None else f"  {metric} {trial.score:.3f} on validation"
                state = trial.state.replace("_", " ")
                how_far = self._how_far()
                self._line(f"{_slug(search.search_id)}  trial {trial.number}  {state}{score}{how_far}")
            case RunStarted(run):
                self._line(f"{run.run_id}  started")
            case PointLogged(run, point) if point.scores is not None:
                metric = run.selection_metric
                score = f"{metric_name(metric)} {point.scores[metric]:.3f} on validation"
                self._line(f"{run.run_id}  step {point.step}  {score}")

    def _how_far(self) -> str:
        """Return how far the study is; nothing where the view says so."""
        return "" if self._is_live else f"  ({in_one_line(self._activity())})"

    def _activity(self) -> Activity:
        with self._lock:
            return self._follower.activity()

    def _line(self, text: str) -> None:
        self._console.print(visible(text), markup=False, highlight=False, emoji=False, soft_wrap=True)


def _run_line(record: RunRecord) -> str:
    """Return a line about a run that has ended."""
    metric = record.spec.task.main_metric
    result = f"{metric_name(metric)} {record.scores[metric]:.3f}" if record.scores else ""
    seconds = f"{record.timings.total:.0f} s" if record.timings else ""
    parts = [record.run_id, record.state.replace("_", " "), result, seconds]
    return "  ".join(part for part in parts if part)


def _slug(id_: str) -> str:
    """Return the readable part of an id."""
    return id_.rpartition("-")[0]


def _methods(runs: Iterable[RunSpec]) -> str:
    """Return the methods of runs by task and train size."""
    names: dict[tuple[str, TrainSize], dict[str, None]] = {}
    for run in runs:
        names.setdefault((run.task_name, run.train_size), {})[run.method_name] = None
    return "; ".join(f"{task} n{size}: {', '.join(methods)}" for (task, size), methods in names.items())


def _search_line(result: SearchResult) -> str:
    """Return a line with the values that a search chose, and how many of its trials failed."""
    chosen = "no trial has a score"
    if best := result.best:
        values = ", ".join(f"{name} {value:.3g}" for name, value in best.values.items())
        chosen = f"{values}  {metric_name(result.metric)} {best.score:.3f} on validation"
    name = _slug(result.search_id)
    failed = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in result.lost.items())
    note = f"  (of {len(result.trials)} trials: {failed})" if failed else ""
    return f"{name}  {chosen}{note}"
