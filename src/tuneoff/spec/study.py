"""A study: tasks x (methods + ablations) x train sizes x seeds."""

from itertools import islice
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from tuneoff.errors import shown, suggestions
from tuneoff.spec.base import LISTS, Name, Spec, TrainSize
from tuneoff.spec.forgetting import ForgettingSpec
from tuneoff.spec.methods import Method, NoneSpec
from tuneoff.spec.mixtures import MixtureSpec
from tuneoff.spec.model import ModelSpec
from tuneoff.spec.prompt import prompt_columns
from tuneoff.spec.resources import ResourcesSpec
from tuneoff.spec.search import SearchSpec
from tuneoff.spec.seeds import BudgetSpec, SeedRange, Seeds
from tuneoff.spec.tasks import Task
from tuneoff.spec.training import TrainingSpec

Varied = bool | int | float | str | Annotated[tuple[str, ...], LISTS] | None
"""A value of a method's field."""


Preference = Literal["stored", "time", "memory", "score"]
"""What decides among methods that cost at most the margin: the lowest price of this kind, or the score."""
DEFAULT_MARGIN = 0.01
"""Of decisions in a study that says none: a hundredth of the main metric."""


class AblationSpec(Spec):
    """Variants of one method that differ in its fields, the model's quantization or the prompt of a task."""

    of: Name
    """The method that is varied."""
    task: Name | None = None
    """The task whose prompt is varied; the variants are run on it alone."""
    vary: Annotated[dict[str, Annotated[tuple[Varied, ...], Field(min_length=1), LISTS]], Field(min_length=1)]
    """From a field of the method, `quantization` or `prompt`, to its values; several make their product."""

    @model_validator(mode="after")
    def _prompts_are_of_a_task(self) -> Self:
        if ("prompt" in self.vary) != (self.task is not None):
            raise ValueError(
                "vary: prompt and task go together, as a prompt names the columns of one task, but got "
                f"vary: {', '.join(self.vary)} and task: {self.task or 'none'}"
            )
        return self


class ComparisonSpec(Spec):
    """How methods are compared."""

    references: Annotated[tuple[Name, ...], LISTS] | None = None
    """Methods that all others are compared with; by default full fine-tuning and the base model."""
    margin: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Methods whose main metric differs by less count as equivalent; null: none do."""
    prefer: Preference = "stored"
    """What is recommended of the methods that may cost at most the margin against the best: the one with the
    fewest stored bytes, the shortest training, the least memory in training, or the highest score."""


class Mixed(NamedTuple):
    """A method that is tuned on a mixture."""

    method: str
    mixture: str


class StudySpec(Spec):
    """A study: tasks x (methods + ablations) x train sizes x seeds."""

    name: Name
    """Names the output folder, results/NAME."""
    model: ModelSpec
    """The pretrained model that every method starts from."""
    tasks: Annotated[dict[Name, Task], Field(min_length=1)]
    """By name, the data sets, with what the model reads and has to answer."""
    methods: Annotated[dict[Name, Method], Field(min_length=1)]
    """By name, the ways of tuning that are compared; `kind: none` is the model as it is."""
    ablations: dict[Name, AblationSpec] = Field(default_factory=dict)
    """By name, further variants of methods."""
    mixtures: dict[Name, MixtureSpec] = Field(default_factory=dict)
    """Tasks that methods are tuned on together, too."""
    train_sizes: Annotated[tuple[TrainSize, ...], Field(min_length=1), LISTS] = ("full",)
    """How many training rows are used; the smaller sets lie within the larger ones."""
    seeds: Seeds = (0,)
    """Seeds of every method; `{from: 3, to: 12}` races the methods."""
    budget: BudgetSpec | None = None
    """What a race may spend; null: no limit."""
    training: TrainingSpec
    """Conditions that all trained methods share."""
    search: SearchSpec | None = None
    """A search for each method's settings before the runs; null: they are as given."""
    comparison: ComparisonSpec = ComparisonSpec()
    """How methods are compared, and what is recommended."""
    forgetting: ForgettingSpec | None = None
    """General text whose loss is measured before and after tuning; null: it is not."""
    resources: ResourcesSpec = ResourcesSpec()
    """What each run gets on a Ray cluster."""

    @field_validator("train_sizes", "seeds")
    @classmethod
    def _no_repeats(cls, values: tuple[TrainSize, ...] | SeedRange) -> tuple[TrainSize, ...] | SeedRange:
        if isinstance(values, tuple) and len(set(values)) < len(values):
            raise ValueError(f"values must not repeat, but got {shown(list(values))}")
        return values

    @model_validator(mode="after")
    def _search_is_apart(self) -> Self:
        shared = sorted(set(self.all_seeds) & set(self.search.seeds if self.search else ()))
        if shared:
            raise ValueError(f"search.seeds must not overlap seeds, but both contain {shown(shared)}")
        return self

    @model_validator(mode="after")
    def _budget_is_of_a_race(self) -> Self:
        if self.budget and not self.race:
            raise ValueError(
                "budget: it bounds a race, so `seeds` must be a range ({from: 3, to: 12}) and not a list"
            )
        return self

    @model_validator(mode="after")
    def _varied_prompts_fit_their_tasks(self) -> Self:
        for name, ablation in self.ablations.items():
            place = f"ablations.{name}"
            if ablation.task is None:
                continue
            if ablation.task not in self.tasks:
                raise ValueError(
                    f"{place}.task: no task of the study is called {shown(ablation.task)}"
                    f"{suggestions(ablation.task, self.tasks)}"
                )
            columns = set(prompt_columns(self.tasks[ablation.task].prompt))
            for prompt in ablation.vary["prompt"]:
                if not isinstance(prompt, str) or set(prompt_columns(prompt)) != columns:
                    # other columns would be other data, and their rows could not be paired
                    raise ValueError(
                        f"{place}.vary.prompt: a prompt must have the columns of the task's own "
                        f"({', '.join(sorted(columns))}), but got {shown(prompt)}"
                    )
        return self

    @model_validator(mode="after")
    def _mixtures_are_possible(self) -> Self:
        trained = [name for name, method in self.methods.items() if not isinstance(method, NoneSpec)]
        for name, mixture in self.mixtures.items():
            place = f"mixtures.{name}"
            for task in mixture.of:
                if task not in self.tasks:
                    raise ValueError(
                        f"{place}.of: no task of the study is called {shown(task)}"
                        f"{suggestions(task, self.tasks)}"
                    )
            if len(set(mixture.of)) < max(2, len(mixture.of)):
                raise ValueError(
                    f"{place}.of: a mixture is of two tasks or more, each named once, but got "
                    f"{shown(list(mixture.of))}"
                )
            for method in mixture.methods or ():
                if method not in trained:
                    raise ValueError(
                        f"{place}.methods: no method of the study that trains something is called "
                        f"{shown(method)}{suggestions(method, trained)}"
                    )
            if not trained:
                raise ValueError(f"{place}: no method of the study trains anything; add one, or remove it")
        if self.mixtures and self.race:
            raise ValueError(
                "mixtures: tasks that share a training cannot have seeds of their own, but `seeds` is the "
                "range of a race; give a list of seeds"
            )
        return self

    @model_validator(mode="after")
    def _references_are_methods(self) -> Self:
        for name in self.comparison.references or ():
            if name not in self.methods:
                raise ValueError(
                    f"comparison.references: no method of the study is called {shown(name)}"
                    f"{suggestions(name, self.methods)}"
                )
        return self

    @property
    def race(self) -> SeedRange | None:
        """The range of seeds of a race; None if the seeds are fixed."""
        return self.seeds if isinstance(self.seeds, SeedRange) else None

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """All seeds that a run may have, in order: those of a race are the lowest that no search uses."""
        if not isinstance(self.seeds, SeedRange):
            return self.seeds
        searched = set(self.search.seeds if self.search else ())
        free = (seed for seed in range(self.seeds.to + len(searched)) if seed not in searched)
        return tuple(islice(free, self.seeds.to))

    @property
    def mixed(self) -> dict[str, Mixed]:
        """What is tuned on mixtures, by its name in runs and reports: `lora@both`."""
        trained = [name for name, method in self.methods.items() if not isinstance(method, NoneSpec)]
        return {
            f"{method}@{name}": Mixed(method, name)
            for name, mixture in self.mixtures.items()
            for method in trained
            if mixture.methods is None or method in mixture.methods
        }

    @property
    def all_methods(self) -> dict[str, Method]:
        """The methods by name, and after them those that are tuned on mixtures."""
        return self.methods | {name: self.methods[one.method] for name, one in self.mixed.items()}

    def methods_on(self, task: str) -> dict[str, Method]:
        """Return those of `all_methods` that have runs on a task."""
        elsewhere = {name for name, one in self.mixed.items() if task not in self.mixtures[one.mixture].of}
        return {name: method for name, method in self.all_methods.items() if name not in elsewhere}

    @property
    def decision_margin(self) -> float:
        """By how much the recommended method may be worse than the best."""
        return self.comparison.margin or DEFAULT_MARGIN

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the methods that all others are compared with."""
        if self.comparison.references is not None:
            return self.comparison.references
        kinds = {method.kind: name for name, method in reversed(self.methods.items())}
        return tuple(kinds[kind] for kind in ("full", "none") if kind in kinds)
