"""The top of the page: what to use on each task in a few words, why, and what would settle it."""

from typing import NamedTuple
from urllib.parse import urlencode

from tuneoff.reporting.data import ReportData
from tuneoff.reporting.decision import (
    best_first,
    is_trained,
    next_with,
    price_sentence,
    task_decision_table,
    verdict,
)
from tuneoff.reporting.document import Table
from tuneoff.reporting.forgetting import forgetting_sentence
from tuneoff.reporting.formatting import sentence_case
from tuneoff.reporting.page.views import task_group
from tuneoff.reporting.races import race_sentence
from tuneoff.results import metric_name
from tuneoff.stats import Decision, TaskSize


class Answer(NamedTuple):
    """The decision at one train size."""

    train_size: str
    """Empty where the study has one only."""
    state: str
    headline: str
    reason: str
    step: tuple[str, ...]
    """What would settle it, or what to do where it is settled; every second part is a command or a path."""
    race: str = ""
    """How the race went; empty if the seeds are fixed."""
    price: str = ""
    """What the candidate of the headline costs."""
    forgetting: str = ""
    """That the candidate of the headline forgets more than others that are as good; empty if it does not."""
    rows: tuple[str, str] | None = None
    """A sentence about test rows that show what the choice means, and their address on the page."""


class TaskAnswers(NamedTuple):
    """The decisions of one task, a train size each."""

    task: str
    metric: str
    answers: tuple[Answer, ...]
    groups: tuple[str, ...]
    """The charts below."""
    candidates: Table


def answers(data: ReportData) -> tuple[TaskAnswers, ...]:
    """Return the decisions, by task."""
    found = []
    for task, spec in data.study.tasks.items():
        metric = metric_name(spec.main_metric)
        own = tuple(
            _answer(data, place, decision, metric)
            for place, decision in data.judgement.decisions.items()
            if place.task == task
        )
        if own:
            groups = tuple(task_group(name, data, task) for name in ("candidates", "frontier"))
            found.append(TaskAnswers(task, metric, own, groups, task_decision_table(data, task)))
    return tuple(found)


def _answer(data: ReportData, place: TaskSize, decision: Decision, metric: str) -> Answer:
    size = str(place.train_size) if data.several_sizes else ""
    found = verdict(data, place, decision)
    if found is None or decision.recommended is None:
        return Answer(size, decision.state, "No recommendation", "Every candidate failed a health check.", ())
    headline = f"Use {found.name}" if decision.state == "shown" else f"Not settled; {found.name} leads"
    reason = sentence_case(f"{metric} {found.score}: {found.reason}.")
    course = data.judgement.courses.get(place)
    race = sentence_case(race_sentence(data.study, course)) if course else ""
    step = found.step or next_with(data, place, decision.recommended)
    return Answer(
        size,
        decision.state,
        headline,
        reason,
        tuple(step.split("`")),
        race,
        price=price_sentence(data, place, decision.recommended),
        forgetting=sentence_case(forgetting_sentence(data, place)),
        rows=_telling_rows(data, place, decision),
    )


def _telling_rows(data: ReportData, place: TaskSize, decision: Decision) -> tuple[str, str] | None:
    """Return a link to the test rows where the best tuned method is right and the next one wrong.

    Of texts, where the one scores higher by some difference. None without two tuned methods that passed their
    checks.
    """
    tuned = [one.name for one in best_first(decision) if is_trained(data, one.name) and not one.findings]
    if len(tuned) < 2:
        return None
    better, worse, *_ = tuned
    size = {"trainSize": str(place.train_size)} if data.several_sizes else {}
    address = urlencode({"task": place.task, **size, "better": better, "worse": worse})
    chosen = data.study.tasks[place.task].answer != "text"
    verb = "is right and {} is wrong" if chosen else "scores well above {}"
    return f"test rows where {better} {verb.format(worse)}", f"#examples?{address}"
