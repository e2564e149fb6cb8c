"""Load what a report is made from: the study, its planned runs, their records, and the judgement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from tuneoff.phrases import plural
from tuneoff.results import Contents, CurvePoint, RunRecord, read_folder
from tuneoff.spec import NoneSpec, RunSpec, TrainSize, Variant, variants
from tuneoff.stats import (
    Cell,
    Course,
    Evidence,
    Judgement,
    Prices,
    TaskSize,
    frame,
    judge,
    mean_prices,
    needed_runs,
    race_courses,
    read_evidence,
    summary,
)


@dataclass(frozen=True, kw_only=True)
class ReportData(Contents):
    """The contents of a study's output folder, with its curves and its judgement."""

    folder: Path
    """The output folder."""
    judgement: Judgement
    curves: Mapping[str, tuple[CurvePoint, ...]]
    """From run id to its logged and evaluated steps."""

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row per record."""
        return frame(self.records)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row per task, method and train size that has a complete run."""
        return summary(self.runs)

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """Methods and ablation variants, methods first."""
        return variants(self.study)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of the complete study, in study order."""
        return tuple(dict.fromkeys(Cell.of(run) for run in self.plan))

    @cached_property
    def untrained(self) -> frozenset[str]:
        """Names of the methods that are not trained."""
        return frozenset(one.name for one in self.variants if isinstance(one.method, NoneSpec))

    @cached_property
    def recorded(self) -> tuple[tuple[RunSpec, RunRecord | None], ...]:
        """Each planned run with its record, if it has one; by cells, in their order."""
        records = {record.spec.settings_key: record for record in self.records}
        places = {cell: place for place, cell in enumerate(self.cells)}
        plan = sorted(self.plan, key=lambda run: places[Cell.of(run)])
        return tuple((run, records.get(run.settings_key)) for run in plan)

    @property
    def references(self) -> tuple[str, ...]:
        """What all others are compared with, and then what those on mixtures are compared with, too."""
        alone = (one.method for one in self.study.mixed.values())
        return tuple(dict.fromkeys((*self.study.references, *alone)))

    @property
    def several_sizes(self) -> bool:
        """Whether the study compares train sizes."""
        return len(self.study.train_sizes) > 1

    def place(self, task: str, train_size: TrainSize) -> str:
        """Return a task and train size in words; the size only where the study compares several."""
        return f"{task} with {train_size} training rows" if self.several_sizes else task

    def of_cell(self, cell: Cell) -> tuple[RunRecord, ...]:
        """Return the records of one cell, whatever their state."""
        return tuple(self._by_cell.get(cell, ()))

    @cached_property
    def prices(self) -> dict[Cell, Prices]:
        """The mean prices of each cell's complete runs."""
        return {
            cell: mean_prices(one for one in runs if one.state == "complete")
            for cell, runs in self._by_cell.items()
        }

    @cached_property
    def _by_cell(self) -> dict[Cell, list[RunRecord]]:
        cells: dict[Cell, list[RunRecord]] = {}
        for record in self.records:
            cells.setdefault(Cell.of(record.spec), []).append(record)
        return cells


def load_report_data(folder: Path) -> ReportData:
    """Load and judge the output folder of a study.

    Raises:
        StoreError: the folder holds no study.
    """
    found = read_folder(folder)
    evidence = read_evidence(folder, found.records, found.baselines)
    found, courses = as_raced(found, lambda: evidence)
    judgement = judge(found.study, found.records, evidence, courses)
    return ReportData(**vars(found), folder=folder, judgement=judgement, curves=evidence.curves)


def as_raced(found: Contents, evidence: Callable[[], Evidence]) -> tuple[Contents, Mapping[TaskSize, Course]]:
    """Return the contents with the runs and records that the races need, and the course of each race.

    If the seeds are fixed, all are needed and there is no course. A result that a race does not need must not
    be used: it could have been added because of what it shows.
    """
    courses = race_courses(found, evidence)
    plan = needed_runs(found.study, found.plan, courses)
    if len(plan) == len(found.plan):
        return found, courses
    needed = {run.settings_key for run in plan}
    records = tuple(one for one in found.records if one.spec.settings_key in needed)
    notes = found.notes
    if unused := len(found.records) - len(records):
        notes += (f"{plural(unused, 'result')} that the race did not need, with further seeds, are not used",)
    return replace(found, plan=plan, records=records, notes=notes), courses
