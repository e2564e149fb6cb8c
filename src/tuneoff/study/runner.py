"""A study from its plan to its last record.

`run_study` reads top-down: `check`, `_search_settings`, `_do_runs`, and in each run `do_job`.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import torch

from tuneoff.errors import StudyError, TuneoffError
from tuneoff.methods import attach
from tuneoff.results import (
    Inputs,
    RunFailure,
    RunRecord,
    RunState,
    RunStore,
    SearchResult,
    chosen_values,
)
from tuneoff.results.identity import places_of
from tuneoff.results.store import fresh_folder
from tuneoff.spec import Method, NoneSpec, RunSpec, StudySpec, expand, searches
from tuneoff.spec.run import with_values
from tuneoff.study.baselines import add_baselines
from tuneoff.study.events import (
    DamagedMoved,
    OnEvent,
    PointLogged,
    RunFinished,
    RunsPlanned,
    RunStarted,
    SearchesPlanned,
    SearchFinished,
    ignore,
)
from tuneoff.study.executor import Context, Executor, Job, Lost
from tuneoff.study.tune import SearchJob, end_trial, search_job, trial_steps
from tuneoff.training import Session, load_backbone, train_run
from tuneoff.training.data import run_data
from tuneoff.training.run import is_out_of_memory

_INTERRUPTED = "interrupted; the same command does the run again"


def run_study(
    study: StudySpec,
    folder: Path,
    *,
    executor: Executor,
    session: Session | None = None,
    on_event: OnEvent = ignore,
) -> None:
    """Do all runs of a study that have not been done, and keep each record as it comes.

    Raises:
        InputError: something given cannot be used; found before the first run wherever possible.
        KeyboardInterrupt: interrupted; the runs under way are marked cancelled and done again next time.
    """
    session = session or Session()
    session.forget_changed_files()
    inputs = check(study, session)
    executor.prepare(_session_factory(study, session, executor))
    with RunStore(folder, study, inputs) as store, closing(executor):
        on_event(DamagedMoved(store.moved))
        add_baselines(study, store, session)
        results = _search_settings(study, store, executor, session, inputs, on_event)
        runs = expand(study, chosen_values(study, results))
        pending = store.pending(runs)
        on_event(RunsPlanned(pending, len(runs)))
        _do_runs(pending, store, executor, on_event)


def check(study: StudySpec, session: Session) -> Inputs:
    """Return what a study's runs are made from, once the model, every method and every task has been tried.

    Raises:
        InputError: one of them cannot be used.
    """
    runs = expand(study)
    by_data = {(run.task_name, run.train_size, isinstance(run.method, NoneSpec)): run for run in runs}
    backbone = load_backbone(study.model)
    identity = backbone.identity(study.model)
    digests = {}
    for run in by_data.values():
        digests[run.task_name] = run_data(run, backbone.tokenizer, session).report.digests
    tried = dict.fromkeys((run.method for run in runs), "") | dict(_search_range_ends(study))
    for method, place in tried.items():
        generator = torch.Generator().manual_seed(0)
        try:
            attach(backbone.model, method, generator=generator, tokenizer=backbone.tokenizer).detach()
        except StudyError as error:
            raise StudyError(f"{place}{error}") from error
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            # a run that needs too much memory is a result of the study, not bad input
            backbone = load_backbone(study.model)
    return Inputs(model=identity, data=digests, places=places_of(study))


def _search_range_ends(study: StudySpec) -> Iterator[tuple[Method, str]]:
    """Yield each searched method with the lowest values of its ranges, then the highest, and its place."""
    for search in searches(study):
        place = f"search, method {search.run.method_name}, {', '.join(search.space)}: "
        lowest = {field: low for field, (low, _, _) in search.space.items()}
        highest = {field: high for field, (_, high, _) in search.space.items()}
        yield with_values(search.run.method, lowest), place
        yield with_values(search.run.method, highest), place


def _session_factory(study: StudySpec, session: Session, executor: Executor) -> "partial[Session]":
    """Return what makes the session of a process that does runs: this one's, or the part that they need."""
    if executor.in_process:
        return partial(_given, session)
    trials = [one.run.model_copy(update={"seed": seed}) for one in searches(study) for seed in one.seeds]
    return partial(_given, session.for_runs([*expand(study), *trials]))


def _given(session: Session) -> Session:
    return session


def _search_settings(
    study: StudySpec,
    store: RunStore,
    executor: Executor,
    session: Session,
    inputs: Inputs,
    on_event: OnEvent,
) -> tuple[SearchResult, ...]:
    """Return the results of the study's searches, done as far as they are missing."""
    planned, found = searches(study), store.contents().searches
    pending = tuple(search for search in planned if not any(result.answers(search) for result in found))
    if pending:
        on_event(SearchesPlanned(pending, len(planned)))
        steps = trial_steps(planned, session)
        jobs = [
            SearchJob(
                one,
                store.search_folder(one.search_id),
                steps=steps[one.search_id],
                origin=inputs.of_task(one.run.task_name),
            )
            for one in pending
        ]
        while jobs:
            jobs = _do_searches(jobs, store, executor, on_event)
    return store.contents().searches


def _do_searches(
    jobs: Sequence[SearchJob], store: RunStore, executor: Executor, on_event: OnEvent
) -> list[SearchJob]:
    """Do searches, and return those that are to go on without a trial that ended its worker."""
    again = []
    with closing(executor.map(search_job, jobs, on_event)) as results:
        for result in results:
            if isinstance(result, SearchResult):
                on_event(SearchFinished(store.write_search(result)))
            elif end_trial(result.job, result.state):
                again.append(result.job)
            else:
                raise TuneoffError(f"the search {result.job.search.search_id} cannot end: {result.message}")
    return again


def _do_runs(pending: Sequence[RunSpec], store: RunStore, executor: Executor, on_event: OnEvent) -> None:
    jobs = [Job(run, store.run_folder(run.run_id).path) for run in _scheduled(pending, executor)]
    try:
        with closing(executor.map(do_job, jobs, on_event)) as results:
            for result in results:
                on_event(RunFinished(_store_result(store, result)))
    except KeyboardInterrupt:
        failure = RunFailure(kind="KeyboardInterrupt", message=_INTERRUPTED)
        for run in store.begun(pending):
            _store_failure(store, run, "cancelled", failure)
        raise


def do_job(job: Job, context: Context) -> RunRecord:
    """Return the record of a run, done from nothing in its folder."""
    fresh_folder(job.folder)
    context.emit(RunStarted(job.spec))
    return train_run(
        job.spec,
        job.folder,
        session=context.session,
        on_point=lambda point: context.emit(PointLogged(job.spec, point)),
    )


def _scheduled(runs: Sequence[RunSpec], executor: Executor) -> list[RunSpec]:
    """The runs as planned; for several workers the short ones last, so that none waits for a long one."""
    return sorted(runs, key=lambda run: not executor.in_process and isinstance(run.method, NoneSpec))


def _store_result(store: RunStore, result: RunRecord | Lost[Job]) -> RunRecord:
    """Put the record of a run into the folder, and return it."""
    if isinstance(result, Lost):
        failure = RunFailure(kind="WorkerLost", message=result.message)
        return _store_failure(store, result.job.spec, result.state, failure)
    store.write(result)
    return result


def _store_failure(store: RunStore, run: RunSpec, state: RunState, failure: RunFailure) -> RunRecord:
    """End a run that was stopped in the midst of its work; its other files go, as they may be cut."""
    record = RunRecord(run_id=run.run_id, spec=run, state=state, failure=failure)
    fresh_folder(store.run_folder(run.run_id).path)
    store.write(record)
    return record
