"""Mixtures of tasks: which rows of each task an epoch has, and how their scores make one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from statistics import fmean

import torch

from tuneoff.spec import MIXTURE_SCORE, Rate, RunSpec
from tuneoff.training.seeding import generator


def quotas(counts: Sequence[int], *, rate: Rate, cap: int | None) -> tuple[int, ...]:
    """Return how many rows an epoch has of each task, of which there are `counts` training rows.

    Proportional: all rows up to the cap. Equal: as many of every task as of the largest one, up to the cap.
    """
    capped = [count if cap is None else min(count, cap) for count in counts]
    return tuple(capped) if rate == "proportional" else (max(capped),) * len(capped)


@dataclass(frozen=True)
class Mixing:
    """Which of the joined training rows of several tasks make an epoch."""

    counts: tuple[int, ...]
    """The training rows of each task."""
    quotas: tuple[int, ...]
    """How many rows of each task an epoch has."""
    seed: int

    @property
    def epoch_rows(self) -> int:
        """The rows of an epoch."""
        return sum(self.quotas)

    def epochs(self) -> Iterator[list[int]]:
        """Yield the row numbers of epoch after epoch, task by task; the same for an equal seed.

        A task's rows are used up, in random order, before any of them comes again: over any number of epochs,
        no row is used more than once more often than another of its task.
        """
        random = generator(self.seed, "subsample")
        tasks = [_endless(count, random) for count in self.counts]
        starts = [0, *accumulate(self.counts)]
        while True:
            # sorted, as the loop shuffles them: where a task gives all its rows, they are in their own order
            yield [
                start + row
                for start, rows, quota in zip(starts, tasks, self.quotas, strict=False)
                for row in sorted(islice(rows, quota))
            ]


def _endless(count: int, random: torch.Generator) -> Iterator[int]:
    """Yield row numbers, all in random order, again and again."""
    while True:
        yield from torch.randperm(count, generator=random).tolist()


def joined_scores(run: RunSpec, scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return a run's own validation scores, those of the mixture's other tasks as `task/score`, and the mean.

    `scores` are those of each task. A run on its own task alone has its own scores only.
    """
    own = dict(scores[run.task_name])
    if run.mixture is None:
        return own
    others = {
        f"{task}/{name}": value
        for task, of_task in scores.items()
        if task != run.task_name
        for name, value in of_task.items()
    }
    main = fmean(scores[task][spec.main_metric] for task, spec in run.mixture.tasks.items())
    return own | {MIXTURE_SCORE: main} | others


def scores_on(task: str, scores: Mapping[str, float]) -> dict[str, float]:
    """Return, of the joined scores of the run that trained a mixture, those of another task and the mean."""
    prefix = f"{task}/"
    own = {name.removeprefix(prefix): value for name, value in scores.items() if name.startswith(prefix)}
    return own | {MIXTURE_SCORE: scores[MIXTURE_SCORE]}
