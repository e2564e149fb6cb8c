"""Successive halving (Jamieson & Talwalkar 2016): which trial of a search is trained next, and how far.

All trials are trained to the first rung, then the best of them to the next one, and so on. Optuna's
SuccessiveHalvingPruner is not used: it is the asynchronous variant, which decides about a trial when it comes
to a rung, from the trials before it. It takes the first trial to the end whatever its score is, and how many
others go on depends on the order in which good and bad values are tried, so methods would get unequal trials.

A trial that goes on is trained again from its first step. Equal runs are equal, so it comes to the same
weights. With rungs at a ninth, a third and all of the steps, what is repeated is 2/27 of the steps of a
search without halving. In return no state of an optimizer has to be kept and restored.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from tuneoff.results import Trial
from tuneoff.spec.search import Rung


class Training(NamedTuple):
    """A training of a trial."""

    number: int
    """Of the trial."""
    rung: int
    """Place among the search's rungs of the one that it is trained to."""


def next_training(rungs: Sequence[Rung], done: Sequence[Trial]) -> Training | None:
    """Return the training that comes after those that are done; None if the search has ended.

    `done` has a trial for each training in the order in which they were done, with its score at the rung
    that it was trained to. A trial that ends without a score is replaced by the next best of the rung before.
    """
    trained = _by_rung(done)
    candidates = list(range(rungs[0].trials))
    for place, rung in enumerate(rungs):
        scored = [trial for trial in trained[place].values() if trial.state == "complete"]
        left = [number for number in candidates if number not in trained[place]]
        if left and len(scored) < rung.trials:
            return Training(left[0], place)
        candidates = [trial.number for trial in sorted(scored, key=lambda one: one.rank, reverse=True)]
    return None


def ended_trials(rungs: Sequence[Rung], done: Sequence[Trial]) -> tuple[Trial, ...]:
    """Return the trials of a search that has ended; those that were stopped at a rung are pruned."""
    if len(rungs) == 1:
        return tuple(done)
    trained = _by_rung(done)
    ended = []
    for number in trained[0]:
        own = [trained[place][number] for place in range(len(rungs)) if number in trained[place]]
        scores = [one.score for one in own if one.score is not None]
        change: dict[str, object] = {"rung_scores": tuple(scores)}
        if own[-1].state == "complete" and len(own) < len(rungs):
            change |= {"state": "pruned", "score": None, "eval_loss": None}
        ended.append(own[-1].model_copy(update=change))
    return tuple(ended)


def _by_rung(done: Sequence[Trial]) -> dict[int, dict[int, Trial]]:
    """Return the trainings of each rung by trial; a trial's n-th training is to the n-th rung."""
    trained = defaultdict[int, dict[int, Trial]](dict)
    count = Counter[int]()
    for trial in done:
        trained[count[trial.number]][trial.number] = trial
        count[trial.number] += 1
    return trained
