"""State in sentences how far a method must be ahead for a planned study to show its decision."""

from collections.abc import Mapping
from typing import NamedTuple

from tuneoff.phrases import plural
from tuneoff.reporting.formatting import count
from tuneoff.results import metric_name
from tuneoff.results.metrics import RIGHT_OR_WRONG
from tuneoff.spec import NoneSpec, StudySpec, Task
from tuneoff.stats.power import CLASSIFICATION, POWER, SUMMARIZATION, Components, Plan, lead_shown, needed

LEADS = (0.01, 0.02, 0.05)


class PlannedTask(NamedTuple):
    """What the decision of a task will be made on, beside the methods."""

    test_rows: int
    baselines: int
    """How many simple baselines are candidates."""


def power_statements(study: StudySpec, planned: Mapping[str, PlannedTask]) -> tuple[str, ...]:
    """Return for each task the lead with which its decision will be shown, and what smaller ones would need.

    It is the same at every train size. Seeds and examples are assumed to vary as is typical of the kind of
    task (docs/statistics.md).
    """
    lines: list[str] = []
    for task, one in planned.items():
        lines += _statements(study, task, one)
    return tuple(lines)


def _statements(study: StudySpec, task: str, one: PlannedTask) -> list[str]:
    spec, margin = study.tasks[task], study.decision_margin
    typical = typical_components(spec)
    methods = study.methods_on(task).values()
    trained = sum(not isinstance(method, NoneSpec) for method in methods)
    plan = Plan(len(study.all_seeds), one.test_rows, trained, len(methods) - trained + one.baselines)
    size = (
        f"{task}: with {plural(plan.seeds, 'seed')}, {plural(plan.examples, 'test example')} and "
        f"{plural(plan.trained + plan.untrained, 'candidate')}"
    )
    if not trained:
        return []
    lead = lead_shown(plan, typical, margin=margin)
    shown = f"in {POWER:.0%} of such studies"
    if lead is None:
        first = f"{size} nothing is shown of a method: that needs at least two seeds (better three or more)"
    elif lead >= 1:
        first = f"{size} no lead of a method is large enough for a decision that is shown {shown}"
    elif lead == 0:
        first = f"{size} the decision is shown (within {margin:g} of the best) {shown}, whatever the lead"
    else:
        first = (
            f"{size} a method that leads all others by {lead:.3f} {metric_name(spec.main_metric)} or more is "
            f"shown to be within {margin:g} of the best {shown}"
        )
    smaller = [one for one in LEADS if lead is None or one < lead]
    return [first, *(_needs(one, plan, typical, margin) for one in smaller)]


def typical_components(task: Task) -> Components:
    """Return how seeds and examples vary in this kind of task."""
    return CLASSIFICATION if task.main_metric in RIGHT_OR_WRONG else SUMMARIZATION


def _needs(lead: float, plan: Plan, typical: Components, margin: float) -> str:
    *sized, present = needed(plan, lead, typical, margin=margin)
    options = [f"{one.seeds} seeds and {count(one.examples)} examples" for one in sized if one.examples]
    if present.seeds:
        options.append(f"{present.seeds} seeds and these {count(present.examples or 0)} examples")
    if not options:
        return f"  a lead of {lead} is out of reach"
    return f"  for a lead of {lead} that needs {', or '.join(options)}"
