"""One cell of a study, and how a spec is made from another."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TypeVar

from tuneoff.spec.study import Method, ModelSpec, Name, Spec, Task, TrainingSpec, TrainSize

S = TypeVar("S", bound=Spec)


class RunSpec(Spec):
    """One cell of a study: all that decides a run's result."""

    task_name: Name
    method_name: str
    model: ModelSpec
    task: Task
    method: Method
    train_size: TrainSize
    seed: int
    training: TrainingSpec

    @property
    def run_id(self) -> str:
        """A readable slug and a hash of the whole spec: `sst2.prefix.n1000.s0-3fa1c2d4`."""
        return f"{self.cell_slug}.s{self.seed}-{short_hash(self)}"

    @property
    def cell_slug(self) -> str:
        """Task, method and train size as the beginning of a folder's name."""
        # an ablation's values can hold anything
        method = re.sub(r"[^A-Za-z0-9_.=+-]+", "-", self.method_name)[:60]
        return f"{self.task_name}.{method}.n{self.train_size}"


def short_hash(spec: Spec) -> str:
    """Eight hexadecimal digits that stand for all that a spec says."""
    return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()[:8]


def changed(spec: S, change: Mapping[str, object]) -> S:
    """A copy with other values, through JSON, as study files are read: held to the same types.

    Raises:
        pydantic.ValidationError: there is no such field, or a value does not fit.
    """
    return type(spec).model_validate_json(json.dumps(spec.model_dump() | dict(change)))
