"""What came of a study, for Python."""

from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from tuneoff.reporting.data import ReportData
from tuneoff.results import RunFolder, RunRecord, StudyFolder, read_curve
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

    def predictions(self, run_id: str) -> pd.DataFrame:
        """Return a row per test example of a run: reference, prediction, loss and scores.

        Raises:
            KeyError: no run of the study with this id has predictions.
        """
        return pd.read_parquet(self._run(run_id).predictions)

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
