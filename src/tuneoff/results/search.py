"""The result of a search for a method's settings."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tuneoff.results.identity import ModelIdentity
from tuneoff.spec import Range, Search, Spec, StudySpec, TrainSize, searches
from tuneoff.spec.base import Name
from tuneoff.spec.search import Values


class Trial(Spec):
    """The values of one trial, and their score."""

    number: NonNegativeInt
    values: Values
    state: Literal["complete", "pruned", "diverged", "failed", "out_of_memory"]
    score: float | None = None
    """The main metric on validation, of a mixture the mean over its tasks, mean over the search's seeds; None
    unless complete."""
    eval_loss: float | None = None
    """The validation loss, likewise a mean."""
    rung_scores: tuple[float, ...] = ()
    """With halving: the scores at the search's rungs, as far as the trial went. A pruned one was stopped at
    the last of these."""

    @property
    def rank(self) -> tuple[float, float]:
        """What orders trials of equal length: a higher score, and among equals a lower loss, is better."""
        return self.score or 0.0, -(self.eval_loss or 0.0)


class SearchResult(Spec):
    """All trials of one search."""

    search_id: str
    task_name: Name
    """Of a mixture, its first task."""
    other_tasks: tuple[Name, ...] = ()
    """Of a mixture, the others."""
    method_name: str
    train_size: TrainSize
    metric: str
    space: dict[str, Range]
    seeds: tuple[NonNegativeInt, ...]
    steps: PositiveInt
    """Optimizer steps of each trial that is not stopped early."""
    rungs: tuple[PositiveInt, ...] = ()
    """With halving: the steps after which trials were compared, and at last `steps`."""
    trials: tuple[Trial, ...]
    model: ModelIdentity | None = None
    """The model that was searched with; None in results of older versions."""
    digests: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each split's rows as loaded, of a mixture's other tasks as `task/split`; empty in results of
    older versions."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The task, or all of a mixture."""
        return (self.task_name, *self.other_tasks)

    @property
    def best(self) -> Trial | None:
        """The best of the trials that were not stopped early: highest score, among equals lowest loss."""
        scored = [trial for trial in self.trials if trial.state == "complete"]
        return max(scored, key=lambda trial: trial.rank, default=None)

    @property
    def reached(self) -> tuple[tuple[int, int], ...]:
        """With halving: the steps of each rung, and how many trials were scored there."""
        counts = [sum(len(one.rung_scores) > rung for one in self.trials) for rung in range(len(self.rungs))]
        return tuple(zip(self.rungs, counts, strict=True))

    @property
    def lost(self) -> dict[str, int]:
        """Number of trials in each state that is neither complete nor pruned."""
        states = [trial.state for trial in self.trials if trial.state not in ("complete", "pruned")]
        return {state: states.count(state) for state in sorted(set(states))}

    @property
    def edges(self) -> dict[str, Literal["low", "high"]]:
        """Searched fields whose best value is the lowest or highest tried: the range may be too narrow."""
        if self.best is None:
            return {}
        found: dict[str, Literal["low", "high"]] = {}
        for field, value in self.best.values.items():
            tried = [trial.values[field] for trial in self.trials]
            if value in (min(tried), max(tried)):
                found[field] = "low" if value == min(tried) else "high"
        return found

    def answers(self, search: Search) -> bool:
        """Return whether this is the result of a search, even of a version that made ids by another rule."""
        if self.search_id == search.search_id:
            return True
        return (
            self.model is None
            and self.task_name == search.run.task_name
            and self.method_name == search.run.method_name
            and self.train_size == search.run.train_size
            and self.space == search.space
            and self.seeds == search.seeds
            and len(self.trials) == search.trials
        )


def chosen_values(study: StudySpec, results: Iterable[SearchResult]) -> dict[str, Values]:
    """Return the best values of each search of a study that has a result, by the id of the search."""
    results = tuple(results)
    best = {
        search.search_id: next((one.best for one in results if one.answers(search)), None)
        for search in searches(study)
    }
    return {search_id: trial.values for search_id, trial in best.items() if trial}
