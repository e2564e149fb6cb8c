"""Live progress of a study on a terminal; elsewhere a line for each finished run."""

from collections.abc import Sequence
from typing import Self

import rich.progress
from rich.console import Console

from tuneoff.errors import visible
from tuneoff.spec import CurvePoint, LeftOut, RunRecord, RunSpec, Search, SearchResult


class Progress:
    """A listener that displays how many runs are done, and the scores of the current one."""

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
        self._runs = self._bars.add_task("runs", total=None, note="")
        self._steps = self._bars.add_task("", total=None, note="", visible=False)
        self._notes: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.update(self._steps, visible=False)
        self._bars.stop()

    def moved(self, damaged: Sequence[LeftOut]) -> None:
        """Print a line for each damaged result that will be computed again."""
        for one in damaged:
            self._line(f"{one.name} will be computed again: {one.reason}")

    def searching(self, pending: Sequence[Search], total: int) -> None:
        """Show how many searches there are to do."""
        self._bars.update(self._runs, description="searches", total=total, completed=total - len(pending))

    def searched(self, result: SearchResult) -> None:
        """Count the search, and print the values that it chose."""
        self._bars.advance(self._runs)
        best = result.best
        outcome = "no trial has a score"
        if best:
            values = ", ".join(f"{name} {value:.3g}" for name, value in best.values.items())
            outcome = f"{values}  {result.metric} {best.score:.3f} on validation"
        name = result.search_id.rpartition("-")[0]
        lost = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in result.lost.items())
        note = f"  (of {len(result.trials)} trials: {lost})" if lost else ""
        self._line(f"{name}  {outcome}{note}")

    def planned(self, pending: Sequence[RunSpec], total: int) -> None:
        """Show how many runs there are and how many are done already."""
        done = total - len(pending)
        self._bars.update(self._runs, description="runs", total=total, completed=done)
        if done:
            self._line(f"{done} of {total} runs are done already")

    def started(self, run: RunSpec) -> None:
        """Show a new bar for the run."""
        self._notes = {}
        name = run.run_id.rpartition("-")[0]
        self._bars.reset(self._steps, description=name, total=run.training.max_steps, note="", visible=True)

    def point(self, run: RunSpec, point: CurvePoint) -> None:
        """Advance the run's bar, and show its latest loss and validation score."""
        metric = run.task.main_metric
        if point.loss is not None:
            self._notes["loss"] = point.loss
        if point.scores is not None:
            self._notes[metric] = point.scores[metric]
        note = "  ".join(f"{name} {value:.3f}" for name, value in self._notes.items())
        self._bars.update(self._steps, completed=point.step, note=note)

    def finished(self, record: RunRecord) -> None:
        """Count the run, and print its line."""
        self._bars.advance(self._runs)
        metric = record.spec.task.main_metric
        result = f"{metric} {record.scores[metric]:.3f}" if record.scores else ""
        seconds = f"{record.timings.total:.0f} s" if record.timings else ""
        parts = [record.run_id, record.state.replace("_", " "), result, seconds]
        self._line("  ".join(part for part in parts if part))

    def _line(self, text: str) -> None:
        self._console.print(visible(text), markup=False, highlight=False, emoji=False, soft_wrap=True)
