"""All that is judged of a study: intervals, comparisons, and the health of every run."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tuneoff.spec import BaselineRecord, CurvePoint, NoneSpec, RunRecord, StudySpec, TrainSize, variants
from tuneoff.spec.results import baseline_stem
from tuneoff.stats.answers import Answers, answers_of, read_answers
from tuneoff.stats.compare import CellKey, Comparison, Contrast, compare, comparisons
from tuneoff.stats.crossover import Crossover, crossovers
from tuneoff.stats.examples import RunScores, Scores, joint_scores
from tuneoff.stats.health import Finding, RunEvidence, diagnose, diagnose_study
from tuneoff.stats.intervals import ALPHA, Floats, Interval, interval

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


class Best(NamedTuple):
    """The trained method with the highest mean on one task and train size."""

    method: str
    interval: Interval
    """Wide enough to hold the truth 95% of the time although the method was chosen for its mean: each of the
    methods has one that holds it with Bonferroni's level."""
    of: int
    """How many methods it was chosen from."""


@dataclass(frozen=True)
class Judgement:
    """What may be said of a study's results."""

    intervals: Mapping[CellKey, Interval] = field(default_factory=dict)
    """Of each cell's main metric."""
    best: Mapping[DataKey, Best] = field(default_factory=dict)
    """Of each task and train size, among trained methods without ablation variants."""
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
    answers = {key: _baseline_answers(folder, one) for key, one in strongest.items()}
    named = {key: (one.name, answers[key]) for key, one in strongest.items()}
    runs = _collect_runs(folder, records, curves, named)
    cells = _cells(records, runs.scores)
    baseline_scores = {key: _baseline_scores(one, answers[key]) for key, one in strongest.items()}
    against = {
        cell: AgainstBaseline(strongest[key].name, compare(*sides))
        for cell, scores in cells.items()
        if (key := (cell[0], cell[2])) in strongest and (sides := _aligned(scores, baseline_scores[key]))
    }
    ablated = frozenset(name for name, _ in variants(study) if name not in study.methods)
    main = {cell: one for cell, one in cells.items() if cell[1] not in ablated | untrained}
    return Judgement(
        intervals={
            cell: interval(scores.values, seeded=cell[1] not in untrained) for cell, scores in cells.items()
        },
        best=best_methods(main),
        comparisons=comparisons(
            cells,
            references=study.references,
            untrained=untrained,
            margin=study.comparison.margin,
            metrics=metrics,
            ablated=ablated,
        ),
        against_baseline=against,
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


def best_methods(cells: Mapping[CellKey, Scores]) -> dict[DataKey, Best]:
    """Return the method with the highest mean of each task and train size, among trained ones."""
    choices: dict[DataKey, dict[str, Scores]] = {}
    for (task, method, size), scores in cells.items():
        choices.setdefault((task, size), {})[method] = scores
    best = {}
    for key, methods in choices.items():
        name = max(methods, key=lambda one: methods[one].values.mean())
        found = interval(methods[name].values, alpha=ALPHA / len(methods))
        best[key] = Best(name, found, len(methods))
    return best


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


def _cells(records: Iterable[RunRecord], scores: Mapping[str, RunScores]) -> dict[CellKey, Scores]:
    """The scores of each task, method and train size, over its complete runs."""
    grouped: dict[CellKey, dict[int, RunScores]] = {}
    for record in records:
        spec = record.spec
        if record.state == "complete" and record.run_id in scores:
            cell = spec.task_name, spec.method_name, spec.train_size
            grouped.setdefault(cell, {})[spec.seed] = scores[record.run_id]
    joint = {cell: joint_scores(by_seed) for cell, by_seed in grouped.items()}
    return {cell: found for cell, found in joint.items() if found is not None}


def _baseline_scores(baseline: BaselineRecord, answers: Answers) -> Scores:
    scores = answers.scores(baseline.task.main_metric)
    return Scores((baseline.seed,), tuple(answers.rows.tolist()), scores[None])


def _baseline_answers(folder: Path, baseline: BaselineRecord) -> Answers:
    stem = baseline_stem(baseline.task_name, baseline.train_size, baseline.name)
    return read_answers(folder / f"{stem}.parquet", baseline.task.main_metric)


def _aligned(method: Scores, baseline: Scores) -> tuple[Floats, Floats] | None:
    """Scores [R, N] and [1, N] on the common examples; None without any."""
    known = set(baseline.rows)
    rows = [row for row in method.rows if row in known]
    return (method.at(method.seeds, rows), baseline.at(baseline.seeds, rows)) if rows else None


class _Runs(NamedTuple):
    """What is made of all runs by reading each one's answers once; they do not fit into memory together."""

    findings: dict[str, tuple[Finding, ...]]
    scores: dict[str, RunScores]
    """Of each run with predictions, the main metric by test row."""
    compared: dict[str, Answers]
    """The answers of the first runs of each task."""


def _collect_runs(
    folder: Path,
    records: tuple[RunRecord, ...],
    curves: Mapping[str, tuple[CurvePoint, ...]],
    strongest: Mapping[DataKey, tuple[str, Answers]],
) -> _Runs:
    untrained = {one.spec.task_name: one for one in records if isinstance(one.spec.method, NoneSpec)}
    zero_shot = {task: answers_of(folder, record) for task, record in untrained.items()}
    runs = _Runs({}, {}, {})
    of_task = Counter[str]()
    for record in records:
        task = record.spec.task_name
        answers = zero_shot[task] if record is untrained.get(task) else answers_of(folder, record)
        evidence = RunEvidence(
            record=record,
            curve=curves.get(record.run_id, ()),
            answers=answers,
            zero_shot=zero_shot.get(task),
            baseline=strongest.get((task, record.spec.train_size)),
        )
        runs.findings[record.run_id] = diagnose(evidence)
        if answers is None:
            continue
        runs.scores[record.run_id] = RunScores(answers.rows, answers.scores(evidence.metric))
        if of_task[task] < COMPARED_RUNS:
            of_task[task] += 1
            runs.compared[record.run_id] = answers
    return runs
