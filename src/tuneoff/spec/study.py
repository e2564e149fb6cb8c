"""What a study file may say: frozen, strict, and closed to unknown keys.

Values are written once, here or in the file; everything downstream reads them and has no defaults
of its own. Names of training settings are those of transformers' `Seq2SeqTrainingArguments`.
"""

import re
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    field_validator,
    model_validator,
)

from tuneoff.errors import shown, unknown_name

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=60)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Size = Annotated[int, Field(gt=0, le=2**40)]
"""A dimension of trained tensors; torch cannot count the elements of much larger ones."""
Length = Annotated[int, Field(gt=0, le=1_000_000)]
"""A number of tokens."""
_LONGEST_TEXT = 100_000
"""Pieces of the vocabulary that a prompt or prefix starts from, which the model reads as a text."""
SplitName = Literal["train", "validation", "test"]
Site = Literal["encoder", "decoder", "cross"]
Scheduler = Literal["linear", "cosine", "constant"]
TrainSize = PositiveInt | Literal["full"]
BUILTIN = "builtin:"


class Spec(BaseModel):
    """Base of all specs: immutable, strictly typed, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class ModelSpec(Spec):
    """Which pretrained T5 to start from."""

    id: Annotated[str, Field(min_length=1)]
    """A hub id, a local folder, or `builtin:NAME`."""
    revision: str | None = None
    """Branch, tag or commit of a hub model; the commit it resolves to is recorded."""


class HubSource(Spec):
    """A data set on the Hugging Face hub."""

    hub: Annotated[str, Field(min_length=1)]
    config: str | None = None
    revision: str | None = None
    splits: dict[SplitName, str] = Field(default_factory=dict)
    """The hub's names of splits: `{test: validation}` tests on the validation split. By default, train,
    validation (or val, valid, dev) and test."""

    @model_validator(mode="after")
    def _splits_differ(self) -> Self:
        if len(set(self.splits.values())) < len(self.splits):
            raise ValueError(f"splits must name different splits of the hub, but got {self.splits}")
        return self


class FilesSource(Spec):
    """Local files, a split each; the format follows the ending (csv, tsv, json, jsonl, parquet, with .gz)."""

    files: dict[SplitName, str]

    @model_validator(mode="after")
    def _needs_train_and_test(self) -> Self:
        missing = [split for split in ("train", "test") if split not in self.files]
        if missing:
            raise ValueError(
                f"files must name a train and a test file, but {' and '.join(missing)} is missing "
                "(validation may be left out: it is then carved from train)"
            )
        return self


class BuiltinSource(Spec):
    """A data set that tuneoff generates itself."""

    builtin: str


def _source_kind(source: Any) -> str | None:
    keys = source if isinstance(source, dict) else vars(source) if isinstance(source, Spec) else ()
    kinds = [kind for kind in ("hub", "files", "builtin") if kind in keys]
    return kinds[0] if len(kinds) == 1 else None


Source = Annotated[
    Annotated[HubSource, Tag("hub")]
    | Annotated[FilesSource, Tag("files")]
    | Annotated[BuiltinSource, Tag("builtin")],
    Discriminator(_source_kind),
]


class TaskSpec(Spec):
    """What every task has; see `ClassificationSpec` and `SummarizationSpec`."""

    source: Source
    prompt: str
    """The model's input, with the row's columns in braces: `"Summarize: {dialogue}"`. The text in braces is
    the column's name as it is; literal braces are doubled."""
    target: str
    """The column that holds the wanted answer."""
    max_source_length: Length = 512
    """Longest input in tokens; longer ones are cut at the end and counted."""
    max_target_length: Length = 128
    """Longest target in tokens, end-of-sequence included; longer ones are cut and counted."""
    max_eval_samples: PositiveInt | None = None
    """At most so many validation rows are scored at each evaluation (the first ones)."""
    max_predict_samples: PositiveInt | None = None
    """At most so many test rows are scored at the end (the first ones)."""
    drop_overlap: bool = False
    """Leave out test and validation rows whose input also occurs in train."""
    allow_target_in_prompt: bool = False
    """Let the prompt contain the target column, or one that says the same: the model reads the answer."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Training settings of this task that differ from the study's."""

    @field_validator("prompt")
    @classmethod
    def _prompt_has_fields(cls, prompt: str) -> str:
        if not prompt_columns(prompt):
            raise ValueError(
                "a prompt must hold at least one column in braces, such as '{text}', but got " + shown(prompt)
            )
        return prompt


class ClassificationSpec(TaskSpec):
    """Choose one of a fixed set of labels."""

    kind: Literal["classification"]
    labels: Annotated[dict[str, Annotated[str, Field(min_length=1)]], Field(min_length=2)]
    """From the value in the target column to the text that the model answers with, both as written in the
    file; a list stands for texts that are the values themselves."""
    positive: str | None = None
    """With two labels, the value whose F1 is `eval_f1`; by default the last one listed."""
    scoring: Literal["likelihood", "generate"] = "likelihood"
    """Compare the log-likelihood of each label's text, or generate freely and compare the text."""

    @property
    def main_metric(self) -> str:
        """The score that chooses the best checkpoint and is drawn in plots; higher is better."""
        return "eval_accuracy"

    @field_validator("labels", mode="before")
    @classmethod
    def _list_is_its_own_texts(cls, labels: Any) -> Any:
        if not isinstance(labels, list | tuple):
            return labels
        if not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
            raise ValueError(f"a list of labels must hold texts, each once, but got {shown(labels)}")
        return {label: label for label in labels}

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> Self:
        texts = list(self.labels.values())
        if len({text.strip().casefold() for text in texts}) < len(texts):
            raise ValueError(f"labels must have distinct texts, but got {shown(texts)}")
        if self.positive is not None and self.positive not in self.labels:
            raise ValueError(
                f"positive must be one of {shown(list(self.labels))}, but got {shown(self.positive)}"
            )
        return self


class SummarizationSpec(TaskSpec):
    """Write a short text for a long one."""

    kind: Literal["summarization"]
    max_new_tokens: Length = 64
    """Longest generated text in tokens, on validation and test alike."""
    num_beams: PositiveInt = 1
    """1 is greedy search; more is beam search."""

    @property
    def main_metric(self) -> str:
        """The score that chooses the best checkpoint and is drawn in plots; higher is better."""
        return "eval_rougeL"


Task = Annotated[ClassificationSpec | SummarizationSpec, Field(discriminator="kind")]


class NoneSpec(Spec):
    """The untouched model: zero-shot."""

    kind: Literal["none"]


class TunedSpec(Spec):
    """What every trained method says about its optimisation."""

    learning_rate: PositiveFloat
    optim: Literal["adamw_torch", "adafactor"] = "adamw_torch"
    scale_parameter: bool = False
    """With Adafactor: the rate is a share of each matrix's RMS, 1e-3 at least (Shazeer & Stern 2018)."""
    weight_decay: NonNegativeFloat | None = None
    """Overrides `training.weight_decay` for this method."""
    lr_scheduler_type: Scheduler | None = None
    """Overrides `training.lr_scheduler_type` for this method."""

    @model_validator(mode="after")
    def _scales_with_adafactor(self) -> Self:
        if self.scale_parameter and self.optim != "adafactor":
            raise ValueError(
                f"scale_parameter is a setting of Adafactor, but got optim={self.optim}; set optim: adafactor"
            )
        return self


class FullSpec(TunedSpec):
    """Every weight of the model is trained."""

    kind: Literal["full"]
    learning_rate: PositiveFloat = 1e-4


class LoraSpec(TunedSpec):
    """Low-rank updates of chosen linear layers (Hu et al. 2021)."""

    kind: Literal["lora"]
    learning_rate: PositiveFloat = 1e-3
    rank: Size = 8
    alpha: PositiveFloat = 16
    dropout: Fraction = 0.0
    targets: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["all-linear"] = ("q", "v")
    """Ends of module names (q, k, v, o, wi, wi_0, wi_1, wo), in one stack alone if it stands in front
    (decoder.q), or every linear layer but the head."""


class PrefixSpec(TunedSpec):
    """Trained keys and values in front of every attention layer of a site (Li & Liang 2021)."""

    kind: Literal["prefix"]
    learning_rate: PositiveFloat = 1e-2
    length: Size = 20
    sites: Annotated[tuple[Site, ...], Field(min_length=1)] = ("encoder", "decoder", "cross")
    projection: Size | None = None
    """Width of the MLP that makes the prefix while training; null trains keys and values directly."""
    init: Literal["random", "vocabulary"] = "random"
    """Random numbers, or the keys and values that the base computes for real words."""
    relative_positions: bool = False
    """At the self-attention sites, whether T5's position bias sees the prefix as text in front (as
    PEFT has it at the decoder) or not at all."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(set(self.sites)) < len(self.sites):
            raise ValueError(f"sites must not repeat, but got {shown(list(self.sites))}")
        if self.init == "vocabulary" and self.projection is not None:
            raise ValueError(
                "init: vocabulary sets keys and values, which a projection cannot start from, "
                f"but got projection={self.projection}; use projection: null"
            )
        if self.init == "vocabulary" and self.length > _LONGEST_TEXT:
            raise ValueError(f"init: vocabulary reads at most {_LONGEST_TEXT:,} words, but got {self.length}")
        return self


class PromptSpec(TunedSpec):
    """Trained vectors in front of the encoder's input (Lester et al. 2021)."""

    kind: Literal["prompt"]
    learning_rate: PositiveFloat = 0.3
    length: Annotated[int, Field(gt=0, le=_LONGEST_TEXT)] = 20
    init: Literal["random", "vocabulary", "text"] = "vocabulary"
    """Random numbers, the embeddings of frequent pieces, or those of `init_text`."""
    init_text: str | None = None
    """Text whose pieces, repeated to the length, start the prompt (for instance the label words)."""

    @model_validator(mode="after")
    def _text_belongs_to_init(self) -> Self:
        if (self.init == "text") != (self.init_text is not None):
            raise ValueError(
                f"init: text and init_text go together, but got init={self.init}, "
                f"init_text={shown(self.init_text)}"
            )
        return self


Tuned = FullSpec | LoraSpec | PrefixSpec | PromptSpec
Part = Annotated[LoraSpec | PrefixSpec | PromptSpec, Field(discriminator="kind")]


class StackSpec(Spec):
    """Several methods on one model, each part with its own learning rate."""

    kind: Literal["stack"]
    parts: Annotated[tuple[Part, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        kinds = [part.kind for part in self.parts]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"a stack holds each kind of method once, but got {shown(kinds)}")
        for field in ("optim", "lr_scheduler_type"):
            values = {getattr(part, field) for part in self.parts}
            if len(values) > 1:
                raise ValueError(
                    f"the parts of a stack share one {field}, but got {sorted(map(str, values))}"
                )
        return self


Method = Annotated[
    NoneSpec | FullSpec | LoraSpec | PrefixSpec | PromptSpec | StackSpec, Field(discriminator="kind")
]


def tuned_parts(method: Method) -> tuple[Tuned, ...]:
    """The trained parts of a method: none, itself, or the parts of a stack."""
    if isinstance(method, NoneSpec):
        return ()
    return method.parts if isinstance(method, StackSpec) else (method,)


class AblationSpec(Spec):
    """Variants of one method, told by what differs."""

    of: Name
    vary: Annotated[
        dict[
            str, Annotated[tuple[bool | int | float | str | tuple[str, ...] | None, ...], Field(min_length=1)]
        ],
        Field(min_length=1),
    ]
    """From a field of the method to its values; several fields make their product."""


class DropoutSpec(Spec):
    """Chances of dropout in training; where one is null, the model's own config holds."""

    encoder: Fraction | None = None
    """Everywhere in the encoder. At 0 a method of the decoder alone is trained on stored encodings."""
    decoder: Fraction | None = None
    """Everywhere in the decoder."""
    attention: Fraction | None = None
    """Of the weights inside attention, in both stacks; it goes before the other two."""


class TrainingSpec(Spec):
    """The conditions that all trained methods share."""

    max_steps: PositiveInt | None = None
    num_train_epochs: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    per_device_train_batch_size: PositiveInt = 16
    per_device_eval_batch_size: PositiveInt = 32
    gradient_accumulation_steps: PositiveInt = 1
    group_by_length: bool = True
    """Batches of similar input length, in random order."""
    eval_steps: PositiveInt = 500
    logging_steps: PositiveInt = 10
    early_stopping_patience: PositiveInt | None = None
    """Stop after so many evaluations without a better validation metric."""
    lr_scheduler_type: Scheduler = "linear"
    warmup_ratio: Fraction = 0.0
    weight_decay: NonNegativeFloat = 0.0
    max_grad_norm: PositiveFloat | None = 1.0
    dropout: DropoutSpec = DropoutSpec()
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products; weights stay float32. `auto`: bfloat16 where the device has it."""
    save_strategy: Literal["best", "no"] = "best"
    """Keep the best weights of each run on disk, or only its scores and predictions."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.max_steps is None) == (self.num_train_epochs is None):
            raise ValueError(
                "exactly one of max_steps and num_train_epochs must be given, "
                f"but got max_steps={self.max_steps}, num_train_epochs={self.num_train_epochs}"
            )
        return self


def _checked_range(value: tuple[float, float, str]) -> tuple[float, float, str]:
    low, high, scale = value
    if not (low < high and (scale == "linear" or low > 0)):
        raise ValueError(
            f"`low < high` must hold, and `0 < low` on a log scale, but got [{shown(low)}, {shown(high)}, "
            f"{scale}]"
        )
    return value


Range = Annotated[tuple[int | float, int | float, Literal["log", "linear"]], AfterValidator(_checked_range)]
"""Lowest value, highest value, and the scale on which values lie evenly; whole ends give whole numbers."""


class SearchSpec(Spec):
    """How each trained method finds its settings: equal trials of equal length, on validation only."""

    trials: PositiveInt = 8
    """Of each method, for each task and train size."""
    space: Annotated[dict[str, Range], Field(min_length=1)] = {"learning_rate": (1e-5, 1.0, "log")}
    """From a field of the methods to its range; a part of a stack is named first: `lora.learning_rate`."""
    spaces: dict[Name, dict[str, Range]] = Field(default_factory=dict)
    """Ranges of single methods (or variants), in place of `space`."""
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (1000,)
    """A trial's score is the mean over these; the study's own seeds may not be among them."""
    max_steps: PositiveInt | None = None
    """Steps of a trial; by default those of a run."""
    budget: Literal["steps", "flops"] = "steps"
    """Every trial has so many steps, or as many as cost what these cost the dearest method."""
    pruner: Literal["none", "median"] = "none"
    """`median` ends a trial that is below the median of the earlier ones at the same step."""


class ComparisonSpec(Spec):
    """What methods are compared with, and which difference does not matter."""

    references: tuple[Name, ...] | None = None
    """Methods that all others are compared with; by default full fine-tuning and the untouched model."""
    margin: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Methods whose main metric differs by less are equivalent; without it, none is called so."""


class StudySpec(Spec):
    """A study: tasks x (methods + ablations) x train sizes x seeds."""

    name: Name
    model: ModelSpec
    tasks: Annotated[dict[Name, Task], Field(min_length=1)]
    methods: Annotated[dict[Name, Method], Field(min_length=1)]
    ablations: dict[Name, AblationSpec] = Field(default_factory=dict)
    train_sizes: Annotated[tuple[TrainSize, ...], Field(min_length=1)] = ("full",)
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)
    training: TrainingSpec
    search: SearchSpec | None = None
    comparison: ComparisonSpec = ComparisonSpec()

    @field_validator("train_sizes", "seeds")
    @classmethod
    def _no_repeats(cls, values: tuple[TrainSize, ...]) -> tuple[TrainSize, ...]:
        if len(set(values)) < len(values):
            raise ValueError(f"values must not repeat, but got {shown(list(values))}")
        return values

    @model_validator(mode="after")
    def _search_is_apart(self) -> Self:
        shared = sorted(set(self.seeds) & set(self.search.seeds if self.search else ()))
        if shared:
            raise ValueError(
                f"a search uses seeds that the study does not use, but both have {shown(shared)}"
            )
        return self

    @model_validator(mode="after")
    def _references_are_methods(self) -> Self:
        for name in self.comparison.references or ():
            if name not in self.methods:
                raise ValueError(
                    f"comparison.references are methods of the study: {unknown_name(name, self.methods)}"
                )
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """The methods that all others are compared with."""
        if self.comparison.references is not None:
            return self.comparison.references
        kinds = {method.kind: name for name, method in reversed(self.methods.items())}
        return tuple(kinds[kind] for kind in ("full", "none") if kind in kinds)


class PromptPiece(NamedTuple):
    """A column in braces, or the text between columns."""

    text: str
    is_column: bool


_PIECE = re.compile(r"(?P<double>\{\{|\}\})|\{(?P<column>[^{}]*)\}|(?P<brace>[{}])|[^{}]+")


def prompt_pieces(prompt: str) -> tuple[PromptPiece, ...]:
    """The columns and literal texts that a prompt template is made of, in order.

    The text between braces is a column's name as it is; `{{` and `}}` are literal braces.

    Raises:
        ValueError: a brace has no partner, or there is no name between two.
    """
    pieces = []
    for match in _PIECE.finditer(prompt):
        if match["brace"]:
            raise ValueError(
                f"a prompt must have matching braces, but got {shown(prompt)} with a single "
                f"'{match['brace']}' at character {match.start() + 1}; "
                "double braces that are meant literally: {{ and }}"
            )
        if match["column"] == "":
            raise ValueError(
                f"braces in a prompt must hold a column name, but got '{{}}' in {shown(prompt)}; "
                "double braces that are meant literally: {{}}"
            )
        text = match["column"] or (match[0][0] if match["double"] else match[0])
        pieces.append(PromptPiece(text, is_column=match["column"] is not None))
    return tuple(pieces)


def prompt_columns(prompt: str) -> tuple[str, ...]:
    """The columns that a prompt template names, in order.

    Raises:
        ValueError: as for `prompt_pieces`.
    """
    return tuple(piece.text for piece in prompt_pieces(prompt) if piece.is_column)
