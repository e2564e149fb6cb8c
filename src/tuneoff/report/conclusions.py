"""What a study found, in sentences made by rule from its comparisons, and never beyond them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from tuneoff.report.data import ReportData
from tuneoff.report.document import Link, Statement
from tuneoff.report.evidence import crossover_interval, rejections
from tuneoff.report.formatting import count, decimal, duration, percent, signed
from tuneoff.report.html import anchor
from tuneoff.report.tables import state_in_words
from tuneoff.spec import FINISHED, TrainSize
from tuneoff.stats import Comparison

INTERVALS, COMPARISONS, CROSSOVERS = "Intervals", "Comparisons with references", "Crossovers"
HEALTH, SEARCH, FAILURES = "Run health", "Search", "Runs that are not complete"
"""Titles of the sections that hold the evidence."""
EQUAL = 1e-12
"""How far two means may lie apart that are the same but for rounding."""
_VERBS = {
    "better": "better",
    "better within the margin": "better, but within the margin",
    "worse": "worse",
    "worse within the margin": "worse, but within the margin",
    "equivalent": "equivalent within the margin",
    "not inferior": "not inferior (any loss is within the margin)",
    "not distinguishable": "not distinguishable",
    "single seed": "of one seed only, so nothing is said of the method",
}


def conclusions(data: ReportData) -> tuple[Statement, ...]:
    """The findings of a study in the order of its tasks and train sizes, and what to do next."""
    statements: list[Statement] = []
    for task, size in product(data.study.tasks, data.study.train_sizes):
        statements += _best(data, task, size)
        for reference in data.study.references:
            statements += _against(data, task, size, reference)
        statements += _cheapest(data, task, size)
        statements += _baseline(data, task, size)
    return (*statements, *_crossovers(data), *_ill(data), *_broken(data), *_next(data))


def _best(data: ReportData, task: str, size: TrainSize) -> Iterator[Statement]:
    best = data.judgement.best.get((task, size))
    if best is None:
        return
    one = best.interval
    chosen = f" that allows for the choice among {best.of} methods" if best.of > 1 else ""
    seeds = f"{one.seeds} seed{'s' * (one.seeds > 1)}"
    metric = data.study.tasks[task].main_metric
    equal = [
        name
        for name in data.study.methods
        if name not in data.untrained
        and (other := data.judgement.intervals.get((task, name, size)))
        and abs(other.mean - one.mean) <= EQUAL
    ]
    told = f"{best.method} has the highest {metric} of the trained methods"
    if len(equal) > 1:
        names = f"{', '.join(equal[:-1])} and {equal[-1]}"
        told = f"{names} have the same {metric}, the highest of the trained methods"
        chosen = f" of {best.method}{chosen}"
    yield _statement(
        f"{_place(data, task, size)}: {told}, "
        f"{decimal(one.mean)} (95% interval{chosen}: {decimal(one.low)} to {decimal(one.high)}; {seeds}, "
        f"{count(one.examples)} test examples){_but(data, task, best.method, [size])}"
        f"{_higher_variants(data, task, size, one.mean)}.",
        INTERVALS,
    )


def _higher_variants(data: ReportData, task: str, size: TrainSize, mean: float) -> str:
    """The ablation variants with a higher mean than the best method."""
    higher = [
        f"{name} ({decimal(one.mean)}{_but(data, task, name, [size])})"
        for (where, name, rows), one in data.judgement.intervals.items()
        if (where, rows) == (task, size) and name not in data.study.methods and one.mean > mean
    ]
    return f"; of the ablation variants, {', '.join(higher)} scored higher" if higher else ""


def _against(data: ReportData, task: str, size: TrainSize, reference: str) -> Iterator[Statement]:
    own = [one for one in _compared(data, task, size) if one.reference == reference]
    if not own:
        return
    groups: dict[str, list[str]] = {}
    for one in own:
        name = f"{one.method} ({_gap(one)}{_but(data, task, one.method, [size])})"
        groups.setdefault(_VERBS[one.outcome], []).append(name)
    told = "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in groups.items())
    marked = _marked(data, task, reference, [size])
    yield _statement(f"{_place(data, task, size)}, against {marked}: {told}.", COMPARISONS)


def _cheapest(data: ReportData, task: str, size: TrainSize) -> Iterator[Statement]:
    """The method with the fewest trained parameters that is shown to be level with full fine-tuning."""
    full = next((name for name in data.study.references if name not in data.untrained), None)
    own = [one for one in _compared(data, task, size) if one.reference == full]
    if full is None or not own:
        return
    place = _place(data, task, size)
    if _is_rejected(data, task, full, size):
        marked = _marked(data, task, full, [size])
        yield _statement(f"{place}: no method is called level with {marked}.", HEALTH)
        return
    rows = {str(row["method"]): row for row in _summary(data, task, size)}
    level = [
        one.method
        for one in own
        if one.level_or_better and one.method in rows and not _is_rejected(data, task, one.method, size)
    ]
    if not level:
        need = (
            ""
            if data.study.comparison.margin
            else " (a level one is looked for if comparison.margin is given)"
        )
        yield _statement(f"{place}: no method is shown to be level with {full} or better{need}.", COMPARISONS)
        return
    cheap = min(level, key=lambda name: rows[name]["trainable"])
    yield _statement(
        f"{place}: of the methods shown to be level with {full} or better, {cheap} trains "
        f"the fewest parameters, {count(int(rows[cheap]['trainable']))} "
        f"({percent(rows[cheap]['trainable_percent'])}% of the model), stores "
        f"{count(int(rows[cheap]['stored']))} and took {duration(_seconds(data, task, cheap, size))} a run "
        f"({full}: {duration(_seconds(data, task, full, size))}).",
        "Results",
    )


def _baseline(data: ReportData, task: str, size: TrainSize) -> Iterator[Statement]:
    failing = [
        f"{cell[1]} ({signed(one.contrast.difference.mean)} against {one.baseline}"
        f"{_but(data, task, cell[1], [size])})"
        for cell, one in data.judgement.against_baseline.items()
        if cell[0] == task and cell[2] == size and cell[1] not in data.untrained and not one.beaten
    ]
    if failing:
        yield _statement(
            f"{_place(data, task, size)}: not above the strongest simple baseline: {', '.join(failing)}.",
            "Results",
        )


def _crossovers(data: ReportData) -> Iterator[Statement]:
    sizes = data.study.train_sizes
    for one in data.judgement.crossovers:
        other = one.reference if one.ahead == one.method else one.method
        few, many = (_marked(data, one.task, name, sizes) for name in (other, one.ahead))
        yield _statement(
            f"{one.task}: {few} scores higher with few training rows, {many} with many; they are "
            f"level at about {count(round(one.rows))} rows (95% interval {crossover_interval(one)}).",
            CROSSOVERS,
        )


def _ill(data: ReportData) -> Iterator[Statement]:
    """How many runs have findings against them, and how many have no result that could be looked at."""
    judged = [record.run_id for record in data.records if record.state in FINISHED]
    ill = {
        run_id: [one.check for one in data.judgement.findings.get(run_id, ()) if one.level == "error"]
        for run_id in judged
    }
    counts = Counter(verdict for verdicts in ill.values() for verdict in dict.fromkeys(verdicts))
    runs = sum(bool(verdicts) for verdicts in ill.values())
    told = ", ".join(f"{verdict} ({number})" for verdict, number in counts.most_common())
    if runs:
        yield _statement(
            f"{runs} of {len(ill)} run{'s' * (len(ill) > 1)} {'is' if runs == 1 else 'are'} ill: {told}.",
            HEALTH,
        )
    elif ill:
        whose = f"None of the {len(ill)} runs that have" if len(ill) > 1 else "The one run that has"
        is_ill = "is ill" if len(ill) > 1 else "is not ill"
        yield _statement(f"{whose} ended with a result {is_ill}.", HEALTH)
    states = Counter(record.state for record in data.records if record.state not in FINISHED)
    if states:
        ended = ", ".join(f"{number} {state_in_words(state)}" for state, number in sorted(states.items()))
        number = sum(states.values())
        yield _statement(f"{number} run{'s' * (number > 1)} ended without a result: {ended}.", FAILURES)


def _broken(data: ReportData) -> Iterator[Statement]:
    for finding in data.judgement.study_findings:
        yield _statement(f"{finding.check}: {finding.evidence}.", HEALTH)


def _next(data: ReportData) -> Iterator[Statement]:
    unclear, broken = [], dict[str, None]()
    for one in data.judgement.comparisons:
        if one.outcome in ("not distinguishable", "single seed"):
            sides = one.method, one.reference
            rejected = [name for name in sides if _is_rejected(data, one.task, name, one.train_size)]
            marks = (_marked(data, one.task, name, [one.train_size]) for name in rejected)
            place = _place(data, one.task, one.train_size)
            broken.update(dict.fromkeys(f"{mark} on {place}" for mark in marks))
            if not rejected:
                unclear.append(f"{one.method} and {one.reference} on {place}")
    if unclear:
        pairs = ", ".join(dict.fromkeys(unclear))
        yield _statement(f"Next: more seeds or test examples, to tell apart {pairs}.", COMPARISONS)
    if broken:
        yield _statement(
            f"Next: mend the runs of {', '.join(broken)}; more seeds of them would tell nothing.", HEALTH
        )
    if edges := [one for one in data.searches if one.edges]:
        names = ", ".join(
            f"{one.method_name} on {_place(data, one.task_name, one.train_size)} ({_edges(one.edges)})"
            for one in edges
        )
        yield _statement(f"Next: a wider search, as the best value lies at the edge for {names}.", SEARCH)
    if short := _cells_with(data, "undertrained"):
        yield _statement(f"Next: more steps, as validation still rose at the end for {short}.", HEALTH)


def _edges(edges: Mapping[str, str]) -> str:
    return ", ".join(f"{field}: {'lower' if end == 'low' else 'higher'} ones" for field, end in edges.items())


def _cells_with(data: ReportData, verdict: str) -> str:
    specs = {record.run_id: record.spec for record in data.records}
    found = dict.fromkeys(
        f"{specs[run_id].method_name} on {_place(data, specs[run_id].task_name, specs[run_id].train_size)}"
        for run_id, findings in data.judgement.findings.items()
        if any(finding.check == verdict for finding in findings)
    )
    return ", ".join(found)


def _but(data: ReportData, task: str, method: str, sizes: Iterable[TrainSize]) -> str:
    """What health checks found against a method's runs, as an addition to what is said of it."""
    found = rejections(data, task, method, sizes)
    return f", but {' and '.join(found)}" if found else ""


def _marked(data: ReportData, task: str, method: str, sizes: Iterable[TrainSize]) -> str:
    """The method's name, with what health checks found against its runs."""
    found = rejections(data, task, method, sizes)
    return f"{method} ({' and '.join(found)})" if found else method


def _is_rejected(data: ReportData, task: str, method: str, size: TrainSize) -> bool:
    """Whether a health check rejects a trained method's runs; an untrained one has no training to mend."""
    return method not in data.untrained and bool(rejections(data, task, method, [size]))


def _compared(data: ReportData, task: str, size: TrainSize) -> list[Comparison]:
    return [one for one in data.judgement.comparisons if (one.task, one.train_size) == (task, size)]


def _gap(one: Comparison) -> str:
    gap = one.difference
    return f"{signed(gap.mean)}, {signed(gap.low)} to {signed(gap.high)}"


def _summary(data: ReportData, task: str, size: TrainSize) -> list[dict[str, Any]]:
    table = data.summary
    return table[(table["task"] == task) & (table["train_size"] == size)].to_dict("records")


def _seconds(data: ReportData, task: str, method: str, size: TrainSize) -> float:
    timings = [record.timings for record in data.of_cell((task, method, size)) if record.timings]
    return sum(one.total for one in timings) / len(timings) if timings else float("nan")


def _place(data: ReportData, task: str, size: TrainSize) -> str:
    return f"{task} with {size} training rows" if data.several_sizes else task


def _statement(text: str, section: str) -> Statement:
    return Statement(text, Link("evidence", f"#{anchor(section)}"))
