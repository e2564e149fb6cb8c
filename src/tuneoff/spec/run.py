"""Runs, and the searches before them: what identifies them. Also how a spec is made from another."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import NonNegativeInt, PositiveInt

from tuneoff.errors import shown
from tuneoff.spec.base import Name, Spec, TrainSize
from tuneoff.spec.forgetting import ForgettingSpec
from tuneoff.spec.methods import LoraSpec, Method, NoneSpec, StackSpec, tuned_parts
from tuneoff.spec.mixtures import MIXTURE_SCORE, Mixture
from tuneoff.spec.model import ModelSpec
from tuneoff.spec.search import Pruner, Range, Rung, rungs
from tuneoff.spec.tasks import Task
from tuneoff.spec.training import TrainingSpec

S = TypeVar("S", bound=Spec)

# Settings that do not change a result: they change what is logged, kept or reported, how fast a test is, or
# what is measured beside it (`cuts` of LoRA, forgetting). A task's own training settings are part of the
# run's `training`.
_NO_EFFECT_ON_RESULT: dict[str, Any] = {
    "forgetting": True,
    "method": {"cuts": True, "parts": {"__all__": {"cuts"}}},
    "mixture": {"tasks": {"__all__": {"training"}}},
    "task": {"training"},
    "training": {"logging_steps", "save_strategy", "save_steps", "report_to", "per_device_eval_batch_size"},
}
_FORMER_DEFAULTS = {"targets": ["q", "v"], "sites": ["encoder", "decoder", "cross"]}
"""Defaults of LoRA and prefix from before they were null. They are what null means for each model that has
such targets and sites, so that ids and records from before stay those of the same runs."""
_NOT_IN_SETTINGS_KEY: dict[str, Any] = _NO_EFFECT_ON_RESULT | {
    "mixture": {"tasks": {"__all__": {"training", "source"}}},
    "model": {"id", "revision"},
    "task": {"training", "source"},
}


class RunSpec(Spec):
    """All settings of one run: a method on a task with a train size and a seed."""

    task_name: Name
    method_name: str
    model: ModelSpec
    task: Task
    method: Method
    train_size: TrainSize
    seed: int
    training: TrainingSpec
    forgetting: ForgettingSpec | None = None
    """General text whose loss is measured beside the result, which it does not change."""
    mixture: Mixture | None = None
    """What the training is on, if it is on several tasks."""

    @property
    def run_id(self) -> str:
        """Return a readable slug and a hash of what affects the result: `sst2.prefix.n1000.s0-3fa1c2d4`."""
        return f"{self.cell_slug}.s{self.seed}-{short_hash(self.identifying_settings())}"

    @property
    def cell_slug(self) -> str:
        """Task, method and train size, for names of folders."""
        # an ablation's values can hold anything
        method = re.sub(r"[^A-Za-z0-9_.=+@-]+", "-", self.method_name)[:60]
        return f"{self.task_name}.{method}.n{self.train_size}"

    @property
    def settings_key(self) -> str:
        """Return, as JSON, all settings that affect the result except where the model and the data are.

        A record in an output folder is of this run if its key is equal, even if the record has another run
        id, because the model or the data have moved. Whether they are still the same is decided by checksums
        of their contents (`tuneoff.results.contents`).
        """
        return _canonical(self._settings(_NOT_IN_SETTINGS_KEY))

    @property
    def members(self) -> tuple["RunSpec", ...]:
        """The runs that share one training: of a mixture one for each of its tasks, else this one alone."""
        if self.mixture is None:
            return (self,)
        tasks = self.mixture.tasks.items()
        return tuple(self.model_copy(update={"task_name": name, "task": task}) for name, task in tasks)

    @property
    def trained_by(self) -> "RunSpec | None":
        """The run whose weights are tested, where it is another one: that of a mixture's first task."""
        first = self.members[0]
        return None if first.task_name == self.task_name else first

    @property
    def selection_metric(self) -> str:
        """The validation score that chooses the weights that are kept, and among the trials of a search."""
        return MIXTURE_SCORE if self.mixture else self.task.main_metric

    @property
    def cuts(self) -> tuple[float, ...]:
        """The shares to which LoRA, as the method or a part of it, is cut and tested again after training."""
        parts = (part for part in tuned_parts(self.method) if isinstance(part, LoraSpec))
        return tuple(keep for part in parts for keep in part.cuts)

    def identifying_settings(self) -> dict[str, Any]:
        """Return all settings that affect the result and differ from their defaults: ids are hashes of them.

        Defaults are not part of an id, so that runs keep their ids when a later version adds a setting whose
        default does what was done before.
        """
        return self._settings(_NO_EFFECT_ON_RESULT)

    def _settings(self, excluded: dict[str, Any]) -> dict[str, Any]:
        settings = self.model_dump(mode="json", exclude_defaults=True, exclude=excluded)
        for part in [settings["method"], *settings["method"].get("parts", [])]:
            for field, value in _FORMER_DEFAULTS.items():
                if part.get(field) == value:
                    del part[field]
        if isinstance(self.method, NoneSpec):
            # the result of an untrained method depends on no seed, and of the training settings on the
            # precision alone
            del settings["seed"]
            settings["training"] = {"dtype": self.training.dtype}
        return settings


class Search(Spec):
    """All settings of one search: for a method on a task with a train size."""

    run: RunSpec
    """A trial before its values and its seed are set."""
    space: dict[str, Range]
    trials: PositiveInt
    seeds: tuple[NonNegativeInt, ...]
    pruner: Pruner
    budget: Literal["steps", "flops"]

    @property
    def search_id(self) -> str:
        """Return a readable slug and a hash of what affects the result: `sst2.prefix.n1000-3fa1c2d4`."""
        own = self.model_dump(mode="json", exclude_defaults=True, exclude={"run"})
        return f"{self.run.cell_slug}-{short_hash(own | {'run': self.run.identifying_settings()})}"

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The lengths at which its trials are compared."""
        return rungs(self.trials, self.pruner)

    @property
    def trainings(self) -> int:
        """How many trainings it takes for each seed; a trial has one for each rung that it reaches."""
        return sum(rung.trials for rung in self.rungs)

    def trial(self, values: Mapping[str, int | float], *, seed: int, steps: int) -> RunSpec:
        """Return the run of a trial; `steps` replaces the training's length."""
        training = changed(self.run.training, {"max_steps": steps, "num_train_epochs": None})
        method = with_values(self.run.method, values)
        return self.run.model_copy(update={"method": method, "seed": seed, "training": training})


def range_ends(search: Search) -> tuple[Method, Method]:
    """Return the searched method with the lowest value of every range, and with the highest.

    Raises:
        ValueError: the method has no such field, or a value does not fit (pydantic.ValidationError).
    """
    lowest = {field: low for field, (low, _, _) in search.space.items()}
    highest = {field: high for field, (_, high, _) in search.space.items()}
    return with_values(search.run.method, lowest), with_values(search.run.method, highest)


def with_values(method: Method, values: Mapping[str, int | float]) -> Method:
    """Return the method with other values; fields of a stack's parts are named `lora.rank`.

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
            raise ValueError(
                f"a setting of a stack must be named by its part ({example}), but got {shown(name)}"
            )
        parts[kind][field] = value
    return changed(method, {"parts": list(parts.values())})


def short_hash(content: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits that stand for JSON content."""
    return digest_of(content)[:8]


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON content, whatever the order of its keys."""
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def changed(spec: S, change: Mapping[str, object]) -> S:
    """Return a copy with other values, read through JSON as study files are, so that the same rules hold.

    Raises:
        pydantic.ValidationError: there is no such field, or a value does not fit.
    """
    return type(spec).model_validate_json(json.dumps(spec.model_dump() | dict(change)))
