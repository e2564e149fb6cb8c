"""Judge a study: intervals, comparisons, and the health of every run."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tuneoff.results import BaselineRecord, CurvePoint, RunRecord, StudyFolder
from tuneoff.spec import NoneSpec, StudySpec, variants
from tuneoff.stats.answers import Answers, answers_of, read_answers
from tuneoff.stats.cells import Cell, TaskSize
from tuneoff.stats.compare import Comparison, Contrast, compare, comparisons
from tuneoff.stats.crossover import Crossover, crossovers
from tuneoff.stats.examples import RunScores, Scores, common, joint_scores
from tuneoff.stats.health import Finding, RunEvidence, diagnose, diagnose_study
from tuneoff.stats.intervals import ALPHA, Interval, interval

COMPARED_RUNS = 40
"""Runs of each task whose predictions are compared with one another: all would not fit into memory."""


class AgainstBaseline(NamedTuple):
    """A method against the strongest baseline of its task and train size."""

    baseline: str
    contrast: Contrast

    @property
    def beaten(self) -> bool:
        """Whether the method is above it by more than chance."""
        return self.contrast.difference.low > 0


class Best(NamedTuple):
    """The trained method with the highest mean on one task and train size."""

    method: str
    interval: Interval
    """Wide enough to hold the truth 95% of the time although the method was chosen for its mean (Bonferroni's
    adjustment for the number of methods)."""
    of: int
    """The number of methods it was chosen from."""


@dataclass(frozen=True)
class Judgement:
    """What may be claimed from a study's results."""

    intervals: Mapping[Cell, Interval] = field(default_factory=dict)
    """Of each cell's main metric."""
    best: Mapping[TaskSize, Best] = field(default_factory=dict)
    """Of each task and train size, among trained methods without ablation variants."""
    comparisons: tuple[Comparison, ...] = ()
    against_baseline: Mapping[Cell, AgainstBaseline] = field(default_factory=dict)
    crossovers: tuple[Crossover, ...] = ()
    """Where a method overtakes a reference as training rows grow."""
    findings: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    """Of each run, by id; empty for a run that passed all checks."""
    study_findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class _Baseline:
    """The strongest baseline of a task and train size, with its predictions."""

    record: BaselineRecord
    answers: Answers


@dataclass
class _CollectedRuns:
    """What is kept of all runs after reading each one's predictions once; they do not fit into memory."""

    findings: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    scores: dict[str, RunScores] = field(default_factory=dict)
    """Of each run with predictions, the main metric by test row."""
    compared: dict[str, Answers] = field(default_factory=dict)
    """The predictions of the first runs of each task."""


def judge(
    folder: Path,
    study: StudySpec,
    records: Iterable[RunRecord],
    curves: Mapping[str, tuple[CurvePoint, ...]],
    baselines: Iterable[BaselineRecord],
) -> Judgement:
    """Judge a study from the predictions, curves and records in its folder.

    Raises:
        StoreError: predictions are damaged.
    """
    records = tuple(records)
    untrained = frozenset(name for name, method in variants(study) if isinstance(method, NoneSpec))
    ablated = frozenset(name for name, _ in variants(study) if name not in study.methods)
    strongest = {
        task_size: _Baseline(record, _baseline_answers(folder, record))
        for task_size, record in strongest_baselines(baselines).items()
    }
    runs = _collect_runs(folder, records, curves, strongest)
    cells = _cells(records, runs.scores)
    candidates = {
        cell: scores
        for cell, scores in cells.items()
        if cell.method not in ablated and cell.method not in untrained
    }
    return Judgement(
        intervals={
            cell: interval(scores.values, seeded=cell.method not in untrained)
            for cell, scores in cells.items()
        },
        best=best_methods(candidates),
        comparisons=comparisons(
            cells,
            references=study.references,
            untrained=untrained,
            margin=study.comparison.margin,
            metrics={name: task.main_metric for name, task in study.tasks.items()},
            ablated=ablated,
        ),
        against_baseline=_against_baselines(cells, strongest),
        crossovers=crossovers(
            cells,
            rows=train_rows(records),
            references=[name for name in study.references if name not in untrained],
            untrained=untrained,
            ablated=ablated,
        ),
        findings=runs.findings,
        study_findings=diagnose_study(records, runs.compared),
    )


def best_methods(cells: Mapping[Cell, Scores]) -> dict[TaskSize, Best]:
    """Return the method with the highest mean of each task and train size, among trained ones."""
    candidates: dict[TaskSize, dict[str, Scores]] = {}
    for (task, method, size), scores in cells.items():
        candidates.setdefault(TaskSize(task, size), {})[method] = scores
    best = {}
    for task_size, methods in candidates.items():
        name = max(methods, key=lambda one: methods[one].values.mean())
        found = interval(methods[name].values, alpha=ALPHA / len(methods))
        best[task_size] = Best(name, found, len(methods))
    return best


def train_rows(records: Iterable[RunRecord]) -> dict[TaskSize, int]:
    """Return the number of training rows used at each task and train size."""
    return {
        Cell.of(record.spec).task_size: record.data.train.used
        for record in records
        if record.data and not isinstance(record.spec.method, NoneSpec)
    }


def strongest_baselines(baselines: Iterable[BaselineRecord]) -> dict[TaskSize, BaselineRecord]:
    """Return the best baseline of each task and train size that does not see the references."""
    best: dict[TaskSize, BaselineRecord] = {}
    for one in baselines:
        key, metric = TaskSize(one.task_name, one.train_size), one.task.main_metric
        if not one.upper_bound and (key not in best or one.scores[metric] > best[key].scores[metric]):
            best[key] = one
    return best


def _baseline_answers(folder: Path, baseline: BaselineRecord) -> Answers:
    files = StudyFolder(folder).baseline(baseline.task_name, baseline.train_size, baseline.name)
    return read_answers(files.predictions, baseline.task.main_metric)


def _collect_runs(
    folder: Path,
    records: tuple[RunRecord, ...],
    curves: Mapping[str, tuple[CurvePoint, ...]],
    strongest: Mapping[TaskSize, _Baseline],
) -> _CollectedRuns:
    """Read the predictions of each run once, for its health and its scores."""
    untrained = {one.spec.task_name: one for one in records if isinstance(one.spec.method, NoneSpec)}
    zero_shot = {task: answers_of(folder, record) for task, record in untrained.items()}
    runs = _CollectedRuns()
    compared = Counter[str]()
    for record in records:
        task = record.spec.task_name
        answers = zero_shot[task] if record is untrained.get(task) else answers_of(folder, record)
        baseline = strongest.get(Cell.of(record.spec).task_size)
        evidence = RunEvidence(
            record=record,
            curve=curves.get(record.run_id, ()),
            answers=answers,
            zero_shot=zero_shot.get(task),
            baseline=(baseline.record.name, baseline.answers) if baseline else None,
        )
        runs.findings[record.run_id] = diagnose(evidence)
        if answers is None:
            continue
        runs.scores[record.run_id] = RunScores(answers.rows, answers.scores(evidence.metric))
        if compared[task] < COMPARED_RUNS:
            compared[task] += 1
            runs.compared[record.run_id] = answers
    return runs


def _cells(records: Iterable[RunRecord], scores: Mapping[str, RunScores]) -> dict[Cell, Scores]:
    """Return the scores of each cell over its complete runs."""
    grouped: dict[Cell, dict[int, RunScores]] = {}
    for record in records:
        if record.state == "complete" and record.run_id in scores:
            by_seed = grouped.setdefault(Cell.of(record.spec), {})
            by_seed[record.spec.seed] = scores[record.run_id]
    joint = {cell: joint_scores(by_seed) for cell, by_seed in grouped.items()}
    return {cell: found for cell, found in joint.items() if found is not None}


def _against_baselines(
    cells: Mapping[Cell, Scores], strongest: Mapping[TaskSize, _Baseline]
) -> dict[Cell, AgainstBaseline]:
    """Compare each cell with its strongest baseline, on the examples that both answered."""
    found = {}
    for cell, scores in cells.items():
        baseline = strongest.get(cell.task_size)
        if baseline is None:
            continue
        record, answers = baseline.record, baseline.answers
        values = answers.scores(record.task.main_metric)[None]  # [1, N]
        baseline_scores = Scores((record.seed,), tuple(answers.rows.tolist()), values)
        rows = common(scores.rows, baseline_scores.rows)
        if rows:
            contrast = compare(scores.at(scores.seeds, rows), baseline_scores.at((record.seed,), rows))
            found[cell] = AgainstBaseline(record.name, contrast)
    return found
