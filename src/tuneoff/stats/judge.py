"""Judge a study: intervals, comparisons, and the health of every run."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tuneoff.results import BaselineRecord, CurvePoint, RunRecord, StudyFolder
from tuneoff.spec import NoneSpec, StudySpec, variants
from tuneoff.stats.answers import Answers, answers_of, read_answers
from tuneoff.stats.cells import UNTRAINED_SIZE, Cell, TaskSize
from tuneoff.stats.compare import Comparison, Contrast, compare, comparisons
from tuneoff.stats.crossover import Crossover, crossovers
from tuneoff.stats.decide import Decision, decide
from tuneoff.stats.examples import RunScores, Scores, common, joint_scores
from tuneoff.stats.health import Finding, RunEvidence, diagnose, diagnose_study
from tuneoff.stats.intervals import ALPHA, Interval, interval
from tuneoff.stats.prices import PRICE_OF, mean_prices

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
    decisions: Mapping[TaskSize, Decision] = field(default_factory=dict)
    """What to use on each task and train size, among methods, the base model and baselines."""


@dataclass(frozen=True)
class _Baseline:
    """A baseline of a task and train size, with its predictions."""

    record: BaselineRecord
    answers: Answers

    @property
    def task_size(self) -> TaskSize:
        """Its task and train size."""
        return TaskSize(self.record.task_name, self.record.train_size)

    @property
    def candidate(self) -> str:
        """Its name among the candidates of a decision."""
        return f"baseline {self.record.name}"

    @property
    def scores(self) -> Scores:
        """Its own score of each example, [1, N]."""
        values = self.answers.scores(self.record.task.main_metric)[None]
        return Scores((self.record.seed,), tuple(self.answers.rows.tolist()), values)


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
    read = [_Baseline(one, _baseline_answers(folder, one)) for one in baselines if not one.upper_bound]
    strongest = strongest_baselines(read)
    runs = _collect_runs(folder, records, curves, strongest)
    cells = _cells(records, runs.scores)
    of_methods = {
        cell: scores
        for cell, scores in cells.items()
        if cell.method not in ablated and cell.method not in untrained
    }
    return Judgement(
        intervals={
            cell: interval(scores.values, seeded=cell.method not in untrained)
            for cell, scores in cells.items()
        },
        best=best_methods(of_methods),
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
        decisions=_decisions(study, records, cells, read, runs.findings, untrained),
    )


def best_methods(cells: Mapping[Cell, Scores]) -> dict[TaskSize, Best]:
    """Return the method with the highest mean of each task and train size, among trained ones."""
    by_place: dict[TaskSize, dict[str, Scores]] = {}
    for (task, method, size), scores in cells.items():
        by_place.setdefault(TaskSize(task, size), {})[method] = scores
    best = {}
    for task_size, methods in by_place.items():
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


def strongest_baselines(baselines: Iterable[_Baseline]) -> dict[TaskSize, _Baseline]:
    """Return the best baseline of each task and train size."""
    best: dict[TaskSize, _Baseline] = {}
    for one in baselines:
        key, metric = one.task_size, one.record.task.main_metric
        if key not in best or one.record.scores[metric] > best[key].record.scores[metric]:
            best[key] = one
    return best


def _decisions(
    study: StudySpec,
    records: Iterable[RunRecord],
    cells: Mapping[Cell, Scores],
    baselines: Iterable[_Baseline],
    findings: Mapping[str, tuple[Finding, ...]],
    untrained: frozenset[str],
) -> dict[TaskSize, Decision]:
    """Decide for each task and train size that has a result of a trained method.

    Candidates are the study's methods, without ablation variants, and the baselines; what is not trained is a
    candidate at every train size.
    """
    of_cell: dict[Cell, list[RunRecord]] = {}
    for record in records:
        if record.state == "complete":
            of_cell.setdefault(Cell.of(record.spec), []).append(record)
    decisions = {}
    for task_size in dict.fromkeys(cell.task_size for cell in cells if cell.method not in untrained):
        scores: dict[str, Scores] = {}
        prices: dict[str, float | None] = {}
        failed: dict[str, list[str]] = {}
        for method in study.methods:
            size = UNTRAINED_SIZE if method in untrained else task_size.train_size
            cell = Cell(task_size.task, method, size)
            if cell in cells:
                scores[method] = cells[cell]
                price = mean_prices(of_cell[cell]).get(PRICE_OF.get(study.comparison.prefer, ""))
                # what is not trained has nothing to store and nothing to train
                prices[method] = 0.0 if method in untrained else price
                failed[method] = _failed_checks(findings, of_cell[cell])
        own = [one for one in baselines if one.task_size == task_size]
        for one in own:
            scores[one.candidate], prices[one.candidate] = one.scores, 0.0
        decisions[task_size] = decide(
            scores,
            untrained={*untrained, *(one.candidate for one in own)},
            margin=study.decision_margin,
            prefer=study.comparison.prefer,
            prices=prices,
            findings=failed,
        )
    return decisions


def _failed_checks(findings: Mapping[str, tuple[Finding, ...]], records: Iterable[RunRecord]) -> list[str]:
    """Return the health checks that any of a cell's runs failed."""
    failed = {
        one.check for record in records for one in findings.get(record.run_id, ()) if one.level == "error"
    }
    return sorted(failed)


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
        theirs = baseline.scores
        rows = common(scores.rows, theirs.rows)
        if rows:
            sides = scores.at(scores.seeds, rows), theirs.at(theirs.seeds, rows)
            found[cell] = AgainstBaseline(baseline.record.name, compare(*sides))
    return found
