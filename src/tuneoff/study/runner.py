"""Run a study: from its plan to its last record.

Read top-down: `run_study` calls `check` (try everything before the first step), `_search_settings` and
`_do_rounds`; an executor calls `do_job` for each run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import torch

from tuneoff.errors import StudyError, TuneoffError, UnfitError
from tuneoff.methods import attach
from tuneoff.results import (
    Contents,
    Inputs,
    RunFailure,
    RunRecord,
    RunState,
    RunStore,
    SearchResult,
    StudyFolder,
    TaskExamples,
)
from tuneoff.results.identity import places_of
from tuneoff.results.store import fresh_folder
from tuneoff.spec import (
    Method,
    ModelSpec,
    NoneSpec,
    RunSpec,
    Shard,
    StudySpec,
    expand,
    searches,
    share_key,
)
from tuneoff.spec.run import range_ends
from tuneoff.stats import needed_runs, race_courses, read_evidence
from tuneoff.study.activity import activity_written
from tuneoff.study.baselines import add_baselines
from tuneoff.study.events import (
    DamagedMoved,
    ModelConverting,
    OnEvent,
    PointLogged,
    RunFinished,
    RunsPlanned,
    RunStarted,
    SearchesPlanned,
    SearchFinished,
    WorkExpected,
    ignore,
)
from tuneoff.study.executor import Context, Executor, Job, Lost
from tuneoff.study.tune import SearchJob, end_trial, search_job, trial_steps
from tuneoff.study.workload import expected_loads
from tuneoff.tasks import texts_digest
from tuneoff.training import Backbone, Session, load_backbone, train_run
from tuneoff.training.data import run_data
from tuneoff.training.forgetting import check_fits, encode_texts
from tuneoff.training.run import (
    can_be_split,
    can_measure_forgetting,
    is_out_of_memory,
    measure_forgetting,
    run_member,
)

_INTERRUPTED = "interrupted; goes on when the study is resumed"


def run_study(
    study: StudySpec,
    folder: Path,
    *,
    executor: Executor,
    session: Session | None = None,
    on_event: OnEvent = ignore,
    shard: Shard | None = None,
) -> None:
    """Do all runs of a study that have no finished record in the folder, and store each record as it comes.

    With a shard, do only those of its share; other processes may do the other shards in the same folder.

    Raises:
        InputError: an input cannot be used; found before the first run wherever possible.
        KeyboardInterrupt: interrupted; the runs under way are marked cancelled and done again next time.
    """
    session = session or Session()
    session.forget_changed_files()
    inputs = check(study, session, on_event)
    executor.prepare(_session_setup(study, session, executor))
    with (
        RunStore(folder, study, inputs, shard) as store,
        closing(executor),
        activity_written(study.name, StudyFolder(folder).activity(shard), on_event) as on_event,
    ):
        on_event(DamagedMoved(store.moved))
        _store_examples(study, store, session)
        add_baselines(study, store, session)
        store.admit_others()
        found = store.contents()
        on_event(WorkExpected(expected_loads(found.plan, session), found.records))
        _search_settings(found, store, executor, session, inputs, on_event)
        _do_rounds(store, executor, on_event)


def check(study: StudySpec, session: Session, on_event: OnEvent = ignore) -> Inputs:
    """Load the model and all data, attach every method once, and return what identifies model and data.

    So a mistake in the last method is found before the first one has been trained for hours.

    Raises:
        InputError: the model, a task's data or a method cannot be used.
    """
    runs = expand(study)
    backbone = load_backbone(study.model, lambda file, folder: on_event(ModelConverting(file, folder)))
    identity = backbone.identity(study.model)
    # runs that differ in anything else are made from the same rows; an untrained method has no training rows
    by_data = {
        (run.task_name, run.task.prompt, run.train_size, isinstance(run.method, NoneSpec)): run
        for run in runs
    }
    digests = {}
    for run in by_data.values():
        digests[run.task_name] = run_data(run, backbone.tokenizer, session).report.digests
    for model in dict.fromkeys((study.model, *(run.model for run in runs))):
        if model != study.model:
            backbone = load_backbone(model)
        for method, place in _methods_to_try(study, model):
            generator = torch.Generator().manual_seed(0)
            try:
                attach(backbone.model, method, generator=generator, tokenizer=backbone.tokenizer).detach()
            except StudyError as error:
                raise StudyError(f"{place}{error}") from error
            except UnfitError:
                # each run of the method is recorded as failed with the reason, and the study goes on; the
                # model may be left with half of the method attached
                backbone = load_backbone(model)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                # a run that needs too much memory is a result of the study, not bad input; the model may be
                # left with half of the method attached
                backbone = load_backbone(model)
    texts = _check_texts(study, session, backbone)
    return Inputs(model=identity, data=digests, places=places_of(study), texts=texts)


def _check_texts(study: StudySpec, session: Session, backbone: Backbone) -> str | None:
    """Read the general texts, if the study has any, and return their digest.

    Raises:
        InputError: they cannot be used with the model.
    """
    if study.forgetting is None:
        return None
    texts = session.general_texts(study.forgetting)
    check_fits(backbone.family, encode_texts(texts, backbone, study.forgetting).values())
    return texts_digest(study.forgetting, texts)


def _store_examples(study: StudySpec, store: RunStore, session: Session) -> None:
    """Store the test examples of each task, so that a report can show them without the task's source."""
    for name, task in study.tasks.items():
        data = session.task_data(task)
        store.write_examples(
            name,
            TaskExamples(
                rows=tuple(example.row for example in data.test),
                inputs=tuple(example.shown for example in data.test),
                references=tuple(example.reference for example in data.test),
                digests=data.digests,
            ),
        )


def _methods_to_try(study: StudySpec, model: ModelSpec) -> Iterable[tuple[Method, str]]:
    """Return each method of a study's runs of a model once, with the place that its errors begin with.

    A searched method is tried with the lowest values of its ranges and with the highest.
    """
    places = dict.fromkeys((run.method for run in expand(study) if run.model == model), "")
    for search in searches(study):
        if search.run.model == model:
            place = f"search, method {search.run.method_name}, {', '.join(search.space)}: "
            places |= dict.fromkeys(range_ends(search), place)
    return places.items()


def _session_setup(study: StudySpec, session: Session, executor: Executor) -> Callable[[], Session]:
    """Return a function that makes the session of a process that does runs.

    Worker processes get a copy of what their runs need, so that they need not read the data again.
    """
    if not executor.in_process:
        trials = [one.run.model_copy(update={"seed": seed}) for one in searches(study) for seed in one.seeds]
        session = session.for_runs([*expand(study), *trials])
    return partial(_given, session)  # a lambda could not be pickled


def _given(session: Session) -> Session:
    return session


def _search_settings(
    found: Contents,
    store: RunStore,
    executor: Executor,
    session: Session,
    inputs: Inputs,
    on_event: OnEvent,
) -> None:
    """Do the searches of a study that have no result in the folder."""
    planned = tuple(one for one in searches(found.study) if _is_own(one.run, store, found.study))
    pending = tuple(
        search for search in planned if not any(result.answers(search) for result in found.searches)
    )
    if not pending:
        return
    steps = trial_steps(searches(found.study), session)
    then = found.pending(_needed(found, store.folder))
    on_event(SearchesPlanned(pending, len(planned), steps, then))
    jobs = [
        SearchJob(
            search,
            store.search_folder(search.search_id),
            steps=steps[search.search_id],
            origin=inputs.of_tasks(*(one.task_name for one in search.run.members)),
        )
        for search in pending
    ]
    while jobs:
        jobs = _do_searches(jobs, store, executor, on_event)


def _do_searches(
    jobs: Sequence[SearchJob], store: RunStore, executor: Executor, on_event: OnEvent
) -> list[SearchJob]:
    """Do searches, and return those that lost a trial with its worker process and are to be continued."""
    interrupted = []
    with closing(executor.map(search_job, jobs, on_event)) as results:
        for result in results:
            if isinstance(result, SearchResult):
                on_event(SearchFinished(store.write_search(result)))
            elif end_trial(result.job, result.state):
                interrupted.append(result.job)
            else:
                raise TuneoffError(f"the search {result.job.search.search_id} cannot end: {result.message}")
    return interrupted


def _do_rounds(store: RunStore, executor: Executor, on_event: OnEvent) -> None:
    """Do the runs that have no finished record: of fixed seeds all in one round, of a race look by look.

    No run is done twice, so a race goes on where one fails.
    """
    tried: set[str] = set()
    for number in count(1):
        found = store.contents()
        needed = [run for run in _needed(found, store.folder) if _is_own(run, store, found.study)]
        pending = tuple(run for run in found.pending(needed) if run.run_id not in tried)
        if number == 1 or pending:
            on_event(RunsPlanned(pending, len(needed), number))
        if not pending:
            return
        trained = [run for run in pending if run.trained_by is None]
        _do_runs(trained, found.records, store, executor, on_event)
        if tested := [run for run in pending if run.trained_by is not None]:
            _do_runs(tested, store.contents().records, store, executor, on_event)
        if found.study.race is None:
            return
        tried |= {run.run_id for run in pending}


def _is_own(run: RunSpec, store: RunStore, study: StudySpec) -> bool:
    """Return whether this process does a run: without a shard, it does all."""
    return store.shard is None or store.shard.takes(share_key(study, run))


def _needed(found: Contents, folder: Path) -> tuple[RunSpec, ...]:
    """Return the runs that a study needs as far as is known: all of them, or those of a race's look."""
    read = partial(read_evidence, folder, found.records, found.baselines)
    return needed_runs(found.study, found.plan, race_courses(found, read))


def _do_runs(
    pending: Sequence[RunSpec],
    present: Sequence[RunRecord],
    store: RunStore,
    executor: Executor,
    on_event: OnEvent,
) -> None:
    """Do runs, and store each record as it comes; on Ctrl-C, mark the runs under way as cancelled.

    `present` are the records of the folder, some of which may lack a part only, and some of which are of the
    runs whose weights the pending ones test.
    """
    if not executor.in_process:
        # the short runs of untrained methods last, so that no worker idles while another does a long one
        pending = sorted(pending, key=lambda run: isinstance(run.method, NoneSpec))
    records = {record.run_id: record for record in present}
    trained = {record.spec.settings_key: record for record in present}
    jobs = [_job(run, store.run_folder(run.run_id).path, records, trained) for run in pending]
    try:
        while jobs:
            smaller = []
            with closing(executor.map(do_job, jobs, on_event)) as results:
                for result in results:
                    if isinstance(result, Lost) and (job := _with_smaller_batches(result)):
                        smaller.append(job)
                    else:
                        on_event(RunFinished(_store_result(store, result)))
            jobs = smaller
    except KeyboardInterrupt:
        failure = RunFailure(kind="KeyboardInterrupt", message=_INTERRUPTED)
        for run in store.begun(pending):
            _store_failure(store, run, "cancelled", failure)
        raise


def _with_smaller_batches(lost: Lost[Job]) -> Job | None:
    """Return a job again with half the rows in memory, if the system has ended it and that can help."""
    job = lost.job
    trains = job.trained is None and job.trained_by is None
    if lost.state == "out_of_memory" and trains and can_be_split(job.spec, job.parts):
        return job._replace(parts=2 * job.parts)
    return None


def _job(
    run: RunSpec, folder: Path, records: Mapping[str, RunRecord], trained: Mapping[str, RunRecord]
) -> Job:
    """Return the job of a pending run; if it has a record that lacks nothing but forgetting, only that.

    `records` are those of the folder by run id, `trained` the same by the key of their settings.
    """
    if run.trained_by is not None:
        return Job(run, folder, trained_by=trained[run.trained_by.settings_key])
    record = records.get(run.run_id)
    if record is None or run.forgetting is None or not record.has_cuts(run):
        return Job(run, folder)
    return Job(run, folder, record if can_measure_forgetting(record, folder) else None)


def do_job(job: Job, context: Context) -> RunRecord:
    """Do a run from scratch in its folder, or what its record lacks, and return its record."""
    if job.trained is not None:
        context.emit(RunStarted(job.spec))
        return measure_forgetting(job.trained, job.spec, job.folder, session=context.session)
    fresh_folder(job.folder)
    context.emit(RunStarted(job.spec))
    if job.trained_by is not None:
        return run_member(job.trained_by, job.spec, job.folder, session=context.session)
    return train_run(
        job.spec,
        job.folder,
        session=context.session,
        on_point=lambda point: context.emit(PointLogged(job.spec, point)),
        parts=job.parts,
    )


def _store_result(store: RunStore, result: RunRecord | Lost[Job]) -> RunRecord:
    """Write the record of a run, and return it; a run that was lost with its worker is recorded as failed."""
    if isinstance(result, Lost):
        parts = result.job.parts
        message = result.message if parts == 1 else f"{result.message}, with each batch in {parts} parts"
        failure = RunFailure(kind="WorkerLost", message=message)
        return _store_failure(store, result.job.spec, result.state, failure)
    store.write(result)
    return result


def _store_failure(store: RunStore, run: RunSpec, state: RunState, failure: RunFailure) -> RunRecord:
    """Write the record of a run that was stopped midway; its other files are removed, as they may be cut."""
    record = RunRecord(run_id=run.run_id, spec=run, state=state, failure=failure)
    fresh_folder(store.run_folder(run.run_id).path)
    store.write(record)
    return record
