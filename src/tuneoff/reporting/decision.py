"""Say what to use on each task: the recommendation, how sure it is, its price, and what would settle it."""

from typing import Any

from tuneoff.reporting.data import ReportData
from tuneoff.reporting.document import Link, Statement, Table
from tuneoff.reporting.formatting import ABSENT, byte_size, decimal, duration, plural
from tuneoff.reporting.html import anchor
from tuneoff.reporting.titles import Title
from tuneoff.results import RunRecord
from tuneoff.stats import UNTRAINED_SIZE, Candidate, Cell, Decision, TaskSize

FEWEST_SEEDS = 3
"""What a study with a single seed is advised to have."""
_CHEAPEST = {
    "stored": "stores the least",
    "time": "trains in the shortest time",
    "memory": "needs the least memory in training",
    "score": "has the highest mean",
}
"""Why the recommended candidate was chosen from those that cost at most the margin."""


def decision_statements(data: ReportData) -> tuple[Statement, ...]:
    """Return a sentence for each task and train size."""
    evidence = Link("evidence", f"#{anchor(Title.DECISION)}")
    return tuple(
        Statement(f"{_place(data, place)}: {_sentence(data, place, decision)}", evidence)
        for place, decision in data.judgement.decisions.items()
    )


def _sentence(data: ReportData, place: TaskSize, decision: Decision) -> str:
    if decision.recommended is None:
        return "no recommendation, since every candidate failed a health check."
    one, margin = decision[decision.recommended], f"{decision.margin:g}"
    span = f"{decimal(one.interval.low)} to {decimal(one.interval.high)}"
    score = f"{data.study.tasks[place.task].main_metric} {decimal(one.mean)}, 95% interval {span}"
    rivals = [other.name for other in decision.candidates if other.may_be_best and not other.findings]
    if decision.state == "shown":
        if rivals == [one.name]:
            reason = "it is shown to be the best"
        else:
            reason = f"of the candidates within {margin} of the best it {_CHEAPEST[decision.prefer]}"
        return f"use {_described(data, one.name)} ({score}): {reason}."
    leader = f"open. {_described(data, one.name)} leads ({score})"
    step = _next_step(data, place, decision)
    if one.costs_at_most is None:
        return f"{leader}, but a single seed says nothing about a method. {step}"
    others = [name for name in rivals if name != one.name]
    rest = f"{_listed(others)} may be the best, too" if others else "no other may be the best"
    bound = f"at most {decimal(one.costs_at_most)} below the best ({margin} is asked for)"
    return f"{leader}, {bound}; {rest}. {step}"


def _next_step(data: ReportData, place: TaskSize, decision: Decision) -> str:
    """Return what would settle an open decision."""
    settling = decision.to_settle
    limit = settling.limit if settling else None
    if limit == "test set":
        return "More seeds would not settle it: the test set is too small for this margin."
    if limit == "seeds":
        return "Seeds alone would hardly settle it; a larger comparison.margin may."
    seeds = (settling.seeds if settling else None) or FEWEST_SEEDS - len(data.study.seeds)
    effort = f"`{_command(data, seeds)}`, about {duration(60 * _minutes(data, place, seeds))}"
    if limit == "single seed":
        return f"Next: {plural(seeds, 'more seed')} ({effort})."
    return f"About {plural(seeds, 'more seed')} would settle it ({effort})."


def _command(data: ReportData, more: int) -> str:
    """Return the command that runs the study with so many more seeds."""
    seeds = list(data.study.seeds)
    taken = {*seeds, *(data.study.search.seeds if data.study.search else ())}
    free = (seed for seed in range(len(taken) + more + 1) if seed not in taken)
    seeds += [next(free) for _ in range(more)]
    return f"tuneoff run STUDY --set seeds=[{','.join(map(str, seeds))}]"


def _minutes(data: ReportData, place: TaskSize, seeds: int) -> float:
    """Return the time of so many more seeds of all trained methods at a place, one after another."""
    total = 0.0
    for cell in data.cells:
        if cell.task_size == place and cell.method not in data.untrained:
            runs = [one.timings.total for one in data.of_cell(cell) if one.timings]
            total += sum(runs) / len(runs) if runs else 0.0
    return seeds * total / 60


def decision_table(data: ReportData) -> Table:
    """Return a row per candidate of each decision, the best mean first."""
    columns = (
        *("Task", "Train size", "Candidate", "Mean", "95% interval", "Costs at most", "May be best"),
        *("Stored", "Training", "Memory in training", "Per answer", "Failed checks"),
    )
    rows = tuple(
        _row(data, place, one, is_recommended=one.name == decision.recommended)
        for place, decision in data.judgement.decisions.items()
        for one in _best_first(decision)
    )
    return Table(columns, rows, text_columns=3, ends_in_text=True)


def _best_first(decision: Decision) -> list[Candidate]:
    return sorted(decision.candidates, key=lambda one: -one.mean)


def _row(data: ReportData, place: TaskSize, one: Candidate, *, is_recommended: bool) -> tuple[str, ...]:
    prices = candidate_prices(data, place, one.name)
    seconds = prices["seconds_per_answer"]
    training = prices["training_seconds"]
    return (
        place.task,
        str(place.train_size),
        f"{one.name} (recommended)" if is_recommended else one.name,
        decimal(one.mean),
        f"{decimal(one.interval.low)} to {decimal(one.interval.high)}",
        decimal(one.costs_at_most),
        "yes" if one.may_be_best and not one.findings else "no",
        byte_size(prices["stored_bytes"]),
        ABSENT if training is None else duration(training),
        byte_size(prices["training_peak_bytes"]),
        ABSENT if seconds is None else f"{1000 * seconds:.0f} ms",
        " and ".join(one.findings) or ABSENT,
    )


def candidate_prices(data: ReportData, place: TaskSize, name: str) -> dict[str, float | None]:
    """Return a candidate's mean prices over its runs; None where one was not measured, as for baselines."""
    size = UNTRAINED_SIZE if name in data.untrained else place.train_size
    records = [one for one in data.of_cell(Cell(place.task, name, size)) if one.state == "complete"]
    values = [_prices_of(record) for record in records]
    names = ("stored_bytes", "training_seconds", "tokens_per_second", "training_peak_bytes")
    return {price: _mean([one[price] for one in values]) for price in (*names, *_INFERENCE)}


_INFERENCE = ("inference_peak_bytes", "seconds_per_answer")


def _prices_of(record: RunRecord) -> dict[str, float | None]:
    timings, counts = record.timings, record.footprint
    return {
        "stored_bytes": counts.stored_bytes if counts else None,
        "training_seconds": timings.train if timings else None,
        "tokens_per_second": timings.tokens_per_second if timings else None,
        "training_peak_bytes": timings.training_peak_bytes if timings else None,
        "inference_peak_bytes": timings.inference_peak_bytes if timings else None,
        "seconds_per_answer": 1 / timings.eval_samples_per_second if timings else None,
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def decision_json(data: ReportData) -> dict[str, dict[str, Any]]:
    """Return what decision.json holds: a decision for each task and train size."""
    found: dict[str, dict[str, Any]] = {}
    for place, decision in data.judgement.decisions.items():
        settling = decision.to_settle
        seeds = settling.seeds if settling else None
        found.setdefault(place.task, {})[str(place.train_size)] = {
            "recommended": decision.recommended,
            "state": decision.state,
            "margin": decision.margin,
            "prefer": decision.prefer,
            "candidates": [
                {
                    "method": one.name,
                    "mean": one.mean,
                    "low": one.interval.low,
                    "high": one.interval.high,
                    "may_be_best": one.may_be_best and not one.findings,
                    "costs_at_most": one.costs_at_most,
                    "expected_regret": one.expected_regret,
                    "prices": candidate_prices(data, place, one.name),
                    "findings": list(one.findings),
                }
                for one in _best_first(decision)
            ],
            "to_settle": settling
            and {
                "seeds": seeds,
                "limit": settling.limit,
                "command": _command(data, seeds) if seeds else None,
                "minutes": _minutes(data, place, seeds) if seeds else None,
            },
        }
    return found


def _described(data: ReportData, name: str) -> str:
    """Return a candidate's name, and that nothing is trained where this is so."""
    if name in data.untrained or name.startswith("baseline "):
        return f"{name}, without fine-tuning"
    return name


def _listed(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _place(data: ReportData, place: TaskSize) -> str:
    return f"{place.task} with {place.train_size} training rows" if data.several_sizes else place.task
