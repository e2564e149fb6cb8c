"""All that a report is made from: the study, its runs as planned, and what is known of each."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from tuneoff.spec import (
    BaselineRecord,
    CurvePoint,
    NoneSpec,
    RunRecord,
    RunSpec,
    SearchResult,
    StudySpec,
    TrainSize,
    Variant,
    expand,
    read_baselines,
    read_curve,
    read_records,
    read_searches,
    read_study,
    searches,
    variants,
)
from tuneoff.stats import Judgement, frame, judge, summary

CellKey = tuple[str, str, TrainSize]
"""Task, method and train size: what a row of the summary stands for."""


@dataclass(frozen=True)
class ReportData:
    """A study, its planned runs, and the records and curves that belong to them, in study order."""

    study: StudySpec
    plan: tuple[RunSpec, ...]
    records: tuple[RunRecord, ...]
    strangers: tuple[str, ...]
    """Ids of records in the folder that are no run of the study."""
    searches: tuple[SearchResult, ...]
    """Results of the study's searches, in its order."""
    baselines: tuple[BaselineRecord, ...]
    """Baselines of the study's tasks and train sizes."""
    judgement: Judgement
    curves: dict[str, tuple[CurvePoint, ...]]
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
    def cells(self) -> tuple[CellKey, ...]:
        """Every row that the complete study has, in study order."""
        return tuple(dict.fromkeys((run.task_name, run.method_name, run.train_size) for run in self.plan))

    @cached_property
    def untrained(self) -> frozenset[str]:
        """Names of the methods that are not trained."""
        return frozenset(name for name, method in self.variants if isinstance(method, NoneSpec))

    @property
    def several_sizes(self) -> bool:
        """Whether the study compares train sizes."""
        return len(self.study.train_sizes) > 1

    def of_cell(self, cell: CellKey) -> tuple[RunRecord, ...]:
        """The records behind one row, whatever their state."""
        return tuple(self._by_cell.get(cell, ()))

    @cached_property
    def _by_cell(self) -> dict[CellKey, list[RunRecord]]:
        cells: dict[CellKey, list[RunRecord]] = {}
        for record in self.records:
            cells.setdefault(_cell(record.spec), []).append(record)
        return cells


def gather(folder: Path) -> ReportData:
    """What the output folder of a study holds.

    Raises:
        StoreError: the folder holds no study, or a record is damaged.
    """
    study = read_study(folder)
    results = read_searches(folder)
    plan = expand(study, results)
    records, strangers = matched(plan, read_records(folder))
    curves = {record.run_id: read_curve(folder, record.run_id) for record in records}
    baselines = _of_data(study, read_baselines(folder))
    return ReportData(
        study=study,
        plan=plan,
        records=records,
        strangers=strangers,
        searches=_of_study(study, results),
        baselines=baselines,
        judgement=judge(folder, study, records, curves, baselines),
        curves=curves,
    )


def _of_data(study: StudySpec, baselines: Iterable[BaselineRecord]) -> tuple[BaselineRecord, ...]:
    """The baselines of the study as it is, in its order."""
    tasks, sizes = list(study.tasks), list(study.train_sizes)
    own = [one for one in baselines if one.task_name in tasks and one.train_size in sizes]
    return tuple(sorted(own, key=lambda one: (tasks.index(one.task_name), sizes.index(one.train_size))))


def _of_study(study: StudySpec, results: Iterable[SearchResult]) -> tuple[SearchResult, ...]:
    known = {result.search_id: result for result in results}
    return tuple(known[one.search_id] for one in searches(study) if one.search_id in known)


def matched(
    plan: Iterable[RunSpec], records: Iterable[RunRecord]
) -> tuple[tuple[RunRecord, ...], tuple[str, ...]]:
    """The records of the planned runs in the plan's order, and the ids of the others.

    A run is found by all that it says but the places of its model and data: a folder that was moved to
    another machine has other absolute paths in its study, so other run ids, and is still the same study.
    """
    plan = tuple(plan)
    planned = {run.run_id for run in plan}
    found: dict[str, RunRecord] = {}
    ordered = sorted(records, key=lambda record: record.run_id in planned)  # the planned id wins
    for record in ordered:
        found[_without_places(record.spec)] = record
    kept = tuple(found[key] for run in plan if (key := _without_places(run)) in found)
    ids = {record.run_id for record in kept}
    return kept, tuple(record.run_id for record in ordered if record.run_id not in ids)


def _without_places(run: RunSpec) -> str:
    return run.model_dump_json(exclude={"model": {"id"}, "task": {"source"}})


def _cell(run: RunSpec) -> CellKey:
    return run.task_name, run.method_name, run.train_size
