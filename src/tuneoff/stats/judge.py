"""All that is judged of a study: intervals, comparisons, and the health of every run."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tuneoff.spec import BaselineRecord, CurvePoint, NoneSpec, RunRecord, StudySpec, TrainSize, variants
from tuneoff.spec.results import baseline_stem
from tuneoff.stats.compare import CellKey, Comparison, Contrast, compare, comparisons
from tuneoff.stats.crossover import Crossover, crossovers
from tuneoff.stats.examples import COLUMNS, ROW, Scores, cell_scores, predictions, read_answers
from tuneoff.stats.health import Finding, RunEvidence, diagnose, diagnose_study
from tuneoff.stats.intervals import Floats, Interval, interval

COMPARED_RUNS = 40
"""Of each task, whose answers are held side by side: all of them would not fit into memory."""
DataKey = tuple[str, TrainSize]
"""Task and train size."""


class AgainstBaseline(NamedTuple):
    """A method against the strongest baseline of its task and train size."""

    baseline: str
    contrast: Contrast

    @property
    def beaten(self) -> bool:
        """Whether the method is above it by more than chance."""
        return self.contrast.difference.low > 0


@dataclass(frozen=True)
class Judgement:
    """What may be said of a study's results."""

    intervals: Mapping[CellKey, Interval] = field(default_factory=dict)
    """Of each cell's main metric."""
    comparisons: tuple[Comparison, ...] = ()
    against_baseline: Mapping[CellKey, AgainstBaseline] = field(default_factory=dict)
    crossovers: tuple[Crossover, ...] = ()
    """Where a method overtakes a reference as training rows grow."""
    findings: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    """Of each run, by id; empty for a run that nothing is to be said of."""
    study_findings: tuple[Finding, ...] = ()


def judge(
    folder: Path,
    study: StudySpec,
    records: Iterable[RunRecord],
    curves: Mapping[str, tuple[CurvePoint, ...]],
    baselines: Iterable[BaselineRecord],
) -> Judgement:
    """The judgement of a study from the predictions, curves and records in its folder.

    Raises:
        StoreError: predictions are damaged.
    """
    records = tuple(records)
    strongest = strongest_baselines(baselines)
    untrained = frozenset(name for name, method in variants(study) if isinstance(method, NoneSpec))
    metrics = {name: task.main_metric for name, task in study.tasks.items()}
    cells = _cells(folder, records)
    answers = {key: _baseline_answers(folder, one) for key, one in strongest.items()}
    baseline_scores = {key: _baseline_scores(one, answers[key]) for key, one in strongest.items()}
    against = {
        cell: AgainstBaseline(strongest[key].name, compare(*sides))
        for cell, scores in cells.items()
        if (key := (cell[0], cell[2])) in strongest and (sides := _aligned(scores, baseline_scores[key]))
    }
    named = {key: (one.name, answers[key]) for key, one in strongest.items()}
    findings, compared = _findings(folder, records, curves, named)
    return Judgement(
        intervals={
            cell: interval(scores.values, seeded=cell[1] not in untrained) for cell, scores in cells.items()
        },
        comparisons=comparisons(
            cells,
            references=study.references,
            untrained=untrained,
            margin=study.comparison.margin,
            metrics=metrics,
        ),
        against_baseline=against,
        crossovers=crossovers(
            cells,
            rows=train_rows(records),
            references=[name for name in study.references if name not in untrained],
            untrained=untrained,
        ),
        findings=findings,
        study_findings=diagnose_study(records, compared),
    )


def train_rows(records: Iterable[RunRecord]) -> dict[DataKey, int]:
    """The training rows that stand behind each task and train size."""
    return {
        (record.spec.task_name, record.spec.train_size): record.data.train.used
        for record in records
        if record.data and not isinstance(record.spec.method, NoneSpec)
    }


def strongest_baselines(baselines: Iterable[BaselineRecord]) -> dict[DataKey, BaselineRecord]:
    """The best baseline of each task and train size that does not see the references."""
    best: dict[DataKey, BaselineRecord] = {}
    for one in baselines:
        key, metric = (one.task_name, one.train_size), one.task.main_metric
        if not one.upper_bound and (key not in best or one.scores[metric] > best[key].scores[metric]):
            best[key] = one
    return best


def _cells(folder: Path, records: tuple[RunRecord, ...]) -> dict[CellKey, Scores]:
    grouped: dict[CellKey, list[RunRecord]] = {}
    for record in records:
        spec = record.spec
        grouped.setdefault((spec.task_name, spec.method_name, spec.train_size), []).append(record)
    scores = {cell: cell_scores(folder, own) for cell, own in grouped.items()}
    return {cell: found for cell, found in scores.items() if found is not None}


def _baseline_scores(baseline: BaselineRecord, answers: pd.DataFrame) -> Scores:
    metric = baseline.task.main_metric
    table = answers.set_index(ROW)[COLUMNS.get(metric, metric)]
    return Scores((baseline.seed,), tuple(table.index.tolist()), table.to_numpy(dtype=float)[None])


def _baseline_answers(folder: Path, baseline: BaselineRecord) -> pd.DataFrame:
    stem = baseline_stem(baseline.task_name, baseline.train_size, baseline.name)
    return read_answers(folder / f"{stem}.parquet")


def _aligned(method: Scores, baseline: Scores) -> tuple[Floats, Floats] | None:
    """Scores [R, N] and [1, N] on the common examples; None without any."""
    known = set(baseline.rows)
    rows = [row for row in method.rows if row in known]
    return (method.at(method.seeds, rows), baseline.at(baseline.seeds, rows)) if rows else None


def _findings(
    folder: Path,
    records: tuple[RunRecord, ...],
    curves: Mapping[str, tuple[CurvePoint, ...]],
    strongest: Mapping[DataKey, tuple[str, pd.DataFrame]],
) -> tuple[dict[str, tuple[Finding, ...]], dict[str, pd.DataFrame]]:
    """The findings of each run, and the answers of the first runs of each task."""
    untouched = {
        record.spec.task_name: predictions(folder, record.run_id)
        for record in records
        if isinstance(record.spec.method, NoneSpec)
    }
    findings: dict[str, tuple[Finding, ...]] = {}
    kept: dict[str, pd.DataFrame] = {}
    of_task = Counter[str]()
    for record in records:
        task = record.spec.task_name
        answers = predictions(folder, record.run_id)
        evidence = RunEvidence(
            record=record,
            curve=curves.get(record.run_id, ()),
            predictions=answers,
            untouched=untouched.get(task),
            baseline=strongest.get((task, record.spec.train_size)),
        )
        findings[record.run_id] = diagnose(evidence)
        if answers is not None and of_task[task] < COMPARED_RUNS:
            of_task[task] += 1
            kept[record.run_id] = answers
    return findings, kept
