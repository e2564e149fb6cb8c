"""From a study to its runs: a pure product in stable order, with stable ids."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from tuneoff.errors import StudyError, unknown_name
from tuneoff.spec.methods import Method, NoneSpec
from tuneoff.spec.run import RunSpec, Search, changed, with_values
from tuneoff.spec.search import Values
from tuneoff.spec.study import AblationSpec, StudySpec
from tuneoff.spec.tasks import Task
from tuneoff.spec.training import TrainingSpec

MOST_RUNS = 100_000
"""Of one study: to list as many takes seconds, and every command does; so do the trials of its searches."""


class Variant(NamedTuple):
    """A method under the name it has in runs and reports."""

    name: str
    method: Method


def check_size(study: StudySpec) -> None:
    """Count the runs and trials of a study without making them.

    Raises:
        StudyError: there are more than anything that lists them could bear.
    """
    varied = [(one.of, math.prod(map(len, one.vary.values()))) for one in study.ablations.values()]
    untrained = {name for name, method in study.methods.items() if isinstance(method, NoneSpec)}
    methods = len(study.methods) - len(untrained) + sum(n for of, n in varied if of not in untrained)
    once = len(untrained) + sum(n for of, n in varied if of in untrained)
    tasks, sizes, seeds = len(study.tasks), len(study.train_sizes), len(study.seeds)
    runs = tasks * (methods * sizes * seeds + once)
    if runs > MOST_RUNS:
        raise StudyError(
            f"a study may have at most {MOST_RUNS:,} runs, but this one has {runs:,} (tasks: {tasks:,}, "
            f"methods and variants: {methods + once:,}, train sizes: {sizes:,}, seeds: {seeds:,}); "
            "leave some out, or make several studies of it"
        )
    if study.search is not None:
        trials = tasks * methods * sizes * study.search.trials * len(study.search.seeds)
        if trials > MOST_RUNS:
            raise StudyError(
                f"the searches of a study may have at most {MOST_RUNS:,} trials, but these have {trials:,}; "
                "lower search.trials"
            )


def ablation_variants(study: StudySpec, ablation: AblationSpec) -> tuple[Variant, ...]:
    """The variants of one ablation, in the order of its values.

    A variant equal to a method of the study or to a variant of an earlier ablation keeps its name.

    Raises:
        StudyError: the study has no such method.
        pydantic.ValidationError: the method has no such field, or a value does not fit.
    """
    return next(found for one, found in all_ablations(study) if one == ablation)


def all_ablations(study: StudySpec) -> Iterator[tuple[AblationSpec, tuple[Variant, ...]]]:
    """Each ablation of a study with its variants; raises what `ablation_variants` does."""
    names = {method: name for name, method in reversed(study.methods.items())}
    for ablation in study.ablations.values():
        varied = tuple(_varied(study, ablation))
        for name, method in varied:
            names.setdefault(method, name)
        yield ablation, tuple(Variant(names[method], method) for _, method in varied)


def variants(study: StudySpec) -> tuple[Variant, ...]:
    """Methods and ablation variants of a study, each once, methods first."""
    methods = [Variant(name, method) for name, method in study.methods.items()]
    varied = [variant for _, found in all_ablations(study) for variant in found]
    return tuple(dict.fromkeys(methods + varied))


def _varied(study: StudySpec, ablation: AblationSpec) -> Iterator[tuple[str, Method]]:
    if ablation.of not in study.methods:
        raise StudyError(
            f"an ablation varies a method of the study: {unknown_name(ablation.of, study.methods)}"
        )
    base = study.methods[ablation.of]
    for values in itertools.product(*ablation.vary.values()):
        change = dict(zip(ablation.vary, values, strict=True))
        method = changed(base, change)
        label = "-".join(f"{field}={_written(value)}" for field, value in change.items())
        yield f"{ablation.of}-{label}", method


def task_training(study: StudySpec, task: Task) -> TrainingSpec:
    """The training settings of a task: the study's, but for those that the task changes.

    Raises:
        pydantic.ValidationError: there is no such setting, or a value does not fit.
    """
    return changed(study.training, task.training)


def expand(study: StudySpec, chosen: Mapping[str, Values] = MappingProxyType({})) -> tuple[RunSpec, ...]:
    """All runs of a study: tasks x train sizes x seeds x variants, in this order.

    `chosen` has the values that searches chose for their methods, by the id of the search. An untrained
    method is run once per task: it has neither train size nor seed.
    """
    runs = (_with_chosen(study, run, chosen) for run in _cells(study, study.seeds))
    return tuple({run.run_id: run for run in runs}.values())


def searches(study: StudySpec) -> tuple[Search, ...]:
    """The searches of a study: one for each task, train size and trained variant; none if it says nothing."""
    if study.search is None:
        return ()
    cells = _cells(study, study.seeds[:1])  # a search has seeds of its own
    found = (_search(study, run) for run in cells if not isinstance(run.method, NoneSpec))
    return tuple({search.search_id: search for search in found}.values())


def _search(study: StudySpec, run: RunSpec) -> Search:
    """The search that chooses a run's values.

    Raises:
        pydantic.ValidationError: the method has no such field.
    """
    spec = study.search
    assert spec is not None
    training = run.training
    if spec.max_steps is not None:
        training = changed(training, {"max_steps": spec.max_steps, "num_train_epochs": None})
    return Search(
        run=changed(run, {"seed": spec.seeds[0], "training": training.model_dump()}),
        space=spec.spaces.get(run.method_name, spec.space),
        trials=spec.trials,
        seeds=spec.seeds,
        pruner=spec.pruner,
        budget=spec.budget,
    )


def _with_chosen(study: StudySpec, run: RunSpec, chosen: Mapping[str, Values]) -> RunSpec:
    if not chosen or isinstance(run.method, NoneSpec):
        return run
    values = chosen.get(_search(study, run).search_id, {})
    return run.model_copy(update={"method": with_values(run.method, values)})


def _cells(study: StudySpec, seeds: Iterable[int]) -> Iterator[RunSpec]:
    training = {name: task_training(study, task) for name, task in study.tasks.items()}
    cells = itertools.product(study.tasks.items(), study.train_sizes, seeds, variants(study))
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


def _written(value: object) -> str:
    if value is None:
        return "none"
    return "+".join(value) if isinstance(value, tuple) else str(value)
