"""Say what to use on each task: the recommendation, how sure it is, its price, and what would settle it."""

from typing import Any

from tuneoff.reporting.data import ReportData
from tuneoff.reporting.document import Link, Statement, Table
from tuneoff.reporting.formatting import ABSENT, byte_size, decimal, duration, listed, plural
from tuneoff.reporting.html import anchor
from tuneoff.reporting.races import race_lines
from tuneoff.reporting.titles import Title
from tuneoff.stats import UNTRAINED_SIZE, Candidate, Cell, Course, Decision, Prices, TaskSize, mean_prices

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
    evidence = Link("evidence", f"#{anchor(Title.INTERVALS)}")
    return tuple(
        Statement(f"{data.place(*place)}: {_sentence(data, place, decision)}", evidence)
        for place, decision in data.judgement.decisions.items()
    )


def race_statements(data: ReportData) -> tuple[Statement, ...]:
    """Return a sentence for the race of each task and train size, if the study races its methods."""
    evidence = Link("evidence", f"#{anchor(Title.INTERVALS)}")
    return tuple(Statement(line, evidence) for line in race_lines(data.study, data.judgement.courses))


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
    rest = f"{listed(others)} may be the best, too" if others else "no other may be the best"
    bound = f"it could be up to {decimal(one.costs_at_most)} worse than the best, and the margin is {margin}"
    return f"{leader}: {bound}; {rest}. {step}"


def _next_step(data: ReportData, place: TaskSize, decision: Decision) -> str:
    """Return what would settle an open decision."""
    settling, course = decision.to_settle, data.judgement.courses.get(place)
    if course and course.end in (None, "budget"):
        if course.end is None:
            return "Next: complete the race (`tuneoff run` again)."
        return "The budget ended the race; a larger one may settle it (`--set budget.hours=...`)."
    limit = settling.limit if settling else None
    if limit == "test set":
        return "More seeds would not settle it: the test set is too small for this margin."
    if limit == "seeds":
        return "Seeds alone would hardly settle it; a larger comparison.margin may."
    if limit == "single seed" and len(data.study.all_seeds) > 1:
        return "Next: complete the runs of the method that has a single seed (`tuneoff run` again)."
    seeds = (settling.seeds if settling else None) or FEWEST_SEEDS - 1
    effort = f"`{_command(data, place, seeds)}`, about {duration(_seconds(data, place, seeds))}"
    if limit == "single seed":
        return f"Next: {plural(seeds, 'more seed')} ({effort})."
    return f"About {plural(seeds, 'more seed')} would settle it ({effort})."


def _command(data: ReportData, place: TaskSize, more: int) -> str:
    """Return the command that runs the study with this many more seeds, or races on to as many."""
    if data.study.race:
        to = max(_seeds_so_far(data, place) + more, data.study.race.to + 1)
        return f"tuneoff run STUDY --set seeds.to={to}"
    seeds = list(data.study.all_seeds)
    taken = {*seeds, *(data.study.search.seeds if data.study.search else ())}
    free = (seed for seed in range(len(taken) + more + 1) if seed not in taken)
    seeds += [next(free) for _ in range(more)]
    return f"tuneoff run STUDY --set seeds=[{','.join(map(str, seeds))}]"


def _seconds(data: ReportData, place: TaskSize, seeds: int) -> float:
    """Return the time of this many more seeds of all trained methods at a place, one after another.

    Methods that a race has dropped get none.
    """
    course = data.judgement.courses.get(place)
    dropped = course.dropped if course else ()
    total = 0.0
    for cell in data.cells:
        if cell.task_size == place and cell.method not in data.untrained and cell.method not in dropped:
            runs = [one.timings.total for one in data.of_cell(cell) if one.timings]
            total += sum(runs) / len(runs) if runs else 0.0
    return seeds * total


def _seeds_so_far(data: ReportData, place: TaskSize) -> int:
    """Return the number of seeds at the latest look of a race."""
    look = data.judgement.courses[place].look
    return look.seeds if look else 0


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


def candidate_prices(data: ReportData, place: TaskSize, name: str) -> Prices:
    """Return a candidate's mean prices over its runs; all None for a baseline, which has none."""
    size = UNTRAINED_SIZE if name in data.untrained else place.train_size
    records = data.of_cell(Cell(place.task, name, size))
    return mean_prices(one for one in records if one.state == "complete")


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
                "command": _command(data, place, seeds) if seeds else None,
                "minutes": _seconds(data, place, seeds) / 60 if seeds else None,
            },
        }
        if course := data.judgement.courses.get(place):
            found[place.task][str(place.train_size)] |= _race_json(course)
    return found


def _race_json(course: Course) -> dict[str, Any]:
    """Return the latest look of a race and its share of the error, how it ended, and who was dropped."""
    return {
        "look": course.look and course.look._asdict(),
        "race": {
            "ended": course.end,
            "seeds": dict(course.seeds),
            "dropped": {name: one._asdict() for name, one in course.dropped.items()},
        },
    }


def _described(data: ReportData, name: str) -> str:
    """Return a candidate's name, and that nothing is trained where this is so."""
    if name in data.untrained or name not in data.study.methods:
        return f"{name}, without fine-tuning"
    return name
