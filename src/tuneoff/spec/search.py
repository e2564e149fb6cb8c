"""The search for a method's settings: what is tried, and what came of it."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tuneoff.errors import shown
from tuneoff.spec.identity import ModelIdentity
from tuneoff.spec.run import RunSpec, changed, short_hash
from tuneoff.spec.study import Method, Name, Range, Spec, StackSpec, TrainSize

Values = dict[str, int | float]
"""From a field of a method (`learning_rate`, in a stack `lora.learning_rate`) to its value."""


class Search(Spec):
    """One method's search on one task and train size: all that decides its result."""

    run: RunSpec
    """A trial before its values and seed are put in."""
    space: dict[str, Range]
    trials: PositiveInt
    seeds: tuple[NonNegativeInt, ...]
    pruner: Literal["none", "median"]
    budget: Literal["steps", "flops"]

    @property
    def search_id(self) -> str:
        """Return a readable slug and a hash of what decides the result: `sst2.prefix.n1000-3fa1c2d4`."""
        own = self.model_dump(mode="json", exclude_defaults=True, exclude={"run"})
        return f"{self.run.cell_slug}-{short_hash(own | {'run': self.run.decisive()})}"

    def is_answered_by(self, result: "SearchResult") -> bool:
        """Return whether a result is of this search; older versions made ids by another rule."""
        if result.search_id == self.search_id:
            return True
        own = (self.run.task_name, self.run.method_name, self.run.train_size, self.space, self.seeds)
        theirs = (result.task_name, result.method_name, result.train_size, result.space, result.seeds)
        return result.model is None and own == theirs and len(result.trials) == self.trials

    def trial(self, values: Mapping[str, int | float], *, seed: int, steps: int | None) -> RunSpec:
        """The run of a trial; `steps` replaces the training's length where it is given."""
        training = self.run.training
        if steps is not None:
            training = changed(training, {"max_steps": steps, "num_train_epochs": None})
        method = with_values(self.run.method, values)
        return self.run.model_copy(update={"method": method, "seed": seed, "training": training})


class Trial(Spec):
    """Values that were tried."""

    number: NonNegativeInt
    values: Values
    state: Literal["complete", "pruned", "diverged", "failed", "out_of_memory"]
    score: float | None = None
    """The main metric on validation, mean over the search's seeds; None unless complete."""
    eval_loss: float | None = None
    """The validation loss beside it."""


class SearchResult(Spec):
    """All trials of one search."""

    search_id: str
    task_name: Name
    method_name: str
    train_size: TrainSize
    metric: str
    space: dict[str, Range]
    seeds: tuple[NonNegativeInt, ...]
    steps: PositiveInt
    """Optimiser steps of each trial."""
    trials: tuple[Trial, ...]
    model: ModelIdentity | None = None
    """The model that was searched with; None in results of older versions."""
    digests: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each split's rows as loaded; empty in results of older versions."""

    @property
    def best(self) -> Trial | None:
        """The trial with the highest score; among equals, the one with the lowest loss."""
        scored = [trial for trial in self.trials if trial.state == "complete"]
        return max(scored, key=lambda trial: (trial.score, -(trial.eval_loss or 0.0)), default=None)

    @property
    def lost(self) -> dict[str, int]:
        """How many trials ended in each state that is neither complete nor pruned."""
        states = [trial.state for trial in self.trials if trial.state not in ("complete", "pruned")]
        return {state: states.count(state) for state in sorted(set(states))}

    @property
    def edges(self) -> dict[str, Literal["low", "high"]]:
        """Searched fields whose best value is the lowest or highest of all that were tried."""
        if self.best is None:
            return {}
        found: dict[str, Literal["low", "high"]] = {}
        for field, value in self.best.values.items():
            tried = [trial.values[field] for trial in self.trials]
            if value in (min(tried), max(tried)):
                found[field] = "low" if value == min(tried) else "high"
        return found


def check_space(search: Search) -> None:
    """Tries both ends of every range.

    Raises:
        ValueError: the method has no such field, or a value does not fit (pydantic.ValidationError).
    """
    with_values(search.run.method, {field: low for field, (low, _, _) in search.space.items()})
    with_values(search.run.method, {field: high for field, (_, high, _) in search.space.items()})


def with_values(method: Method, values: Mapping[str, int | float]) -> Method:
    """The method with other values.

    Raises:
        ValueError: there is no such field, or a value does not fit (pydantic.ValidationError).
    """
    if not isinstance(method, StackSpec):
        return changed(method, values)
    parts = {part.kind: part.model_dump() for part in method.parts}
    for name, value in values.items():
        kind, _, field = name.partition(".")
        if kind not in parts or not field:
            example = f"{next(iter(parts))}.learning_rate"
            raise ValueError(f"a setting of a stack is named by its part ({example}), but got {shown(name)}")
        parts[kind][field] = value
    return changed(method, {"parts": list(parts.values())})
