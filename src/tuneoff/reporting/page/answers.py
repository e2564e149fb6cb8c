"""The top of the page: what to use on each task in a few words, why, and what would settle it."""

from typing import NamedTuple

from tuneoff.reporting.data import ReportData
from tuneoff.reporting.decision import task_decision_table, verdict
from tuneoff.reporting.document import Table
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
    """What would settle it; every second part is a command."""
    race: str = ""
    """How the race went; empty if the seeds are fixed."""


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
    if found is None:
        return Answer(size, decision.state, "No recommendation", "Every candidate failed a health check.", ())
    headline = f"Use {found.name}" if decision.state == "shown" else f"Not settled; {found.name} leads"
    reason = sentence_case(f"{metric} {found.score}: {found.reason}.")
    course = data.judgement.courses.get(place)
    race = sentence_case(race_sentence(data.study, course)) if course else ""
    return Answer(size, decision.state, headline, reason, tuple(found.step.split("`")), race)
