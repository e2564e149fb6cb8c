"""Say what to use on each task: the recommendation, how sure it is, its price, and what would settle it."""

import shlex
from typing import Any, NamedTuple

from tuneoff.phrases import listed, plural
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.document import Link, Statement, Table
from tuneoff.reporting.forgetting import forgetting_columns, forgetting_entry, forgetting_sentence
from tuneoff.reporting.formatting import ABSENT, NONE, byte_size, count, decimal, duration, span
from tuneoff.reporting.races import race_lines
from tuneoff.reporting.titles import Title, anchor
from tuneoff.results import StudyFolder, metric_name
from tuneoff.stats import (
    FREE_UNTRAINED,
    UNTRAINED_SIZE,
    Candidate,
    Cell,
    Course,
    Decision,
    Prices,
    TaskSize,
    mean_prices,
)

FEWEST_SEEDS = 3
"""What a study with a single seed is advised to have."""
_CHEAPEST = {
    "stored": "stores the least",
    "time": "trains in the shortest time",
    "memory": "needs the least memory in training",
    "score": "has the highest mean",
}
"""Why the recommended candidate was chosen from those that cost at most the margin."""

PRICES = {
    "stored_bytes": "stored bytes",
    "trained_parameters": "trained parameters",
    "training_seconds": "training time",
    "training_peak_bytes": "memory in training",
    "seconds_per_answer": "time per answer",
}
"""What a reader may look at as the price of a score, with its name in words."""


_PRICE_WORDS = {
    "stored_bytes": "stored",
    "training_seconds": "of training",
    "training_peak_bytes": "of memory in training",
    "seconds_per_answer": "per answer",
}
"""The prices beside a recommendation and in the table of candidates, each with what follows its value."""


def decision_statements(data: ReportData) -> tuple[Statement, ...]:
    """Return a sentence for each task and train size."""
    evidence = Link("evidence", f"#{anchor(Title.INTERVALS)}")
    return tuple(
        Statement(f"{data.place(*place)}: {decision_sentence(data, place, decision)}", evidence)
        for place, decision in data.judgement.decisions.items()
    )


def race_statements(data: ReportData) -> tuple[Statement, ...]:
    """Return a sentence for the race of each task and train size, if the study races its methods."""
    evidence = Link("evidence", f"#{anchor(Title.INTERVALS)}")
    return tuple(Statement(line, evidence) for line in race_lines(data.study, data.judgement.courses))


class Verdict(NamedTuple):
    """A decision in words, in parts that a sentence or a page puts together."""

    name: str
    """The recommended candidate, or the one that leads."""
    score: str
    """Its mean and interval."""
    reason: str
    """Why it is recommended, or why the decision is open."""
    step: str
    """What would settle an open decision; empty where it is shown."""


def decision_sentence(data: ReportData, place: TaskSize, decision: Decision) -> str:
    """Return what to use, why, and what would settle an open decision, without naming the place."""
    found = verdict(data, place, decision)
    if found is None:
        return "no recommendation, since every candidate failed a health check."
    score = f"{metric_name(data.study.tasks[place.task].main_metric)} {found.score}"
    forgetting = forgetting_sentence(data, place)
    if decision.state == "shown":
        return " ".join(filter(None, [f"use {found.name} ({score}): {found.reason}.", forgetting]))
    sentences = [f"open. {found.name} leads ({score}): {found.reason}.", forgetting, found.step]
    return " ".join(filter(None, sentences))


def verdict(data: ReportData, place: TaskSize, decision: Decision) -> Verdict | None:
    """Return a decision in words; None if every candidate failed a health check."""
    if decision.recommended is None:
        return None
    one, margin = decision[decision.recommended], f"{decision.margin:g}"
    name = described(data, one.name)
    score = f"{decimal(one.mean)}, 95% interval {span(one.interval.low, one.interval.high)}"
    rivals = [other.name for other in decision.candidates if other.may_be_best and not other.findings]
    if decision.state == "shown":
        if rivals == [one.name]:
            return Verdict(name, score, "it is shown to be the best", "")
        within = f"within {margin} of the best"
        if len(decision.within_margin) == 1:
            return Verdict(name, score, f"it is the only candidate shown to be {within}", "")
        return Verdict(name, score, f"of the candidates {within} it {_CHEAPEST[decision.prefer]}", "")
    step = _next_step(data, place, decision)
    if one.costs_at_most is None:
        return Verdict(name, score, "a single seed says nothing about a method", step)
    others = [name for name in rivals if name != one.name]
    rest = f"{listed(others)} may be the best, too" if others else "no other may be the best"
    bound = f"it could be up to {decimal(one.costs_at_most)} worse than the best, and the margin is {margin}"
    return Verdict(name, score, f"{bound}; {rest}", step)


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
    effort = f"`{_command(data, place, seeds)}`, about {duration(_seconds(data, seeds))}"
    if limit == "single seed":
        return f"Next: {plural(seeds, 'more seed')} ({effort})."
    return f"About {plural(seeds, 'more seed')} should settle it ({effort})."


def _command(data: ReportData, place: TaskSize, more: int) -> str:
    """Return the command that runs the study with this many more seeds, or races on to as many."""
    if data.study.race:
        to = max(_seeds_so_far(data, place) + more, data.study.race.to + 1)
        return _run_with(data, f"seeds.to={to}")
    seeds = list(data.study.all_seeds)
    taken = {*seeds, *(data.study.search.seeds if data.study.search else ())}
    free = (seed for seed in range(len(taken) + more + 1) if seed not in taken)
    seeds += [next(free) for _ in range(more)]
    return _run_with(data, f"seeds=[{','.join(map(str, seeds))}]")


def _run_with(data: ReportData, setting: str) -> str:
    """Return the command that goes on with the study in its own folder, quoted for a shell."""
    folder = StudyFolder(data.folder)
    return shlex.join(["tuneoff", "run", str(folder.study), "--out", str(folder.path), "--set", setting])


def _seconds(data: ReportData, seeds: int) -> float:
    """Return the time of this many more seeds of all trained methods of the study, one run after another.

    Methods that a race has dropped get none.
    """
    total = 0.0
    for cell in data.cells:
        course = data.judgement.courses.get(cell.task_size)
        if cell.method not in data.untrained and not (course and cell.method in course.dropped):
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
        *forgetting_columns(data),
        *("Stored", "Training", "Memory in training", "Per answer", "Failed checks"),
    )
    rows = tuple(
        _row(data, place, one, mark=_mark(decision, one.name))
        for place, decision in data.judgement.decisions.items()
        for one in best_first(decision)
    )
    return Table(columns, rows, text_columns=3, ends_in_text=True)


def task_decision_table(data: ReportData, task: str) -> Table:
    """Return the rows of one task, without its name, and without train sizes where there is one only."""
    whole = decision_table(data)
    first = 1 if data.several_sizes else 2
    rows = tuple(row[first:] for row in whole.rows if row[0] == task)
    return Table(whole.columns[first:], rows, text_columns=3 - first, ends_in_text=True)


def best_first(decision: Decision) -> list[Candidate]:
    """Return the candidates by their mean, the highest first."""
    return sorted(decision.candidates, key=lambda one: -one.mean)


def _mark(decision: Decision, name: str) -> str:
    """Return what to add to a candidate's name: that it is recommended, or leads an open decision."""
    if name != decision.recommended:
        return ""
    return " (recommended)" if decision.state == "shown" else " (leads)"


def _row(data: ReportData, place: TaskSize, one: Candidate, *, mark: str) -> tuple[str, ...]:
    in_words = [price_in_words(price, price_of(data, place, one.name, price)) for price in _PRICE_WORDS]
    cell = candidate_cell(data, place, one.name)
    checks = NONE if one.name in data.study.all_methods else ABSENT  # baselines are not checked
    return (
        place.task,
        str(place.train_size),
        f"{one.name}{mark}",
        decimal(one.mean),
        span(one.interval.low, one.interval.high),
        decimal(one.costs_at_most),
        "yes" if one.may_be_best and not one.findings else "no",
        *(forgetting_entry(data, cell) for _ in forgetting_columns(data)),
        *in_words,
        " and ".join(one.findings) or checks,
    )


def price_in_words(price: str, value: float | None) -> str:
    """Format one of PRICES with its unit; `0` where it is zero."""
    if not value:
        return ABSENT if value is None else "0"
    if price.endswith("_bytes"):
        return byte_size(value)
    if price == "seconds_per_answer":
        return f"{1000 * value:.3g} ms"
    return count(round(value)) if price == "trained_parameters" else duration(value)


def next_with(data: ReportData, place: TaskSize, name: str) -> str:
    """Return where the weights of a candidate are, if it was tuned and any were kept: with a path in `ticks`.

    They are those of the seed with the best validation score.
    """
    metric, folder = data.study.tasks[place.task].main_metric, StudyFolder(data.folder)
    runs = data.of_cell(Cell(place.task, name, place.train_size))
    weights = {run.run_id: run.weights_folder(folder.run(run.run_id)).adapter for run in runs}
    kept = {
        weights[run.run_id]: run.validation[metric]
        for run in runs
        if run.state == "complete" and metric in run.validation and weights[run.run_id].is_dir()
    }
    if not kept:
        return ""
    best = max(kept, key=lambda weights: kept[weights])
    which = "its weights" if len(kept) == 1 else "the weights of its seed with the best validation score"
    return f"Next: {which} are in `{best.as_posix()}`."


def price_sentence(data: ReportData, place: TaskSize, name: str) -> str:
    """Return what a candidate costs, as far as it is known; empty where nothing is.

    For instance `Price: 1.14 MB stored, 7.32 ms per answer.`
    """
    known = [
        f"{price_in_words(price, value)} {words}"
        for price, words in _PRICE_WORDS.items()
        if (value := price_of(data, place, name, price))
    ]
    free = [] if is_trained(data, name) else ["nothing to train or store"]
    return f"Price: {', '.join([*free, *known])}." if free or known else ""


def candidate_prices(data: ReportData, place: TaskSize, name: str) -> Prices:
    """Return a candidate's mean prices over its runs; all None for a baseline, which has none."""
    return data.prices.get(candidate_cell(data, place, name), mean_prices(()))


def candidate_cell(data: ReportData, place: TaskSize, name: str) -> Cell:
    """Return the cell of a candidate, which for an untrained one is of no train size."""
    return Cell(place.task, name, UNTRAINED_SIZE if name in data.untrained else place.train_size)


def price_of(data: ReportData, place: TaskSize, name: str, price: str) -> float | None:
    """Return one of a candidate's PRICES; what is not trained costs nothing but to use."""
    # it still needed memory to be validated, which is no price of training
    if price in FREE_UNTRAINED and not is_trained(data, name):
        return 0.0
    return candidate_prices(data, place, name)[price]


def frontier_prices(data: ReportData, place: TaskSize) -> dict[str, dict[str, float | None]]:
    """Return each candidate's price, by the names of PRICES."""
    names = [one.name for one in data.judgement.decisions[place].candidates]
    return {price: {name: price_of(data, place, name, price) for name in names} for price in PRICES}


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
                    **_forgetting_json(data, place, one.name),
                    "findings": list(one.findings),
                }
                for one in best_first(decision)
            ],
            "frontier": {
                price: list(decision.frontier(prices))
                for price, prices in frontier_prices(data, place).items()
            },
            "to_settle": settling
            and {
                "seeds": seeds,
                "limit": settling.limit,
                "command": _command(data, place, seeds) if seeds else None,
                "minutes": _seconds(data, seeds) / 60 if seeds else None,
            },
        }
        if course := data.judgement.courses.get(place):
            found[place.task][str(place.train_size)] |= _race_json(course)
    return found


def _forgetting_json(data: ReportData, place: TaskSize, name: str) -> dict[str, Any]:
    """Return a candidate's increase of the loss on general text, if the study measures it."""
    found = data.judgement.forgotten.get(candidate_cell(data, place, name))
    if found is None:
        return {}
    increase = found.increase
    return {"forgetting": {"mean": increase.mean, "low": increase.low, "high": increase.high}}


def is_trained(data: ReportData, name: str) -> bool:
    """Return whether a candidate is a tuned method, and not the base model or a baseline."""
    return name in data.study.all_methods and name not in data.untrained


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


def described(data: ReportData, name: str) -> str:
    """Return a candidate's name, and that nothing is trained where this is so."""
    return name if is_trained(data, name) else f"{name}, without fine-tuning"
