"""State what a study found, in sentences made by rule from its comparisons, and never beyond them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from tuneoff.phrases import listed, plural
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.document import Link, Statement
from tuneoff.reporting.evidence import crossover_interval, failed_checks
from tuneoff.reporting.formatting import byte_size, count, decimal, duration, in_words, percent, signed, span
from tuneoff.reporting.titles import Title, anchor
from tuneoff.results import FINISHED, metric_name
from tuneoff.spec import TrainSize
from tuneoff.stats import UNTRAINED_SIZE, Cell, Comparison, Interval, TaskSize

EQUAL = 1e-12
"""Distance up to which two means are the same but for rounding."""
_OUTCOMES = {
    "better": "better",
    "better within the margin": "better, but within the margin",
    "worse": "worse",
    "worse within the margin": "worse, but within the margin",
    "equivalent": "equivalent within the margin",
    "not inferior": "not inferior (any loss is within the margin)",
    "not distinguishable": "not distinguishable",
    "single seed": "single seed, no claim about the method",
}


def conclusions(data: ReportData) -> tuple[Statement, ...]:
    """Return the conclusions of a study in the order of its tasks and train sizes, and what to do next."""
    statements: list[Statement] = []
    for task, size in product(data.study.tasks, data.study.train_sizes):
        statements += _best(data, task, size)
        for reference in data.references:
            statements += _against(data, task, size, reference)
        statements += _cheapest(data, task, size)
        statements += _below_baseline(data, task, size)
    statements += _quantization(data)
    statements += _crossovers(data)
    statements += _cuts(data)
    statements += _health(data)
    statements += _next_steps(data)
    return tuple(statements)


def _best(data: ReportData, task: str, size: TrainSize) -> Iterator[Statement]:
    """State the trained method with the highest mean, and ablation variants above it."""
    best = data.judgement.best.get(TaskSize(task, size))
    if best is None:
        return
    one, metric = best.interval, metric_name(data.study.tasks[task].main_metric)
    chosen = f" adjusted for the choice among {best.of} methods" if best.of > 1 else ""
    equal = _methods_with_mean(data, task, size, one.mean)
    if len(equal) > 1:
        winner = f"{listed(equal)} have the same {metric}, the highest of the trained methods"
        chosen = f" of {best.method}{chosen}"
    else:
        winner = f"{best.method} has the highest {metric} of the trained methods"
    yield _statement(
        f"{data.place(task, size)}: {winner}, "
        f"{decimal(one.mean)} (95% interval{chosen}: {span(one.low, one.high)}; "
        f"{plural(one.seeds, 'seed')}, {count(one.examples)} test examples)"
        f"{_failures(data, task, best.method, [size])}{_higher_variants(data, task, size, one.mean)}.",
        Title.INTERVALS,
    )


def _methods_with_mean(data: ReportData, task: str, size: TrainSize, mean: float) -> list[str]:
    """Return the trained methods, without ablation variants, that have this mean but for rounding."""
    names = []
    for name in data.study.all_methods:
        found = data.judgement.intervals.get(Cell(task, name, size))
        if name not in data.untrained and found and abs(found.mean - mean) <= EQUAL:
            names.append(name)
    return names


def _higher_variants(data: ReportData, task: str, size: TrainSize, mean: float) -> str:
    """List the ablation variants with a higher mean than the best method."""
    higher = []
    for cell, one in data.judgement.intervals.items():
        is_variant = cell.method not in data.study.all_methods
        if cell.task_size == TaskSize(task, size) and is_variant and one.mean > mean:
            failures = _failures(data, task, cell.method, [size])
            higher.append(f"{cell.method} ({decimal(one.mean)}{failures})")
    return f"; of the ablation variants, {', '.join(higher)} scored higher" if higher else ""


def _against(data: ReportData, task: str, size: TrainSize, reference: str) -> Iterator[Statement]:
    """State the outcome of each method's comparison with a reference."""
    groups: dict[str, list[str]] = {}
    for one in _comparisons(data, task, size, reference):
        name = f"{one.method} ({_with_interval(one.difference)}{_failures(data, task, one.method, [size])})"
        groups.setdefault(_OUTCOMES[one.outcome], []).append(name)
    if groups:
        outcomes = "; ".join(f"{outcome}: {', '.join(names)}" for outcome, names in groups.items())
        marked = _marked(data, task, reference, [size])
        yield _statement(f"{data.place(task, size)}, against {marked}: {outcomes}.", Title.COMPARISONS)


def _cheapest(data: ReportData, task: str, size: TrainSize) -> Iterator[Statement]:
    """State the method with the fewest trained parameters that is shown to match or beat full fine-tuning."""
    full = next((name for name in data.study.references if name not in data.untrained), None)
    own = _comparisons(data, task, size, full) if full else []
    if full is None or not own:
        return
    place = data.place(task, size)
    if _failed(data, task, full, size):
        marked = _marked(data, task, full, [size])
        yield _statement(f"{place}: no method is said to match {marked}.", Title.HEALTH)
        return
    summary = data.summary[(data.summary["task"] == task) & (data.summary["train_size"] == size)]
    rows: dict[str, dict[str, Any]] = {row["method"]: row for row in summary.to_dict("records")}
    matching = [
        one.method
        for one in own
        if one.level_or_better and one.method in rows and not _failed(data, task, one.method, size)
    ]
    if not matching:
        margin = data.study.comparison.margin
        hint = "" if margin else " (whether one matches it is tested only if comparison.margin is set)"
        yield _statement(f"{place}: no method is shown to match or beat {full}{hint}.", Title.COMPARISONS)
        return
    cheap = min(matching, key=lambda name: rows[name]["trainable"])
    row = rows[cheap]
    yield _statement(
        f"{place}: of the methods shown to match or beat {full}, {cheap} trains "
        f"the fewest parameters, {count(int(row['trainable']))} "
        f"({percent(row['trainable_percent'])}% of the model), stores {count(int(row['stored']))} "
        f"and took {duration(_seconds(data, task, cheap, size))} a run "
        f"({full}: {duration(_seconds(data, task, full, size))}).",
        Title.RESULTS,
    )


def _seconds(data: ReportData, task: str, method: str, size: TrainSize) -> float:
    """Return the mean wall time of a method's runs, each with its whole training."""
    times = [one.seconds for one in data.of_cell(Cell(task, method, size)) if one.seconds is not None]
    return sum(times) / len(times) if times else float("nan")


def _below_baseline(data: ReportData, task: str, size: TrainSize) -> Iterator[Statement]:
    """State the trained methods that are not shown to be above the strongest baseline."""
    below = [
        f"{cell.method} ({signed(one.contrast.difference.mean)} against {one.baseline}"
        f"{_failures(data, task, cell.method, [size])})"
        for cell, one in data.judgement.against_baseline.items()
        if cell.task_size == TaskSize(task, size) and cell.method not in data.untrained and not one.beaten
    ]
    if below:
        verb = "is" if len(below) == 1 else "are"
        claim = f"{verb} not shown to beat the strongest simple baseline"
        yield _statement(f"{data.place(task, size)}: {', '.join(below)} {claim}.", Title.RESULTS)


def _quantization(data: ReportData) -> Iterator[Statement]:
    """State what quantizing the study's model does to its scores before any tuning."""
    quantization = data.study.model.quantization
    if quantization is None:
        return
    in_full = [
        one.name
        for one in data.variants
        if one.name in data.untrained and one.wording is None and one.model.quantization is None
    ]
    for one in data.judgement.comparisons:
        if one.method in in_full and one.reference in data.untrained:
            change, metric = one.difference, metric_name(one.metric)
            yield _statement(
                f"{one.task}: before any tuning, quantization to {quantization} changes {metric} by "
                f"{signed(-change.mean)} (95% interval {signed(-change.high)} to {signed(-change.low)}; "
                f"{one.reference} against {one.method}).",
                Title.COMPARISONS,
            )


def _crossovers(data: ReportData) -> Iterator[Statement]:
    sizes = data.study.train_sizes
    for one in data.judgement.crossovers:
        other = one.reference if one.ahead == one.method else one.method
        few, many = _marked(data, one.task, other, sizes), _marked(data, one.task, one.ahead, sizes)
        yield _statement(
            f"{one.task}: {few} scores higher with few training rows, {many} with many; their scores are "
            f"equal at about {count(round(one.rows))} rows (95% interval {crossover_interval(one)}).",
            Title.CROSSOVERS,
        )


def _cuts(data: ReportData) -> Iterator[Statement]:
    """State how far each LoRA can be cut, where several seeds show it."""
    margin = data.study.decision_margin
    for cell in (cell for cell in data.cells if cell in data.judgement.cuts):
        whole, *cuts = data.judgement.cuts[cell]
        if whole.score.seeds < 2 or not cuts:
            continue
        shown = [cut for cut in cuts if cut.within_margin]
        cut = shown[-1] if shown else cuts[0]
        if cut.difference is None:
            continue
        metric = metric_name(data.study.tasks[cell.task].main_metric)
        method = _marked(data, cell.task, cell.method, [cell.train_size])
        left = f"{100 * cut.keep:.3g}% of its parameters"
        stored = f"{byte_size(whole.stored_bytes)} to {byte_size(cut.stored_bytes)}"
        claim = f"can be cut to {left} ({stored}) without losing {margin:g} of {metric} or more"
        if not shown:
            claim = f"is not shown to lose less than {margin:g} of {metric} if it is cut to {left} ({stored})"
        # what gained nothing can be cut to nothing
        means = {"whole": whole.score.mean}
        for name in data.study.methods:
            found = data.judgement.intervals.get(Cell(cell.task, name, UNTRAINED_SIZE))
            if name in data.untrained and found:
                means[name] = found.mean
        scores = ", ".join(f"{name} {decimal(mean)}" for name, mean in means.items())
        yield _statement(
            f"{data.place(cell.task, cell.train_size)}: {method} {claim} "
            f"({_with_interval(cut.difference)}; {scores}).",
            Title.CUTS,
        )


def _health(data: ReportData) -> Iterator[Statement]:
    """State how many runs failed health checks, how many have no result, and findings about all runs."""
    finished = [record.run_id for record in data.records if record.state in FINISHED]
    failures = Counter[str]()
    failed = 0
    for run_id in finished:
        findings = data.judgement.findings.get(run_id, ())
        checks = list(dict.fromkeys(one.check for one in findings if one.level == "error"))
        failures.update(checks)
        failed += bool(checks)
    if failed:
        listed = ", ".join(f"{check} ({number})" for check, number in failures.most_common())
        yield _statement(
            f"{failed} of {plural(len(finished), 'finished run')} failed health checks: {listed}.",
            Title.HEALTH,
        )
    elif finished:
        whose = f"All {len(finished)} finished runs" if len(finished) > 1 else "The only finished run"
        yield _statement(f"{whose} passed the health checks.", Title.HEALTH)
    states = Counter(record.state for record in data.records if record.state not in FINISHED)
    if states:
        ended = ", ".join(f"{number} {in_words(state)}" for state, number in sorted(states.items()))
        yield _statement(f"{plural(states.total(), 'run')} ended without a result: {ended}.", Title.FAILURES)
    for finding in data.judgement.study_findings:
        yield _statement(f"{finding.check}: {finding.evidence}.", Title.HEALTH)


def _next_steps(data: ReportData) -> Iterator[Statement]:
    """Suggest what would settle open questions."""
    # methods by reference and place, where the decision is open, and where it is shown
    unclear: dict[str, dict[str, dict[str, None]]] = {"open": {}, "shown": {}}
    failing: dict[str, dict[str, None]] = {}  # methods by failed checks and place
    for one in data.judgement.comparisons:
        if one.outcome not in ("not distinguishable", "single seed"):
            continue
        place = data.place(one.task, one.train_size)
        sides = one.method, one.reference
        failed = [name for name in sides if _failed(data, one.task, name, one.train_size)]
        for name in failed:
            failures = _failures(data, one.task, name, [one.train_size]).removeprefix(", ")
            failing.setdefault(f"({failures}) on {place}", {})[name] = None
        if not failed:
            decision = data.judgement.decisions.get(TaskSize(one.task, one.train_size))
            own = unclear[decision.state if decision else "open"]
            own.setdefault(f"from {one.reference} on {place}", {})[one.method] = None
    # a race adds seeds where the decision needs them, not elsewhere
    if unclear["open"] and not data.study.race:
        pairs = _pairs(unclear["open"])
        yield _statement(f"Next: add seeds or test examples to distinguish {pairs}.", Title.COMPARISONS)
    if unclear["shown"] and not data.study.race:
        pairs = _pairs(unclear["shown"])
        yield _statement(
            f"To distinguish {pairs} takes more seeds or test examples; the decision stands without them.",
            Title.COMPARISONS,
        )
    if failing:
        runs = "; ".join(f"{listed(methods)} {failures}" for failures, methods in failing.items())
        yield _statement(f"Next: fix the runs of {runs}. More seeds alone would not mend them.", Title.HEALTH)
    at_edge = [
        f"{one.method_name} on {data.place(one.task_name, one.train_size)} ({_edges(one.edges)})"
        for one in data.searches
        if one.edges
    ]
    if at_edge:
        yield _statement(
            f"Next: widen the search, since the best value lies at the edge for {', '.join(at_edge)}.",
            Title.SEARCH,
        )
    undertrained: dict[str, None] = {}
    for record in data.records:
        if any(one.check == "undertrained" for one in data.judgement.findings.get(record.run_id, ())):
            spec = record.spec
            place = data.place(spec.task_name, spec.train_size)
            undertrained[f"{spec.method_name} on {place}"] = None
    if undertrained:
        yield _statement(
            "Next: train for more steps, since validation still improved at the end for "
            f"{', '.join(undertrained)}.",
            Title.HEALTH,
        )


def _pairs(methods_by_reference: Mapping[str, Iterable[str]]) -> str:
    return "; ".join(f"{listed(methods)} {reference}" for reference, methods in methods_by_reference.items())


def _edges(edges: Mapping[str, str]) -> str:
    return ", ".join(f"{field}: {'lower' if end == 'low' else 'higher'} ones" for field, end in edges.items())


def _failures(data: ReportData, task: str, method: str, sizes: Iterable[TrainSize]) -> str:
    """Return the health checks that a method's runs failed, to follow a statement about it."""
    failed = failed_checks(data, task, method, sizes)
    if not failed:
        return ""
    return f", failed check{'s' * (len(failed) > 1)}: {' and '.join(failed)}"


def _marked(data: ReportData, task: str, method: str, sizes: Iterable[TrainSize]) -> str:
    """Return the method's name, with the health checks that its runs failed."""
    failures = _failures(data, task, method, sizes)
    return f"{method} ({failures.removeprefix(', ')})" if failures else method


def _failed(data: ReportData, task: str, method: str, size: TrainSize) -> bool:
    """Return whether a trained method's runs failed a health check; an untrained one's cannot be fixed."""
    return method not in data.untrained and bool(failed_checks(data, task, method, [size]))


def _comparisons(data: ReportData, task: str, size: TrainSize, reference: str) -> list[Comparison]:
    return [
        one
        for one in data.judgement.comparisons
        if (one.task, one.train_size, one.reference) == (task, size, reference)
    ]


def _with_interval(difference: Interval) -> str:
    return f"{signed(difference.mean)}, 95% interval {signed(difference.low)} to {signed(difference.high)}"


def _statement(text: str, section: Title) -> Statement:
    return Statement(text, Link("evidence", f"#{anchor(section)}"))
