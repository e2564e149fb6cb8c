"""The search for a method's settings: Optuna chooses, on validation only, with seeds of its own."""

import logging
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from scipy.stats import qmc
from torch.utils.flop_counter import FlopCounterMode

from tuneoff.errors import StoppedError
from tuneoff.spec import CurvePoint, Range, RunSpec, Search, SearchResult, Trial
from tuneoff.spec.results import JOURNAL_FILE
from tuneoff.spec.search import Values
from tuneoff.study.store import fresh_folder
from tuneoff.training import prepare, stream_seed, total_steps, train_count, try_run

_REFINED_SHARE = 3
"""One trial in so many is put where the earlier ones promise most; the others cover the space evenly."""
_UNPRUNED_TRIALS = 3
_OUTCOME = "outcome"
"""Set on a trial that has ended: its state and scores as in `Trial`."""


class SearchJob(NamedTuple):
    """A search to do, the folder to leave things in, and how much longer than said its trials are."""

    search: Search
    folder: Path
    stretch: float


def search_job(job: SearchJob) -> SearchResult:
    """The result of a search; trials that its journal holds already are not done again.

    Raises:
        InputError: the model, the data or the folder cannot be used.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    search = job.search
    steps = max(1, round(total_steps(search.run.training, train_count(search.run)) * job.stretch))
    with _quiet():
        study = _study(job)
        for number in range(len(_ended(study)), search.trials):
            _try_next(job, study, number, steps)
    return SearchResult(
        search_id=search.search_id,
        task_name=search.run.task_name,
        method_name=search.run.method_name,
        train_size=search.run.train_size,
        metric=search.run.task.main_metric,
        space=search.space,
        seeds=search.seeds,
        steps=steps,
        trials=tuple(
            Trial(number=number, values=trial.params, **trial.user_attrs[_OUTCOME])
            for number, trial in enumerate(_ended(study))
        ),
    )


def stretches(searches: Sequence[Search]) -> dict[str, float]:
    """By how much the trials of each search are longer than the study says, by id.

    1 under `budget: steps`. Under `budget: flops`, what a trial's steps cost the dearest method of a task
    and train size is spent by every method; a step costs a pass both ways over the longest rows.

    Raises:
        InputError: the model or the data cannot be used.
    """
    costs = {one.search_id: _step_flops(one.run) for one in searches if one.budget == "flops"}
    dearest = defaultdict[tuple[str, object], int](int)
    for one in searches:
        cell = (one.run.task_name, one.run.train_size)
        dearest[cell] = max(dearest[cell], costs.get(one.search_id, 1))
    return {
        one.search_id: dearest[one.run.task_name, one.run.train_size] / costs.get(one.search_id, 1)
        for one in searches
    }


def _step_flops(run: RunSpec) -> int:
    prepared = prepare(run)
    with FlopCounterMode(display=False) as counter:
        prepared.adapted.model(
            **prepared.train_batch(run.training.per_device_train_batch_size)
        ).loss.backward()
    return int(counter.get_total_flops())


def even_points(space: dict[str, Range], count: int) -> list[Values]:
    """Points that cover every field's range evenly: the middles of a Latin hypercube's cells."""
    cells = qmc.LatinHypercube(len(space), scramble=False, rng=0).random(count)
    return [
        {field: _at(ends, share) for (field, ends), share in zip(space.items(), row, strict=True)}
        for row in cells.tolist()
    ]


def _at(ends: Range, share: float) -> int | float:
    low, high, scale = ends
    value = low * (high / low) ** share if scale == "log" else low + (high - low) * share
    return round(value) if _whole(ends) else float(value)


def _whole(ends: Range) -> bool:
    return isinstance(ends[0], int) and isinstance(ends[1], int)


def _study(job: SearchJob) -> optuna.Study:
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(job.folder / JOURNAL_FILE))),
        study_name=job.search.search_id,
        direction="maximize",
        pruner=_pruner(job.search),
        load_if_exists=True,
    )
    for trial in study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING)):
        # left behind when the search was interrupted
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _pruner(search: Search) -> BasePruner:
    return MedianPruner(n_startup_trials=_UNPRUNED_TRIALS) if search.pruner == "median" else NopPruner()


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if _OUTCOME in trial.user_attrs]


def _try_next(job: SearchJob, study: optuna.Study, number: int, steps: int) -> None:
    """One more trial. What it tries depends on its number and the earlier trials alone."""
    space, trials = job.search.space, job.search.trials
    even = even_points(space, trials - trials // _REFINED_SHARE)
    # a sampler of its own for each trial, so that an interrupted search goes on as if it had not been
    seed = stream_seed(number, "init")
    study.sampler = TPESampler(n_startup_trials=0, multivariate=True, seed=seed)
    if number < len(even):
        study.enqueue_trial(even[number])
    trial = study.ask({field: _distribution(ends) for field, ends in space.items()})
    outcome = _outcome(job, trial, number, steps)
    # one entry of the journal says all, so that a crash before the next one loses nothing
    trial.set_user_attr(_OUTCOME, outcome.model_dump(include={"state", "score", "eval_loss"}))
    if outcome.score is not None:
        study.tell(trial, outcome.score)
    elif outcome.state == "diverged":
        study.tell(trial, 0.0)  # the lowest score there is, so that the sampler keeps away
    else:
        study.tell(trial, state=TrialState.PRUNED if outcome.state == "pruned" else TrialState.FAIL)


def _outcome(job: SearchJob, trial: optuna.Trial, number: int, steps: int) -> Trial:
    """What comes of a trial's values: means over the search's seeds, or the first seed's failure."""
    scores: list[dict[str, float]] = []
    for seed in job.search.seeds:
        spec = job.search.trial(trial.params, seed=seed, steps=steps)
        folder = fresh_folder(job.folder / "trials" / f"{number}.s{seed}")
        record = try_run(spec, folder, on_point=_Pruning(trial, spec, first=not scores))
        if record.state != "complete":
            state = "pruned" if record.state == "cancelled" else record.state
            return Trial(number=number, values=trial.params, state=state)
        scores.append(record.validation)
    return Trial(
        number=number,
        values=trial.params,
        state="complete",
        score=fmean(one[job.search.run.task.main_metric] for one in scores),
        eval_loss=fmean(one["eval_loss"] for one in scores),
    )


class _Pruning:
    """Watches a trial's first seed, and stops it where the pruner says so."""

    def __init__(self, trial: optuna.Trial, spec: RunSpec, *, first: bool) -> None:
        self._trial, self._metric, self._watching = trial, spec.task.main_metric, first

    def __call__(self, point: CurvePoint) -> None:
        if not self._watching or point.scores is None:
            return
        self._trial.report(point.scores[self._metric], point.step)
        if self._trial.should_prune():
            raise StoppedError(f"pruned at step {point.step}")


def _distribution(ends: Range) -> BaseDistribution:
    low, high, scale = ends
    if _whole(ends):
        return IntDistribution(int(low), int(high), log=scale == "log")
    return FloatDistribution(low, high, log=scale == "log")


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells of every trial on standard error; the study's own listener does."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
