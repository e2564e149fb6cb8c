"""Progress of a study: live bars on a terminal, and a line for each run or search that ends."""

from collections.abc import Iterable
from typing import Self

import rich.progress
from rich.console import Console
from rich.progress import TaskID

from tuneoff.errors import visible
from tuneoff.results import RunRecord, SearchResult, metric_name
from tuneoff.spec import RunSpec, TrainSize
from tuneoff.study import (
    DamagedMoved,
    Event,
    ModelConverting,
    PointLogged,
    RunFinished,
    RunsPlanned,
    RunStarted,
    SearchesPlanned,
    SearchFinished,
    TrialFinished,
)


class Progress:
    """Shows how many trials and runs are done, and the loss and score of each run under way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}", markup=False),
            rich.progress.BarColumn(bar_width=24),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._whole = self._bars.add_task("runs", total=None, note="")
        self._of_runs: dict[str, TaskID] = {}
        """The bars of the runs under way, by run id."""
        self._notes: dict[str, dict[str, float]] = {}
        """Their latest loss and validation score."""

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for bar in self._of_runs.values():
            self._bars.remove_task(bar)
        self._bars.stop()

    def show(self, event: Event) -> None:
        """Show an event."""
        match event:
            case ModelConverting(file, folder):
                self._line(f"dequantizing {file.name} once, into {folder}")
            case DamagedMoved(results):
                for one in results:
                    self._line(f"{one.name} will be computed again: {one.reason}")
            case SearchesPlanned(pending):
                trials = sum(search.trainings for search in pending)
                self._bars.update(self._whole, description="trials", total=trials, completed=0)
            case TrialFinished():
                self._bars.advance(self._whole)
            case SearchFinished(result):
                self._line(_search_line(result))
            case RunsPlanned(pending, total, number):
                done = total - len(pending)
                self._bars.update(self._whole, description="runs", total=total, completed=done)
                if number > 1:
                    more = "1 more run" if len(pending) == 1 else f"{len(pending)} more runs"
                    self._line(f"{more} where a decision needs more seeds: {_methods(pending)}")
                elif done:
                    self._line(f"{done} of {total} runs are already done")
            case RunStarted(run):
                self._start(run)
            case PointLogged(run, point):
                notes = self._notes.setdefault(run.run_id, {})
                if point.loss is not None:
                    notes["loss"] = point.loss
                if point.scores is not None:
                    notes[metric_name(run.task.main_metric)] = point.scores[run.task.main_metric]
                note = "  ".join(f"{name} {value:.3f}" for name, value in notes.items())
                if run.run_id in self._of_runs:
                    self._bars.update(self._of_runs[run.run_id], completed=point.step, note=note)
            case RunFinished(record):
                self._finish(record)

    def _start(self, run: RunSpec) -> None:
        if run.run_id in self._of_runs:  # after its worker was lost
            self._bars.remove_task(self._of_runs[run.run_id])
        name = run.run_id.rpartition("-")[0]
        steps = run.training.max_steps
        self._of_runs[run.run_id] = self._bars.add_task(f"  {name}", total=steps, note="")

    def _finish(self, record: RunRecord) -> None:
        self._bars.advance(self._whole)
        self._notes.pop(record.run_id, None)
        if bar := self._of_runs.pop(record.run_id, None):
            self._bars.remove_task(bar)
        metric = record.spec.task.main_metric
        result = f"{metric_name(metric)} {record.scores[metric]:.3f}" if record.scores else ""
        seconds = f"{record.timings.total:.0f} s" if record.timings else ""
        parts = [record.run_id, record.state.replace("_", " "), result, seconds]
        self._line("  ".join(part for part in parts if part))

    def _line(self, text: str) -> None:
        self._console.print(visible(text), markup=False, highlight=False, emoji=False, soft_wrap=True)


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
    name = result.search_id.rpartition("-")[0]
    failed = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in result.lost.items())
    note = f"  (of {len(result.trials)} trials: {failed})" if failed else ""
    return f"{name}  {chosen}{note}"
