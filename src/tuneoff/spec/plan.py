"""The runs and searches of a study: the product of its parts, in stable order and with stable ids."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from tuneoff.errors import StudyError, shown, suggestions
from tuneoff.spec.methods import Method, NoneSpec
from tuneoff.spec.mixtures import Mixture
from tuneoff.spec.model import ModelSpec
from tuneoff.spec.run import RunSpec, Search, changed, with_values
from tuneoff.spec.search import SearchSpec, Values
from tuneoff.spec.study import AblationSpec, StudySpec
from tuneoff.spec.tasks import Task
from tuneoff.spec.training import TrainingSpec

MOST_RUNS = 100_000
"""Limit of a study's runs, and of its trials: every command lists them, which takes seconds for as many."""


class Wording(NamedTuple):
    """A prompt that an ablation gives a task in place of its own."""

    task: str
    prompt: str


class Variant(NamedTuple):
    """A method, an ablated copy of it, or it on a mixture, under its name in runs and reports."""

    name: str
    method: Method
    wording: Wording | None
    """Of a variant that is run on one task alone; None: every task with its own prompt."""
    model: ModelSpec
    """The study's, but for a quantization that is varied."""
    mixture: str | None = None
    """The name of the mixture that it is tuned on; None: each task alone."""


def check_size(study: StudySpec) -> None:
    """Check that a study has not too many runs or trials, by counting them without making them.

    Raises:
        StudyError: there are more than `MOST_RUNS`.
    """
    untrained = {name for name, method in study.methods.items() if isinstance(method, NoneSpec)}
    tasks, sizes, seeds = len(study.tasks), len(study.train_sizes), len(study.all_seeds)
    methods = len(study.methods)
    trained, untrained_runs = tasks * (methods - len(untrained)), tasks * len(untrained)
    for ablation in study.ablations.values():
        count = math.prod(len(values) for values in ablation.vary.values())
        methods += count
        count *= tasks if ablation.task is None else 1
        if ablation.of in untrained:
            untrained_runs += count
        else:
            trained += count
    mixed = study.mixed.values()
    methods += len(mixed)
    trained += sum(len(study.mixtures[one.mixture].of) for one in mixed)
    unquantized = _unquantized(study)
    methods += len(unquantized)
    untrained_runs += tasks * len(unquantized)
    runs = trained * sizes * seeds + untrained_runs
    if runs > MOST_RUNS:
        raise StudyError(
            f"a study may have at most {MOST_RUNS:,} runs, but this one has {runs:,} (tasks: {tasks:,}, "
            f"methods and variants: {methods:,}, train sizes: {sizes:,}, seeds: {seeds:,}); "
            "remove some of them, or split it into several studies"
        )
    if study.search is not None:
        trials = trained * sizes * study.search.trials * len(study.search.seeds)
        if trials > MOST_RUNS:
            raise StudyError(
                f"the searches of a study may have at most {MOST_RUNS:,} trials, but these have {trials:,}; "
                "lower search.trials"
            )


def ablation_variants(study: StudySpec, ablation: AblationSpec) -> tuple[Variant, ...]:
    """Return the variants of one ablation, in the order of its values.

    A variant equal to a method of the study or to a variant of an earlier ablation keeps its name.

    Raises:
        StudyError: the study has no such method.
        pydantic.ValidationError: the method has no such field, or a value does not fit.
    """
    return next(found for one, found in all_ablations(study) if one == ablation)


def all_ablations(study: StudySpec) -> Iterator[tuple[AblationSpec, tuple[Variant, ...]]]:
    """Yield each ablation of a study with its variants; raises what `ablation_variants` does."""
    # Equal methods are one variant with one name, so that they are run once: an ablation of the rank that
    # includes the method's own rank gives the method itself. Among equal methods, the first name counts
    # (`reversed`, as the last entry of a dict's key wins).
    names = {Variant("", method, None, study.model): name for name, method in reversed(study.methods.items())}
    for ablation in study.ablations.values():
        varied = tuple(_varied(study, ablation))
        for one in varied:
            names.setdefault(one._replace(name=""), one.name)
        yield ablation, tuple(one._replace(name=names[one._replace(name="")]) for one in varied)


def variants(study: StudySpec) -> tuple[Variant, ...]:
    """Return methods, those on mixtures, and ablation variants of a study, each once, in this order.

    The last is the untuned model without quantization, if the study's is quantized.
    """
    methods = [Variant(name, method, None, study.model) for name, method in study.methods.items()]
    mixed = [
        Variant(name, study.methods[one.method], None, study.model, one.mixture)
        for name, one in study.mixed.items()
    ]
    varied = [variant for _, found in all_ablations(study) for variant in found]
    return tuple(dict.fromkeys([*methods, *mixed, *varied, *_unquantized(study)]))


def _unquantized(study: StudySpec) -> tuple[Variant, ...]:
    """Return the study's first untrained method on the model without quantization, where it is quantized.

    It shows what quantization costs before any tuning, and it is what an ablation of it would be.
    """
    untrained = [name for name, method in study.methods.items() if isinstance(method, NoneSpec)]
    if study.model.quantization is None or not untrained:
        return ()
    ablation = AblationSpec(of=untrained[0], vary={"quantization": (None,)})
    return tuple(_varied(study, ablation))


def _varied(study: StudySpec, ablation: AblationSpec) -> Iterator[Variant]:
    """Yield the changed copies of an ablation's method, each with a name like `lora-rank=4-alpha=8`.

    A prompt, which is long, stands in the name as its number in the list: `lora-prompt=2`.
    """
    if ablation.of not in study.methods:
        raise StudyError(
            f"no method of the study is called {shown(ablation.of)}{suggestions(ablation.of, study.methods)}"
        )
    base = study.methods[ablation.of]
    for values in itertools.product(*ablation.vary.values()):
        change = dict(zip(ablation.vary, values, strict=True))
        in_name = {field: _in_name(value) for field, value in change.items()}
        wording, model = None, study.model
        if "quantization" in change:
            model = changed(model, {"quantization": change.pop("quantization")})
        if ablation.task is not None:
            prompt = str(change.pop("prompt"))
            in_name["prompt"] = str(ablation.vary["prompt"].index(prompt) + 1)
            if prompt != study.tasks[ablation.task].prompt:
                wording = Wording(ablation.task, prompt)
        label = "-".join(f"{field}={text}" for field, text in in_name.items())
        yield Variant(f"{ablation.of}-{label}", changed(base, change), wording, model)


def task_training(study: StudySpec, task: Task) -> TrainingSpec:
    """Return the training settings of a task: the study's, with the task's own in place of some.

    Raises:
        pydantic.ValidationError: there is no such setting, or a value does not fit.
    """
    return changed(study.training, task.training)


def mixture_training(study: StudySpec, name: str) -> TrainingSpec:
    """Return the training settings of a mixture: the study's, with the mixture's own in place of some.

    Raises:
        pydantic.ValidationError: there is no such setting, or a value does not fit.
    """
    return changed(study.training, study.mixtures[name].training)


def expand(study: StudySpec, chosen: Mapping[str, Values] = MappingProxyType({})) -> tuple[RunSpec, ...]:
    """Return all runs of a study: tasks x train sizes x seeds x variants, in this order.

    `chosen` has the values that searches chose for their methods, by the id of the search. An untrained
    method is run once per task: it has neither train size nor seed.
    """
    runs = {}
    for run in _product(study, study.all_seeds):
        if study.search is not None and chosen and not isinstance(run.method, NoneSpec):
            values = chosen.get(_search_of(run, study.search).search_id, {})
            run = run.model_copy(update={"method": with_values(run.method, values)})
        runs[run.run_id] = run  # an untrained method comes once for each train size and seed, with one id
    return tuple(runs.values())


def searches(study: StudySpec) -> tuple[Search, ...]:
    """Return the searches of a study: one for each task, train size and trained variant, if it has any.

    A method on a mixture has one for all of its tasks.
    """
    if study.search is None:
        return ()
    found = {}
    for run in _product(study, study.all_seeds[:1]):  # any seed: `_search_of` replaces it
        if not isinstance(run.method, NoneSpec):
            search = _search_of(run, study.search)
            found[search.search_id] = search
    return tuple(found.values())


def share_key(study: StudySpec, run: RunSpec) -> str:
    """Return a key of a run; runs of equal keys depend on each other, so that one process has to do them.

    They are trained together, or one search chooses their values, or they are raced against each other.
    """
    if study.race is not None:
        # zero-shot is in the races of all train sizes, a mixture in those of all its tasks
        return "" if study.mixtures else run.task_name
    if study.search is not None:
        return run.members[0].cell_slug  # whatever values the search has chosen
    return (run.trained_by or run).run_id


def _search_of(run: RunSpec, spec: SearchSpec) -> Search:
    """Return the search that chooses a run's values.

    Raises:
        pydantic.ValidationError: the method has no such field.
    """
    run = run.members[0]  # one search for all tasks of a mixture, in the ranges of its method
    name = run.method_name.partition("@")[0] if run.mixture else run.method_name
    training = run.training
    if spec.max_steps is not None:
        training = changed(training, {"max_steps": spec.max_steps, "num_train_epochs": None})
    return Search(
        run=changed(
            run, {"seed": spec.seeds[0], "training": training.model_dump(), "forgetting": None}
        ),  # a trial is scored on validation alone
        space=spec.spaces.get(name, spec.space),
        trials=spec.trials,
        seeds=spec.seeds,
        pruner=spec.pruner,
        budget=spec.budget,
    )


def _product(study: StudySpec, seeds: Iterable[int]) -> Iterator[RunSpec]:
    """Yield tasks x train sizes x seeds x variants; an untrained method repeatedly, as the same run."""
    training = {name: task_training(study, task) for name, task in study.tasks.items()}
    mixtures = {name: _mixture(study, name) for name in study.mixtures}
    of_mixtures = {name: mixture_training(study, name) for name in study.mixtures}
    product = itertools.product(study.tasks.items(), study.train_sizes, seeds, variants(study))
    for (task_name, task), train_size, seed, variant in product:
        if variant.wording is not None:
            if variant.wording.task != task_name:
                continue
            task = task.model_copy(update={"prompt": variant.wording.prompt})
        mixture = mixtures[variant.mixture] if variant.mixture else None
        if mixture is not None and task_name not in mixture.tasks:
            continue
        trained = not isinstance(variant.method, NoneSpec)
        yield RunSpec(
            task_name=task_name,
            method_name=variant.name,
            model=variant.model,
            task=task,
            method=variant.method,
            train_size=train_size if trained else "full",
            seed=seed if trained else study.all_seeds[0],
            training=of_mixtures[variant.mixture] if variant.mixture else training[task_name],
            forgetting=study.forgetting,
            mixture=mixture,
        )


def _mixture(study: StudySpec, name: str) -> Mixture:
    """Return a mixture of the study, its tasks by name, as their order in the file means nothing."""
    spec = study.mixtures[name]
    return Mixture(tasks={task: study.tasks[task] for task in sorted(spec.of)}, rate=spec.rate, cap=spec.cap)


def _in_name(value: object) -> str:
    if value is None:
        return "none"
    return "+".join(value) if isinstance(value, tuple) else str(value)
