"""What came of a study, for Python."""

import html
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tuneoff.errors import InputError
from tuneoff.reporting.data import ReportData
from tuneoff.results import RunFolder, RunRecord, StudyFolder, read_curve
from tuneoff.results.parquet import open_parquet
from tuneoff.spec import StudySpec


@dataclass(frozen=True)
class Result:
    """A study's results and its report on disk."""

    folder: Path
    """The output folder."""
    decisions: tuple[str, ...]
    """What to use on each task and train size, a sentence each."""
    conclusions: tuple[str, ...]
    """What else was found, in sentences."""
    warnings: tuple[str, ...]
    """What the report lacks, and why."""
    data: ReportData
    """All that the report is made from."""

    @property
    def study(self) -> StudySpec:
        """The study, with all defaults."""
        return self.data.study

    @property
    def report(self) -> Path:
        """The report as a page; report.md lies beside it."""
        return StudyFolder(self.folder).report.html

    @property
    def is_complete(self) -> bool:
        """Whether every planned run is complete."""
        complete = sum(record.state == "complete" for record in self.records)
        return complete == len(self.data.plan)

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """All that is known of each run that has ended, in the study's order."""
        return self.data.records

    @property
    def runs(self) -> pd.DataFrame:
        """A row per run that has ended: its cell, seed, state, scores, costs and `run_id`."""
        return self.data.runs

    @property
    def summary(self) -> pd.DataFrame:
        """A row per task, method and train size, with means over seeds and their standard deviations."""
        return self.data.summary

    @property
    def comparisons(self) -> pd.DataFrame:
        """A row per comparison of a method with a reference.

        `difference` is method minus reference in the task's main metric, from `low` to `high` with 95%
        confidence; p-values ending in `_adjusted` are Holm's.
        """
        rows = []
        for one in self.data.judgement.comparisons:
            interval = one.difference
            ends = {"difference": interval.mean, "low": interval.low, "high": interval.high}
            rows.append({name: value for name, value in asdict(one).items() if name != "difference"} | ends)
        return pd.DataFrame(rows)

    @property
    def decision(self) -> pd.DataFrame:
        """A row per decision: what is recommended on a task and train size, and whether that is shown.

        `score` is the recommended candidate's mean, `low` and `high` its 95% interval, `costs_at_most` how
        much better the best one may be; `may_be_best` names all that may be.
        """
        rows = []
        for place, one in self.data.judgement.decisions.items():
            row: dict[str, object] = {
                "task": place.task,
                "train_size": place.train_size,
                "recommended": one.recommended,
            }
            row |= {"state": one.state, "margin": one.margin, "prefer": one.prefer}
            if one.recommended is not None:
                chosen = one[one.recommended]
                row |= {"score": chosen.mean, "low": chosen.interval.low, "high": chosen.interval.high}
                row["costs_at_most"] = chosen.costs_at_most
            row["may_be_best"] = [other.name for other in one.candidates if other.may_be_best]
            rows.append(row)
        return pd.DataFrame(rows)

    def show(self, *, height: int = 800) -> Any:
        """Show the report's page in a notebook, this many pixels high.

        Raises:
            InputError: IPython is not installed.
        """
        try:
            from IPython.display import HTML
        except ImportError as error:
            raise InputError(f"show() needs a notebook; open {self.report} in a browser") from error
        # the page is one file, so that it can be held by the notebook; its scripts stay inside the frame
        page = html.escape(self.report.read_text(encoding="utf-8"), quote=True)
        style = f"width: 100%; height: {height}px; border: 0"
        return HTML(f'<iframe srcdoc="{page}" style="{style}" title="{self.study.name}"></iframe>')

    def predictions(self, run_id: str) -> pd.DataFrame:
        """Return a row per test example of a run: reference, prediction, loss and scores.

        Raises:
            KeyError: no run of the study with this id has predictions.
        """
        return open_parquet(self._run(run_id).predictions).read().to_pandas(use_threads=False)

    def curve(self, run_id: str) -> pd.DataFrame:
        """Return a row per logged or evaluated step of a run.

        Raises:
            KeyError: no run of the study with this id has a curve.
        """
        points = [point.model_dump(exclude_none=True) for point in read_curve(self._run(run_id))]
        return pd.DataFrame([point | point.pop("scores", {}) for point in points])

    def _run(self, run_id: str) -> RunFolder:
        if run_id not in {record.run_id for record in self.records if record.state == "complete"}:
            raise KeyError(f"no complete run {run_id!r} in {self.folder}")
        return StudyFolder(self.folder).run(run_id)
