"""A study from its plan to its last record."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from tuneoff.errors import StudyError, TuneoffError
from tuneoff.methods import attach
from tuneoff.results import CurvePoint, LeftOut, RunFailure, RunRecord, RunState, SearchResult, chosen_values
from tuneoff.results.identity import Inputs, places_of
from tuneoff.results.store import RunStore, fresh_folder
from tuneoff.spec import Method, NoneSpec, RunSpec, Search, StudySpec, expand, searches
from tuneoff.spec.run import with_values
from tuneoff.study.baselines import add_baselines
from tuneoff.study.executor import Executor, Job, Lost
from tuneoff.study.tune import SearchJob, end_trial, search_job, trial_steps
from tuneoff.training import load_backbone, train_run
from tuneoff.training.data import know, known_for, run_data
from tuneoff.training.run import is_out_of_memory

_INTERRUPTED = "interrupted; the same command does the run again"


class Listener(Protocol):
    """Is told how a study goes on."""

    def moved(self, damaged: Sequence[LeftOut]) -> None:
        """Damaged results were moved aside, to be made again."""

    def searching(self, pending: Sequence[Search], total: int) -> None:
        """The searches to do, out of so many."""

    def searched(self, result: SearchResult) -> None:
        """A search has ended."""

    def planned(self, pending: Sequence[RunSpec], total: int) -> None:
        """The runs to do, out of so many."""

    def started(self, run: RunSpec) -> None:
        """A run begins (told by the inline executor only)."""

    def point(self, run: RunSpec, point: CurvePoint) -> None:
        """A run has logged or evaluated a step (told by the inline executor only)."""

    def finished(self, record: RunRecord) -> None:
        """A run has ended."""


def run_study(study: StudySpec, folder: Path, *, executor: Executor, listener: Listener) -> None:
    """Does all runs of a study that have not been done, and keeps each record as it comes.

    Raises:
        InputError: something given cannot be used; found before the first run wherever possible.
        KeyboardInterrupt: interrupted; the runs under way are marked cancelled and done again next time.
    """
    runs = expand(study)
    inputs = check(study, runs)
    trials = [one.run.model_copy(update={"seed": seed}) for one in searches(study) for seed in one.seeds]
    executor.prepare(partial(know, known_for([*runs, *trials])))
    with RunStore(folder, study, inputs) as store, closing(executor):
        listener.moved(store.moved)
        add_baselines(study, store)
        runs = expand(study, chosen_values(study, _searched(study, store, executor, listener, inputs)))
        pending = store.pending(runs)
        listener.planned(pending, len(runs))
        jobs = [Job(run, store.run_folder(run.run_id).path) for run in _in_order(pending, executor)]
        work = partial(do_job, listener=listener) if executor.in_process else do_job
        try:
            with closing(executor.map(work, jobs)) as results:
                for result in results:
                    listener.finished(_kept(store, result))
        except KeyboardInterrupt:
            failure = RunFailure(kind="KeyboardInterrupt", message=_INTERRUPTED)
            for run in store.begun(pending):
                _end(store, run, "cancelled", failure)
            raise


def _searched(
    study: StudySpec,
    store: RunStore,
    executor: Executor,
    listener: Listener,
    inputs: Inputs,
) -> tuple[SearchResult, ...]:
    """The results of the study's searches, done as far as they are missing."""
    wanted, found = searches(study), store.contents().searches
    pending = [search for search in wanted if not any(result.answers(search) for result in found)]
    if pending:
        listener.searching(pending, len(wanted))
        steps = trial_steps(wanted)
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
            jobs = _search(jobs, store, executor, listener)
    return store.contents().searches


def _search(
    jobs: Sequence[SearchJob], store: RunStore, executor: Executor, listener: Listener
) -> list[SearchJob]:
    """Do searches, and return those that are to go on without a trial that ended its worker."""
    again = []
    with closing(executor.map(search_job, jobs)) as results:
        for result in results:
            if isinstance(result, SearchResult):
                listener.searched(store.write_search(result))
            elif end_trial(result.job, result.state):
                again.append(result.job)
            else:
                raise TuneoffError(f"the search {result.job.search.search_id} cannot end: {result.message}")
    return again


def check(study: StudySpec, runs: Sequence[RunSpec]) -> Inputs:
    """Return what the runs are made from, once the model, every method and every task has been tried.

    Raises:
        InputError: one of them cannot be used.
    """
    by_data = {(run.task_name, run.train_size, isinstance(run.method, NoneSpec)): run for run in runs}
    backbone = load_backbone(study.model)
    identity = backbone.identity(study.model)
    digests = {}
    for run in by_data.values():
        digests[run.task_name] = run_data(run, backbone.tokenizer).report.digests
    tried = dict.fromkeys((run.method for run in runs), "") | dict(_searched_ends(study))
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


def _searched_ends(study: StudySpec) -> Iterator[tuple[Method, str]]:
    """Yield each searched method with the lowest values of its ranges, then the highest, and its place."""
    for search in searches(study):
        place = f"search, method {search.run.method_name}, {', '.join(search.space)}: "
        lowest = {field: low for field, (low, _, _) in search.space.items()}
        highest = {field: high for field, (_, high, _) in search.space.items()}
        yield with_values(search.run.method, lowest), place
        yield with_values(search.run.method, highest), place


def do_job(job: Job, listener: Listener | None = None) -> RunRecord:
    """The record of a job, done from nothing in its folder."""
    fresh_folder(job.folder)
    if listener is None:
        return train_run(job.spec, job.folder)
    listener.started(job.spec)
    return train_run(job.spec, job.folder, on_point=partial(listener.point, job.spec))


def _in_order(runs: Sequence[RunSpec], executor: Executor) -> list[RunSpec]:
    """The runs as planned; for several workers the short ones last, so that none waits for a long one."""
    return sorted(runs, key=lambda run: not executor.in_process and isinstance(run.method, NoneSpec))


def _kept(store: RunStore, result: RunRecord | Lost[Job]) -> RunRecord:
    """Put the record of a run into the folder, and return it."""
    if isinstance(result, Lost):
        failure = RunFailure(kind="WorkerLost", message=result.message)
        return _end(store, result.job.spec, result.state, failure)
    store.write(result)
    return result


def _end(store: RunStore, run: RunSpec, state: RunState, failure: RunFailure) -> RunRecord:
    """End a run that was stopped in the midst of its work; its other files go, as they may be cut."""
    record = RunRecord(run_id=run.run_id, spec=run, state=state, failure=failure)
    fresh_folder(store.run_folder(run.run_id).path)
    store.write(record)
    return record
