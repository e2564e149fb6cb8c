"""The search for a method's settings: Optuna chooses, on validation only, with seeds of its own."""

import hashlib
import json
import logging
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import exp, isfinite, log
from statistics import fmean
from typing import Literal, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import ValidationError
from scipy.stats import qmc
from torch.utils.flop_counter import FlopCounterMode

from tuneoff.errors import StoppedError, writing
from tuneoff.results import CurvePoint, SearchResult, Trial
from tuneoff.results.format import damaged_if_unreadable
from tuneoff.results.layout import SearchFolder
from tuneoff.results.store import fresh_folder, write_atomically
from tuneoff.spec import Range, RunSpec, Search, Spec
from tuneoff.spec.search import Values
from tuneoff.study.events import TrialFinished
from tuneoff.study.executor import Context
from tuneoff.training import Session, prepare, run_trial, stream_seed, total_steps

_REFINED_SHARE = 3
"""One trial in so many is put where the earlier ones promise most; the others cover the space evenly."""
_UNPRUNED_TRIALS = 3


class SearchJob(NamedTuple):
    """A search to do, and the folder to leave things in."""

    search: Search
    folder: SearchFolder
    steps: int
    """Optimizer steps of each trial."""
    origin: Mapping[str, str | None]
    """What identifies the model and the task's data."""


class _StoredTrial(Spec):
    """A line of trials.jsonl."""

    trial: Trial
    reported: dict[int, float]
    """The first seed's main metric on validation by step, from which later trials are pruned."""
    digest: str
    """SHA-256 of what the search stands on, the lines before and this one."""


def search_job(job: SearchJob, context: Context) -> SearchResult:
    """Do a search and return its result; trials that its folder holds already are not done again.

    Raises:
        InputError: the model, the data or the folder cannot be used.
    """
    search, stored = job.search, _read_trials(job)
    while len(stored) < search.trials:
        with _optuna_silenced():
            _store_trial(job, stored, *_run_next_trial(job, stored, context.session))
        context.emit(TrialFinished(search, stored[-1].trial))
    return SearchResult(
        search_id=search.search_id,
        task_name=search.run.task_name,
        method_name=search.run.method_name,
        train_size=search.run.train_size,
        metric=search.run.task.main_metric,
        space=search.space,
        seeds=search.seeds,
        steps=job.steps,
        trials=tuple(one.trial for one in stored),
    )


def end_trial(job: SearchJob, state: Literal["out_of_memory", "failed"]) -> bool:
    """End the trial that is under way, without a score; return whether there was one.

    Raises:
        StoreError: the folder cannot be used.
    """
    stored = _read_trials(job)
    if len(stored) == job.search.trials:
        return False
    with _optuna_silenced():
        values = _proposed_values(job.search, _propose_trial(job.search, stored))
    _store_trial(job, stored, Trial(number=len(stored), values=values, state=state), {})
    return True


def trial_steps(searches: Sequence[Search], session: Session) -> dict[str, int]:
    """Return the optimizer steps of each search's trials, by id.

    Raises:
        InputError: the model or the data cannot be used.
    """
    factors = length_factors(searches, session)
    return {
        one.search_id: max(
            1, round(total_steps(one.run.training, session.train_count(one.run)) * factors[one.search_id])
        )
        for one in searches
    }


def length_factors(searches: Sequence[Search], session: Session) -> dict[str, float]:
    """By how much the trials of each search are factors than the study says, by id.

    1 under `budget: steps`. Under `budget: flops`, what a trial's steps cost the highest method of a task
    and train size is spent by every method; a step costs a pass both ways over the longest rows.

    Raises:
        InputError: the model or the data cannot be used.
    """
    costs = {one.search_id: _step_flops(one.run, session) for one in searches if one.budget == "flops"}
    highest = defaultdict[tuple[str, object], int](int)
    for one in searches:
        cell = (one.run.task_name, one.run.train_size)
        highest[cell] = max(highest[cell], costs.get(one.search_id, 1))
    return {
        one.search_id: highest[one.run.task_name, one.run.train_size] / costs.get(one.search_id, 1)
        for one in searches
    }


def _step_flops(run: RunSpec, session: Session) -> int:
    prepared = prepare(run, session)
    with FlopCounterMode(display=False) as counter:
        prepared.adapted.model(
            **prepared.train_batch(run.training.per_device_train_batch_size)
        ).loss.backward()
    return int(counter.get_total_flops())


def latin_hypercube(space: dict[str, Range], count: int) -> list[Values]:
    """Points that cover every field's range evenly: the middles of a Latin hypercube's cells."""
    cells = qmc.LatinHypercube(len(space), scramble=False, rng=0).random(count)
    return [
        {field: _value_at(ends, share) for (field, ends), share in zip(space.items(), row, strict=True)}
        for row in cells.tolist()
    ]


def _value_at(ends: Range, share: float) -> int | float:
    low, high, scale = ends
    span = high / low if scale == "log" else high - low
    if scale == "log":
        value = low * span**share if isfinite(span) else exp(log(low) + share * (log(high) - log(low)))
    else:
        value = low + span * share if isfinite(span) else low * (1 - share) + high * share
    return _clamped(ends, round(value) if _is_whole(ends) else value)


def _clamped(ends: Range, value: int | float) -> int | float:
    """Return a value in its range, which rounding may have left by the last digit."""
    low, high, _ = ends
    inside = min(max(value, low), high)
    return inside if _is_whole(ends) else float(inside)


def _is_whole(ends: Range) -> bool:
    return isinstance(ends[0], int) and isinstance(ends[1], int)


def _read_trials(job: SearchJob) -> list[_StoredTrial]:
    """Return the trials that have ended, as far as they are whole and were done as they would be now.

    What follows a line that is damaged is done again, and comes out the same.
    """
    path, stored = job.folder.trials, list[_StoredTrial]()
    with damaged_if_unreadable(path):
        lines = path.read_bytes().splitlines() if path.exists() else []
    for line in lines:
        try:
            one = _StoredTrial.model_validate_json(line)
        except ValidationError:
            break
        if one.digest != _digest(job, stored, one.trial, one.reported):
            break
        stored.append(one)
    return stored


def _store_trial(
    job: SearchJob, stored: list[_StoredTrial], trial: Trial, reported: dict[int, float]
) -> None:
    """Add a trial to those that have ended, in the folder too."""
    digest = _digest(job, stored, trial, reported)
    stored.append(_StoredTrial(trial=trial, reported=reported, digest=digest))
    text = "".join(one.model_dump_json() + "\n" for one in stored)
    path = job.folder.trials
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)


def _digest(job: SearchJob, before: Sequence[_StoredTrial], trial: Trial, reported: dict[int, float]) -> str:
    basis = before[-1].digest if before else [job.search.search_id, job.steps, dict(job.origin)]
    content = json.dumps([basis, trial.model_dump(), reported], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _propose_trial(search: Search, stored: Sequence[_StoredTrial]) -> optuna.Trial:
    """Return the next trial. What it tries depends on its number and the earlier trials alone."""
    number, space = len(stored), {field: _distribution(ends) for field, ends in search.space.items()}
    study = optuna.create_study(
        direction="maximize",
        pruner=_pruner(search),
        sampler=TPESampler(n_startup_trials=0, multivariate=True, seed=stream_seed(number, "init")),
    )
    study.add_trials([_as_optuna_trial(one, space) for one in stored])
    even = latin_hypercube(search.space, search.trials - search.trials // _REFINED_SHARE)
    if number < len(even):
        study.enqueue_trial(even[number])
    try:
        with np.errstate(all="ignore"):
            return study.ask(space)
    except ValueError:  # between ends that are but a few floats apart, the sampler's numbers are NaN
        study.enqueue_trial(latin_hypercube(search.space, 1)[0])
        return study.ask(space)


def _proposed_values(search: Search, trial: optuna.Trial) -> Values:
    return {field: _clamped(search.space[field], value) for field, value in trial.params.items()}


def _pruner(search: Search) -> BasePruner:
    return MedianPruner(n_startup_trials=_UNPRUNED_TRIALS) if search.pruner == "median" else NopPruner()


def _as_optuna_trial(one: _StoredTrial, space: dict[str, BaseDistribution]) -> FrozenTrial:
    """Return a trial that has ended, as Optuna is to see it."""
    states = {"complete": TrialState.COMPLETE, "diverged": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
    # the lowest score there is, so that the sampler keeps away
    value = 0.0 if one.trial.state == "diverged" else one.trial.score
    return create_trial(
        state=states.get(one.trial.state, TrialState.FAIL),
        value=value,
        params=one.trial.values,
        distributions=space,
        intermediate_values=one.reported,
    )


def _run_next_trial(
    job: SearchJob, stored: Sequence[_StoredTrial], session: Session
) -> tuple[Trial, dict[int, float]]:
    """Do the next trial: return means over the search's seeds or the first failure, and what was reported."""
    number, search = len(stored), job.search
    trial, metric = _propose_trial(search, stored), search.run.task.main_metric
    values = _proposed_values(search, trial)
    scores: list[dict[str, float]] = []
    reported: dict[int, float] = {}

    def watch(point: CurvePoint) -> None:
        if scores or point.scores is None:
            return  # the first seed decides
        reported[point.step] = point.scores[metric]
        trial.report(point.scores[metric], point.step)
        if trial.should_prune():
            raise StoppedError(f"pruned at step {point.step}")

    for seed in search.seeds:
        spec = search.trial(values, seed=seed, steps=job.steps)
        folder = fresh_folder(job.folder.trial(number, seed).path)
        record = run_trial(spec, folder, session=session, on_point=watch)
        if record.state != "complete":
            state = "pruned" if record.state == "cancelled" else record.state
            return Trial(number=number, values=values, state=state), reported
        scores.append(record.validation)
    done = Trial(
        number=number,
        values=values,
        state="complete",
        score=fmean(one[metric] for one in scores),
        eval_loss=fmean(one["eval_loss"] for one in scores),
    )
    return done, reported


def _distribution(ends: Range) -> BaseDistribution:
    low, high, scale = ends
    if _is_whole(ends):
        return IntDistribution(int(low), int(high), log=scale == "log")
    return FloatDistribution(low, high, log=scale == "log")


@contextmanager
def _optuna_silenced() -> Iterator[None]:
    """Optuna tells of every trial on standard error; the study's own listener does."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
