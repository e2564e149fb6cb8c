"""Search for a method's settings: Optuna proposes values, and scores on validation decide between them.

A search is a list of trials, done one after another. A trial trains one run for each of the search's seeds
and never touches the test split. Each training is stored in trials.jsonl as soon as it ends, so that a search
that was interrupted goes on after the last stored one. A trial has one training, with halving one for each
rung that it reaches (`halving.py`).
"""

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
import scipy
import torch
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode

from tuneoff.errors import StoppedError, UnfitError, writing
from tuneoff.results import CurvePoint, SearchResult, Trial
from tuneoff.results.format import damaged_if_unreadable
from tuneoff.results.layout import SearchFolder
from tuneoff.results.store import fresh_folder, write_atomically
from tuneoff.spec import Range, RunSpec, Search, Spec, TrainSize
from tuneoff.spec.search import Values
from tuneoff.study.events import SearchStarted, TrialFinished, TrialPointLogged, TrialStarted
from tuneoff.study.executor import Context
from tuneoff.study.halving import Training, ended_trials, next_training
from tuneoff.training import Session, prepare, run_trial, stream_seed, total_steps
from tuneoff.training.precision import autocast

_REFINED_SHARE = 3
"""One trial in this many is proposed by Optuna from the earlier scores; the others cover the space evenly."""
_UNPRUNED_TRIALS = 3
"""Trials that the pruner only observes; a median of fewer says little."""


class SearchJob(NamedTuple):
    """A search to do, and the folder to write into."""

    search: Search
    folder: SearchFolder
    steps: int
    """Optimizer steps of each whole trial."""
    origin: Mapping[str, str | None]
    """Commit or checksum of the model, and checksums of the task's data."""

    @property
    def name(self) -> str:
        """Return the search's id."""
        return self.search.search_id


class _StoredTrial(Spec):
    """A line of trials.jsonl: a training of a trial."""

    trial: Trial
    """The trial as far as it was trained here; with halving, its score is that at the rung."""
    reported: dict[int, float]
    """The first seed's main metric on validation by step, from which later trials are pruned."""
    digest: str
    """SHA-256 of this line, the lines before it and what the search is of, chained as in `_digest`."""


def search_job(job: SearchJob, context: Context) -> SearchResult:
    """Do a search and return its result; trials that its folder already holds are not repeated.

    Raises:
        InputError: the model, the data or the folder cannot be used.
    """
    search, finished = job.search, _read_trials(job)
    context.emit(SearchStarted(search, len(finished)))
    while training := _next_training(search, finished):
        with _optuna_silenced():
            trial, reported = _train(job, training, finished, context)
        _store_trial(job, finished, trial, reported)
        context.emit(TrialFinished(search, trial))
    several = len(search.rungs) > 1
    return SearchResult(
        search_id=search.search_id,
        task_name=search.run.task_name,
        other_tasks=tuple(one.task_name for one in search.run.members[1:]),
        method_name=search.run.method_name,
        train_size=search.run.train_size,
        metric=search.run.selection_metric,
        space=search.space,
        seeds=search.seeds,
        steps=job.steps,
        rungs=tuple(rung.steps(job.steps) for rung in search.rungs) if several else (),
        trials=ended_trials(search.rungs, [one.trial for one in finished]),
    )


def end_trial(job: SearchJob, state: Literal["out_of_memory", "failed"]) -> bool:
    """Store the trial under way as ended without a score; return whether one was under way.

    For a trial whose worker process is gone: the search then goes on with the next trial.

    Raises:
        StoreError: the folder cannot be used.
    """
    finished = _read_trials(job)
    training = _next_training(job.search, finished)
    if training is None:
        return False
    with _optuna_silenced():
        values, _ = _values(job.search, training, finished)
    _store_trial(job, finished, Trial(number=training.number, values=values, state=state), {})
    return True


def trial_steps(searches: Sequence[Search], session: Session) -> dict[str, int]:
    """Return the optimizer steps of each search's trials, by search id.

    Raises:
        InputError: the model or the data cannot be used.
    """
    factors = length_factors(searches, session)
    steps = {}
    for search in searches:
        planned = total_steps(search.run.training, session.epoch_rows(search.run))
        steps[search.search_id] = max(1, round(planned * factors[search.search_id]))
    return steps


def planned_trainings(searches: Sequence[Search], session: Session) -> list[tuple[RunSpec, int]]:
    """Return the trainings of searches, with how many there are of each: one of each rung, without values.

    Raises:
        InputError: the model or the data cannot be used.
    """
    steps = trial_steps(searches, session)
    return [
        (
            search.trial({}, seed=search.seeds[0], steps=rung.steps(steps[search.search_id])),
            rung.trials * len(search.seeds),
        )
        for search in searches
        for rung in search.rungs
    ]


def length_factors(searches: Sequence[Search], session: Session) -> dict[str, float]:
    """Return the factor by which each search's trials are lengthened to equalize FLOPs, by search id.

    It is 1 under `budget: steps`. Under `budget: flops`, every method of a task or mixture and train size may
    spend what the planned steps cost the most expensive one. A step costs a forward and a backward pass over
    a batch of the longest rows.

    Raises:
        InputError: the model or the data cannot be used.
    """
    costs = {one.search_id: _step_flops(one.run, session) for one in searches if one.budget == "flops"}
    highest = defaultdict[tuple[tuple[str, ...], TrainSize], int](int)
    for search in searches:
        place = _place(search.run)
        highest[place] = max(highest[place], costs.get(search.search_id, 1))
    return {
        search.search_id: highest[_place(search.run)] / costs.get(search.search_id, 1) for search in searches
    }


def _place(run: RunSpec) -> tuple[tuple[str, ...], TrainSize]:
    """Return the task, or the tasks of the mixture, and the train size."""
    return tuple(one.task_name for one in run.members), run.train_size


def _step_flops(run: RunSpec, session: Session) -> int:
    """Return the floating-point operations of one forward and backward pass over a training batch."""
    try:
        prepared = prepare(run, session)
    except UnfitError:  # every trial will fail with the reason
        return 1
    batch = prepared.train_batch(run.training.per_device_train_batch_size)
    with FlopCounterMode(display=False) as counter, autocast(prepared.adapted.model.device, prepared.dtype):
        hidden = prepared.adapted.family.read_and_predict(**batch)
        # any scalar will do: only matrix products are counted
        torch.autograd.backward(prepared.adapted.family.logits(hidden).mean())
    return int(counter.get_total_flops())


def latin_hypercube(space: dict[str, Range], count: int) -> list[Values]:
    """Return `count` points that cover every field's range evenly.

    Each range is cut into `count` parts of equal size on its scale. Each part is used by exactly one point,
    at its middle, and a fixed permutation decides which parts of two fields meet. So even a few points try
    `count` different values of every field, which a grid would not.
    """
    # not scrambled: in the middle of each part; a fixed rng: the same points for every method and resume
    sampler = scipy.stats.qmc.LatinHypercube(len(space), scramble=False, rng=0)
    return [
        {field: _value_at(ends, share) for (field, ends), share in zip(space.items(), shares, strict=True)}
        for shares in sampler.random(count).tolist()
    ]


def _value_at(ends: Range, share: float) -> int | float:
    """Return the value that lies this share (0 to 1) of the way through a range, on the range's scale."""
    low, high, scale = ends
    # the first form of each scale overflows in the widest ranges, where the second does not
    if scale == "log":
        ratio = high / low
        value = low * ratio**share if isfinite(ratio) else exp(log(low) + share * (log(high) - log(low)))
    else:
        span = high - low
        value = low + span * share if isfinite(span) else low * (1 - share) + high * share
    return _clamped(ends, round(value) if _is_whole(ends) else value)


def _clamped(ends: Range, value: int | float) -> int | float:
    """Return a value moved into its range, which rounding may have left by the last digit."""
    low, high, _ = ends
    inside = min(max(value, low), high)
    return inside if _is_whole(ends) else float(inside)


def _is_whole(ends: Range) -> bool:
    """Return whether a range holds whole numbers only: both its ends are integers."""
    low, high, _ = ends
    return isinstance(low, int) and isinstance(high, int)


def _read_trials(job: SearchJob) -> list[_StoredTrial]:
    """Return the stored trials up to the first line that is damaged or of other inputs.

    The trials after that line are done again, and come out the same.
    """
    path, finished = job.folder.trials, list[_StoredTrial]()
    with damaged_if_unreadable(path):
        lines = path.read_bytes().splitlines() if path.exists() else []
    for line in lines:
        try:
            stored = _StoredTrial.model_validate_json(line)
        except ValidationError:
            break
        if stored.digest != _digest(job, finished, stored.trial, stored.reported):
            break
        finished.append(stored)
    return finished


def _store_trial(
    job: SearchJob, finished: list[_StoredTrial], trial: Trial, reported: dict[int, float]
) -> None:
    """Append a trial to the finished ones, and write all of them to the folder."""
    digest = _digest(job, finished, trial, reported)
    finished.append(_StoredTrial(trial=trial, reported=reported, digest=digest))
    text = "".join(one.model_dump_json() + "\n" for one in finished)
    path = job.folder.trials
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)


def _digest(job: SearchJob, before: Sequence[_StoredTrial], trial: Trial, reported: dict[int, float]) -> str:
    # a chain: each digest covers the one before it, and the first covers the search with its inputs, so that
    # a trial is used only if all it depends on is as it was
    basis = before[-1].digest if before else [job.search.search_id, job.steps, dict(job.origin)]
    # `rung_scores` are set when the search has ended
    content = json.dumps([basis, trial.model_dump(exclude={"rung_scores"}), reported], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _propose_trial(search: Search, finished: Sequence[_StoredTrial]) -> optuna.Trial:
    """Return a new trial. Its values depend on its number and on the earlier trials alone.

    The first trials are the points of a Latin hypercube; the last third are proposed by Optuna's sampler.
    The Optuna study is made anew each time and fed with the stored trials, and the sampler is seeded by the
    trial's number, not by the state of a generator. So an interrupted search continues as if it had never
    stopped, and methods with equal ranges get the same first points.
    """
    number, space = len(finished), {field: _distribution(ends) for field, ends in search.space.items()}
    optuna_study = optuna.create_study(
        direction="maximize",
        pruner=_pruner(search),
        sampler=TPESampler(n_startup_trials=0, multivariate=True, seed=stream_seed(number, "init")),
    )
    optuna_study.add_trials([_as_optuna_trial(one, space) for one in finished])
    points = latin_hypercube(search.space, search.trials - search.trials // _REFINED_SHARE)
    if number < len(points):
        optuna_study.enqueue_trial(points[number])
    try:
        with np.errstate(all="ignore"):
            return optuna_study.ask(space)
    except ValueError:  # between ends that are but a few floats apart, the sampler computes NaN
        optuna_study.enqueue_trial(latin_hypercube(search.space, 1)[0])
        return optuna_study.ask(space)


def _next_training(search: Search, finished: Sequence[_StoredTrial]) -> Training | None:
    return next_training(search.rungs, [one.trial for one in finished])


def _values(
    search: Search, training: Training, finished: Sequence[_StoredTrial]
) -> tuple[Values, optuna.Trial | None]:
    """Return the values of a trial, and at its first rung the Optuna trial that proposed them."""
    if training.rung:
        return finished[training.number].trial.values, None  # the first rung was done in the order of numbers
    proposed = _propose_trial(search, finished)
    values = {field: _clamped(search.space[field], value) for field, value in proposed.params.items()}
    return values, proposed


def _pruner(search: Search) -> BasePruner:
    return MedianPruner(n_startup_trials=_UNPRUNED_TRIALS) if search.pruner == "median" else NopPruner()


def _as_optuna_trial(stored: _StoredTrial, space: dict[str, BaseDistribution]) -> FrozenTrial:
    """Return a finished trial in the form in which Optuna learns from it.

    A diverged trial counts as complete with the lowest possible score, so that the sampler avoids its
    surroundings. A trial that failed for another reason says nothing about its values.
    """
    states = {"complete": TrialState.COMPLETE, "diverged": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
    return create_trial(
        state=states.get(stored.trial.state, TrialState.FAIL),
        value=0.0 if stored.trial.state == "diverged" else stored.trial.score,
        params=stored.trial.values,
        distributions=space,
        intermediate_values=stored.reported,
    )


def _train(
    job: SearchJob, training: Training, finished: Sequence[_StoredTrial], context: Context
) -> tuple[Trial, dict[int, float]]:
    """Train a trial to a rung, and return it with the scores that were reported to Optuna, by step.

    The trial has means over the search's seeds, or the state of the first seed that did not complete.
    """
    number, search, metric = training.number, job.search, job.search.run.selection_metric
    values, proposed = _values(search, training, finished)
    scores: list[dict[str, float]] = []
    reported: dict[int, float] = {}

    def report(point: CurvePoint) -> None:
        context.emit(TrialPointLogged(search, point))
        compare(point)

    def compare(point: CurvePoint) -> None:
        # curves of different seeds must not mix, so the first seed alone decides about pruning
        is_first_seed = not scores
        if proposed is None or not is_first_seed or point.scores is None:
            return
        reported[point.step] = point.scores[metric]
        proposed.report(point.scores[metric], point.step)
        if proposed.should_prune():
            raise StoppedError(f"pruned at step {point.step}")

    stop_after = search.rungs[training.rung].steps(job.steps)
    for seed in search.seeds:
        context.emit(TrialStarted(search, number, seed, stop_after))
        spec = search.trial(values, seed=seed, steps=job.steps)
        folder = fresh_folder(job.folder.trial(number, seed).path)
        record = run_trial(
            spec,
            folder,
            stop_after=stop_after,
            session=context.session,
            on_point=report,
            on_restored=compare,
        )
        if record.state != "complete":
            state = "pruned" if record.state == "cancelled" else record.state
            return Trial(number=number, values=values, state=state), reported
        scores.append(record.validation)
    complete = Trial(
        number=number,
        values=values,
        state="complete",
        score=fmean(one[metric] for one in scores),
        eval_loss=fmean(one["eval_loss"] for one in scores),
    )
    return complete, reported


def _distribution(ends: Range) -> BaseDistribution:
    low, high, scale = ends
    if _is_whole(ends):
        return IntDistribution(int(low), int(high), log=scale == "log")
    return FloatDistribution(low, high, log=scale == "log")


@contextmanager
def _optuna_silenced() -> Iterator[None]:
    """Silence Optuna's own log of trials, which the study's events replace."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
