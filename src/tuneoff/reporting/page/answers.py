"""The top of the page: what to use on each task, in a few words, and the sentence that says why."""

from typing import NamedTuple

from tuneoff.reporting.data import ReportData
from tuneoff.reporting.decision import decision_sentence, described
from tuneoff.reporting.page.views import task_group
from tuneoff.stats import Decision


class Answer(NamedTuple):
    """The decision at one train size."""

    train_size: str
    """Empty where the study has one only."""
    headline: str
    sentence: str
    state: str


class TaskAnswers(NamedTuple):
    """The decisions of one task, a train size each."""

    task: str
    metric: str
    answers: tuple[Answer, ...]
    groups: tuple[str, ...]
    """The charts below."""


def answers(data: ReportData) -> tuple[TaskAnswers, ...]:
    """Return the decisions, by task."""
    found = []
    for task, spec in data.study.tasks.items():
        own = tuple(
            Answer(
                str(place.train_size) if data.several_sizes else "",
                _headline(data, decision),
                decision_sentence(data, place, decision),
                decision.state,
            )
            for place, decision in data.judgement.decisions.items()
            if place.task == task
        )
        groups = tuple(task_group(name, data, task) for name in ("candidates", "frontier"))
        if own:
            found.append(TaskAnswers(task, spec.main_metric.removeprefix("eval_"), own, groups))
    return tuple(found)


def _headline(data: ReportData, decision: Decision) -> str:
    if decision.recommended is None:
        return "No recommendation"
    name = described(data, decision.recommended)
    return f"Use {name}" if decision.state == "shown" else f"Not settled; {name} leads"
