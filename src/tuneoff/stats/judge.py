"""Judge a study: intervals, comparisons, and the health of every run."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tuneoff.results import BaselineRecord, Contents, CurvePoint, RunRecord, StudyFolder, read_curve
from tuneoff.spec import NoneSpec, Quantization, StudySpec, variants
from tuneoff.stats.answers import Answers, answers_of, read_answers
from tuneoff.stats.cells import UNTRAINED_SIZE, Cell, TaskSize
from tuneoff.stats.compare import Comparison, Contrast, compare, comparisons
from tuneoff.stats.crossover import Crossover, crossovers
from tuneoff.stats.cuts import Cut, cut_curves, read_cuts
from tuneoff.stats.decide import Decision
from tuneoff.stats.examples import RunScores, Scores, common, joint_scores
from tuneoff.stats.forgetting import ForgetsMore, Forgotten, forgets_more, forgotten, increases
from tuneoff.stats.health import Finding, RunEvidence, diagnose, diagnose_study
from tuneoff.stats.intervals import ALPHA, Interval, interval
from tuneoff.stats.prices import PRICE_OF, mean_prices
from tuneoff.stats.racing import Course, Entrants, RunResult, race, shared_looks, within_budget

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
    courses: Mapping[TaskSize, Course] = field(default_factory=dict)
    """Of the races on each task and train size; empty if the seeds are fixed."""
    cuts: Mapping[Cell, tuple[Cut, ...]] = field(default_factory=dict)
    """Of each cell whose LoRA was cut: the whole, then its cuts, the one that keeps most first."""
    forgotten: Mapping[Cell, Forgotten] = field(default_factory=dict)
    """The loss on general text before and after tuning; empty if the study does not measure it."""
    forgets_more: Mapping[TaskSize, tuple[ForgetsMore, ...]] = field(default_factory=dict)
    """Of each decision, the candidates that are as good as the recommended one and forget less."""


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
    def scores(self) -> RunScores:
        """Its own score of each example."""
        return RunScores(self.answers.rows, self.answers.scores(self.record.task.main_metric))


@dataclass
class Evidence:
    """What is kept of a folder after reading each run's predictions once; they do not fit into memory."""

    curves: Mapping[str, tuple[CurvePoint, ...]]
    """From run id to its logged and evaluated steps."""
    baselines: list[_Baseline]
    """Those that do not see the references."""
    findings: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    scores: dict[str, RunScores] = field(default_factory=dict)
    """Of each run with predictions, the main metric by test row."""
    cuts: dict[str, dict[float, RunScores]] = field(default_factory=dict)
    """Of each run, the same of what is left of its LoRA at each share that it was cut to."""
    increases: dict[str, RunScores] = field(default_factory=dict)
    """Of each run that measured forgetting, by how much its loss on each general text is higher."""
    compared: dict[str, Answers] = field(default_factory=dict)
    """The predictions of the first runs of each task."""


def judge(
    study: StudySpec,
    records: Iterable[RunRecord],
    evidence: Evidence,
    courses: Mapping[TaskSize, Course] = MappingProxyType({}),
) -> Judgement:
    """Judge a study from its records and their evidence, which may be that of further records, too.

    `courses` are those of a study that races its methods.
    """
    records = tuple(records)
    ids = {record.run_id for record in records}
    untrained = _untrained(study)
    ablated = frozenset(one.name for one in variants(study) if one.name not in study.all_methods)
    strongest = strongest_baselines(evidence.baselines)
    cells = _cells(records, evidence.scores)
    of_methods = {
        cell: scores
        for cell, scores in cells.items()
        if cell.method not in ablated and cell.method not in untrained
    }
    decisions = _decisions(_entrants(study, records, evidence), courses)
    increased = _cells(records, evidence.increases)
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
            shares=_error_shares(study, courses),
            alone={name: one.method for name, one in study.mixed.items()},
        ),
        against_baseline=_against_baselines(cells, strongest),
        crossovers=crossovers(
            cells,
            rows=train_rows(records),
            references=[name for name in study.references if name not in untrained],
            untrained=untrained,
            ablated=ablated,
        ),
        findings={run_id: found for run_id, found in evidence.findings.items() if run_id in ids},
        study_findings=diagnose_study(
            records, {run_id: answers for run_id, answers in evidence.compared.items() if run_id in ids}
        ),
        decisions=decisions,
        courses=courses,
        cuts=cut_curves(
            records,
            evidence.scores,
            evidence.cuts,
            margin=study.decision_margin,
            shares=_error_shares(study, courses),
        ),
        forgotten=forgotten(records, increased, untrained),
        forgets_more=forgets_more(decisions, increased, untrained),
    )


def race_courses(found: Contents, evidence: Callable[[], Evidence]) -> dict[TaskSize, Course]:
    """Return the course of the race on each task and train size; none if the seeds are fixed.

    Then there is no need of the evidence.
    """
    study, records = found.study, found.records
    if study.race is None:
        return {}
    looks = shared_looks(study.race.looks)
    entrants = _entrants(study, records, evidence())
    courses = {place: race(own, study.all_seeds, looks) for place, own in entrants.items()}
    return within_budget(courses, study, records)


def _decisions(
    entrants: Mapping[TaskSize, Entrants], courses: Mapping[TaskSize, Course]
) -> dict[TaskSize, Decision]:
    """Return the decision of each task and train size that has a result of a trained method.

    That of a race is the one of its latest look.
    """
    decisions = {}
    for place, own in entrants.items():
        decision = courses[place].decision if place in courses else own.decision()
        if decision and any(one.name in own.trained for one in decision.candidates):
            decisions[place] = decision
    return decisions


def _error_shares(study: StudySpec, courses: Mapping[TaskSize, Course]) -> dict[Cell, float]:
    """Return the part of the error that belongs to the latest look at each method of a race."""
    if study.race is None:
        return {}
    looks = shared_looks(study.race.looks, alpha=1.0)
    of_seeds = {look.seeds: look.alpha for look in looks}
    shares = {}
    for (task, size), course in courses.items():
        seeds = course.look.seeds if course.look else looks[0].seeds
        for method, number in course.seeds.items():
            shares[Cell(task, method, size)] = of_seeds[min(number, seeds)]
    return shares


def _untrained(study: StudySpec) -> frozenset[str]:
    """Return the names of methods and variants that are not trained."""
    return frozenset(one.name for one in variants(study) if isinstance(one.method, NoneSpec))


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


def _entrants(
    study: StudySpec,
    records: Iterable[RunRecord],
    evidence: Evidence,
) -> dict[TaskSize, Entrants]:
    """Return the candidates of each task and train size: the study's methods, and the baselines.

    Ablation variants are no candidates. What is not trained is one at every train size.
    """
    untrained = _untrained(study)
    of_cell: dict[Cell, dict[int, RunResult | None]] = {}
    for record in records:
        if record.state != "cancelled":  # then it has not ended
            result = _run_result(study, record, evidence) if record.state == "complete" else None
            of_cell.setdefault(Cell.of(record.spec), {})[record.spec.seed] = result
    entrants = {}
    for task, size in product(study.tasks, study.train_sizes):
        results: dict[str, Mapping[int, RunResult | None]] = {}
        for method in study.methods_on(task):
            own_size = UNTRAINED_SIZE if method in untrained else size
            results[method] = of_cell.get(Cell(task, method, own_size), {})
        own = [one for one in evidence.baselines if one.task_size == TaskSize(task, size)]
        for one in own:
            results[one.candidate] = {one.record.seed: RunResult(one.scores, 0.0, ())}
        entrants[TaskSize(task, size)] = Entrants(
            results,
            untrained={*untrained, *(one.candidate for one in own)},
            margin=study.decision_margin,
            prefer=study.comparison.prefer,
        )
    return entrants


def _run_result(study: StudySpec, record: RunRecord, evidence: Evidence) -> RunResult:
    """Return what a decision needs of a complete run."""
    # what is not trained has nothing to store and nothing to train
    price: float | None = 0.0
    if not isinstance(record.spec.method, NoneSpec):
        price = mean_prices([record]).get(PRICE_OF.get(study.comparison.prefer, ""))
    findings = evidence.findings[record.run_id]
    failed = tuple(one.check for one in findings if one.level == "error")
    return RunResult(evidence.scores.get(record.run_id), price, failed)


def read_evidence(
    folder: Path, records: tuple[RunRecord, ...], baselines: Iterable[BaselineRecord]
) -> Evidence:
    """Read curves and predictions of runs and baselines, those of each run once, and diagnose each run.

    Raises:
        StoreError: predictions or curves are damaged.
    """
    curves = {record.run_id: read_curve(StudyFolder(folder).run(record.run_id)) for record in records}
    evidence = Evidence(curves, _read_baselines(folder, baselines))
    strongest = strongest_baselines(evidence.baselines)
    # of several untrained ones, the study's own method is the first
    untrained: dict[tuple[str, Quantization | None], RunRecord] = {}
    for record in records:
        if isinstance(record.spec.method, NoneSpec):
            untrained.setdefault((record.spec.task_name, record.spec.model.quantization), record)
    zero_shot = {place: answers_of(folder, record) for place, record in untrained.items()}
    compared = Counter[str]()
    for record in records:
        task = record.spec.task_name
        place = task, record.spec.model.quantization
        answers = zero_shot[place] if record is untrained.get(place) else answers_of(folder, record)
        baseline = strongest.get(Cell.of(record.spec).task_size)
        run = RunEvidence(
            record=record,
            curve=curves[record.run_id],
            answers=answers,
            zero_shot=zero_shot.get(place),
            baseline=(baseline.record.name, baseline.answers) if baseline else None,
        )
        evidence.findings[record.run_id] = diagnose(run)
        if (increased := increases(folder, record)) is not None:
            evidence.increases[record.run_id] = increased
        if answers is None:
            continue
        evidence.scores[record.run_id] = RunScores(answers.rows, answers.scores(run.metric))
        evidence.cuts[record.run_id] = read_cuts(folder, record)
        if compared[task] < COMPARED_RUNS:
            compared[task] += 1
            evidence.compared[record.run_id] = answers
    return evidence


def _read_baselines(folder: Path, baselines: Iterable[BaselineRecord]) -> list[_Baseline]:
    """Read the predictions of the baselines that do not see the references."""
    read = []
    for one in baselines:
        if not one.upper_bound:
            files = StudyFolder(folder).baseline(one.task_name, one.train_size, one.name)
            read.append(_Baseline(one, read_answers(files.predictions, one.task.main_metric)))
    return read


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
        theirs = Scores((0,), tuple(baseline.scores.rows.tolist()), baseline.scores.values[None])
        rows = common(scores.rows, theirs.rows)
        if rows:
            sides = scores.at(scores.seeds, rows), theirs.at(theirs.seeds, rows)
            found[cell] = AgainstBaseline(baseline.record.name, compare(*sides))
    return found
