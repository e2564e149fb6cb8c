"""From a study to its runs: a pure product in stable order, with stable ids."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

from tuneoff.errors import StudyError, unknown_name
from tuneoff.spec.study import (
    AblationSpec,
    Method,
    ModelSpec,
    Name,
    NoneSpec,
    Spec,
    StudySpec,
    Task,
    TrainingSpec,
    TrainSize,
)

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
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]
        # an ablation's values can hold anything, and the id is a folder's name
        method = re.sub(r"[^A-Za-z0-9_.=+-]+", "-", self.method_name)[:60]
        return f"{self.task_name}.{method}.n{self.train_size}.s{self.seed}-{digest}"


class Variant(NamedTuple):
    """A method under the name it has in runs and reports."""

    name: str
    method: Method


def ablation_variants(study: StudySpec, ablation: AblationSpec) -> tuple[Variant, ...]:
    """The variants of one ablation, in the order of its values.

    A variant equal to a method of the study or to a variant of an earlier ablation keeps its name.

    Raises:
        StudyError: the study has no such method.
        pydantic.ValidationError: the method has no such field, or a value does not fit.
    """
    names = {method: name for name, method in reversed(study.methods.items())}
    earlier = itertools.takewhile(lambda other: other != ablation, study.ablations.values())
    for one in (*earlier, ablation):
        for name, method in _varied(study, one):
            names.setdefault(method, name)
    return tuple(Variant(names[method], method) for _, method in _varied(study, ablation))


def variants(study: StudySpec) -> tuple[Variant, ...]:
    """Methods and ablation variants of a study, each once, methods first."""
    methods = [Variant(name, method) for name, method in study.methods.items()]
    varied = [variant for one in study.ablations.values() for variant in ablation_variants(study, one)]
    return tuple(dict.fromkeys(methods + varied))


def _varied(study: StudySpec, ablation: AblationSpec) -> Iterator[tuple[str, Method]]:
    if ablation.of not in study.methods:
        raise StudyError(
            f"an ablation varies a method of the study: {unknown_name(ablation.of, study.methods)}"
        )
    base = study.methods[ablation.of]
    for values in itertools.product(*ablation.vary.values()):
        change = dict(zip(ablation.vary, values, strict=True))
        method = _changed(base, change)
        label = "-".join(f"{field}={_written(value)}" for field, value in change.items())
        yield f"{ablation.of}-{label}", method


def task_training(study: StudySpec, task: Task) -> TrainingSpec:
    """The training settings of a task: the study's, but for those that the task changes.

    Raises:
        pydantic.ValidationError: there is no such setting, or a value does not fit.
    """
    return _changed(study.training, task.training)


def expand(study: StudySpec) -> tuple[RunSpec, ...]:
    """All runs of a study: tasks x train sizes x seeds x variants, in this order.

    An untrained method is run once per task: it has neither train size nor seed.
    """
    return tuple({run.run_id: run for run in _cells(study)}.values())


def _cells(study: StudySpec) -> Iterator[RunSpec]:
    training = {name: task_training(study, task) for name, task in study.tasks.items()}
    cells = itertools.product(study.tasks.items(), study.train_sizes, study.seeds, variants(study))
    for (task_name, task), train_size, seed, (method_name, method) in cells:
        trained = not isinstance(method, NoneSpec)
        yield RunSpec(
            task_name=task_name,
            method_name=method_name,
            model=study.model,
            task=task,
            method=method,
            train_size=train_size if trained else "full",
            seed=seed if trained else study.seeds[0],
            training=training[task_name],
        )


def _changed(spec: S, change: Mapping[str, object]) -> S:
    """A copy with other values, through JSON, as study files are read: held to the same types.

    Raises:
        pydantic.ValidationError: there is no such field, or a value does not fit.
    """
    return type(spec).model_validate_json(json.dumps(spec.model_dump() | dict(change)))


def _written(value: object) -> str:
    if value is None:
        return "none"
    return "+".join(value) if isinstance(value, tuple) else str(value)
