"""The run whose weights a decision recommends."""

from pathlib import Path

from tuneoff.errors import StoreError, suggestions
from tuneoff.reporting.data import ReportData
from tuneoff.results import RunRecord, StudyFolder
from tuneoff.stats import TaskSize


def recommended_run(data: ReportData, task: str | None = None) -> Path:
    """Return the folder of the recommended method's run on a task, at the largest train size.

    Of its seeds it is the one with the best score on validation: the test split chooses nothing.

    Raises:
        StoreError: several tasks and none is named, or nothing that was trained is recommended.
    """
    place = _place(data, task)
    decision = data.judgement.decisions[place]
    if decision.recommended is None:
        raise StoreError(f"nothing is recommended on {place.task}, as all failed a check; name a run")
    metric = data.study.tasks[place.task].main_metric
    runs = [record for record in data.records if _is_of(record, place, decision.recommended)]
    if not runs:
        raise StoreError(
            f"the decision on {place.task} is for {decision.recommended}, which is no tuned model; name a run"
        )
    best = max(runs, key=lambda record: (record.validation.get(metric, 0.0), -record.spec.seed))
    return StudyFolder(data.folder).run(best.run_id).path


def _place(data: ReportData, task: str | None) -> TaskSize:
    tasks = data.study.tasks
    if task is not None and task not in tasks:
        raise StoreError(f"the study has no task '{task}'{suggestions(task, tasks)}")
    if task is None and len(tasks) > 1:
        raise StoreError(f"the study has several tasks; name one with --task: {', '.join(tasks)}")
    places = [place for place in data.judgement.decisions if place.task == (task or next(iter(tasks)))]
    if not places:
        raise StoreError("there is no decision yet; finish the study, or name a run")
    # "full" is larger than any number
    return max(places, key=lambda place: (place.train_size == "full", place.train_size))


def _is_of(record: RunRecord, place: TaskSize, method: str) -> bool:
    spec = record.spec
    own = (spec.task_name, spec.method_name) == (place.task, method)
    untrained = not (record.footprint and record.footprint.trainable)
    return record.state == "complete" and own and (untrained or spec.train_size == place.train_size)
