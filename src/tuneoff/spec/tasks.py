"""Tasks: where rows come from, what the model reads, and what its target is."""

import string
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, PositiveInt, Tag, WithJsonSchema, field_validator, model_validator

from tuneoff.errors import shown
from tuneoff.spec.base import LISTS, Length, Spec, SplitName
from tuneoff.spec.prompt import prompt_columns


class HubSource(Spec):
    """A data set on the Hugging Face hub."""

    hub: Annotated[str, Field(min_length=1)]
    """Its id."""
    config: str | None = None
    """Which of its subsets, as the hub names them."""
    revision: str | None = None
    """Branch, tag or commit; the commit it resolves to is recorded."""
    splits: dict[SplitName, str] = Field(default_factory=dict)
    """The hub's names of splits: `{test: validation}` tests on the validation split. By default, train,
    validation (or val, valid, dev) and test."""

    @model_validator(mode="after")
    def _splits_differ(self) -> Self:
        if len(set(self.splits.values())) < len(self.splits):
            raise ValueError(f"splits must name different splits of the hub, but got {self.splits}")
        return self


class FilesSource(Spec):
    """Local files, one for each split; the ending names the format (csv, tsv, json, jsonl, parquet; .gz)."""

    files: dict[SplitName, str]
    """From `train`, `validation` and `test` to their files, relative to the study's."""
    test_share: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """Without a test file: the share of the rows of train that is the test split, always the same rows."""

    @model_validator(mode="after")
    def _needs_train_and_test(self) -> Self:
        missing = [split for split in ("train", "test") if split not in self.files]
        if missing == ["test"] and self.test_share is not None:
            return self
        if missing:
            raise ValueError(
                f"files must name a train and a test file, but {' and '.join(missing)} is missing "
                "(validation is optional: without it, rows are split off train; test_share: 0.2 does so for "
                "the test)"
            )
        if self.test_share is not None:
            raise ValueError("files must name a test file or have a test_share, but got both; remove one")
        return self


class BuiltinSource(Spec):
    """A data set that tuneoff generates itself."""

    builtin: str
    """`reviews` or `dialogues`."""


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


Written = str | int | float | bool | None
"""What a study file may have where its text counts as it is written."""
Answer = Literal["label", "option", "text"]
"""What a prediction is: one of the task's labels (its value), one of the row's own options (its letter), or a
text."""
LETTERS = string.ascii_uppercase
"""Names of a row's options, in order."""


class TaskSpec(Spec):
    """Settings that every task has; each kind of task is a class below."""

    answer: ClassVar[Answer]

    source: Source
    """Where the rows are: exactly one of the keys hub, files and builtin."""
    prompt: str
    """The model's input, with the row's columns in braces: `"Summarize: {dialogue}"`. The text in braces is
    the column's name as it is; literal braces are doubled."""
    target: str
    """The column that holds the target."""
    max_source_length: Length = 512
    """Longest input in tokens; longer ones are cut at the end and counted."""
    max_target_length: Length = 128
    """Longest target in tokens, end-of-sequence included; longer ones are cut and counted."""
    max_eval_samples: PositiveInt | None = None
    """At most this many validation rows, the first ones, are scored at each evaluation."""
    max_predict_samples: PositiveInt | None = None
    """At most this many test rows, the first ones, are scored at the end."""
    drop_overlap: bool = False
    """Drop test and validation rows whose input also occurs in train."""
    allow_target_in_prompt: bool = False
    """Let the prompt contain the target column or one with the same content: the model reads the answer."""
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

    @property
    def generates(self) -> bool:
        """Whether the model writes its answers; else the likeliest of several texts is chosen."""
        return self.answer == "text"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a row that the task reads, each once."""
        return tuple(dict.fromkeys((*prompt_columns(self.prompt), self.target)))

    def in_words(self, answer: str) -> str:
        """Return a prediction or a reference as people read it."""
        return answer


class ClassificationSpec(TaskSpec):
    """Choose one of a fixed set of labels."""

    answer: ClassVar[Answer] = "label"

    kind: Literal["classification"]
    labels: Annotated[dict[str, Annotated[str, Field(min_length=1)]], Field(min_length=2)]
    """From the value in the target column to the text that the model generates for it, both as written in
    the file. A list stands for values that are the texts themselves."""
    positive: Annotated[str | None, WithJsonSchema({"type": ["string", "number", "boolean", "null"]})] = None
    """With two labels, the value whose F1 is `eval_f1`; by default the last one listed."""
    scoring: Literal["likelihood", "generate"] = "likelihood"
    """Choose the label whose text has the highest likelihood, or generate text and compare it."""
    matthews: bool = False
    """Also compute Matthews' correlation (`eval_mcc`), as GLUE does for CoLA. It is no mean over rows, so it
    has no interval and decides nothing."""

    @property
    def main_metric(self) -> str:
        """The score that chooses the best checkpoint and is drawn in plots; higher is better."""
        return "eval_accuracy"

    @property
    def generates(self) -> bool:  # noqa: D102
        return self.scoring == "generate"

    def in_words(self, answer: str) -> str:  # noqa: D102
        return self.labels.get(answer, answer)

    @field_validator("labels", mode="before", json_schema_input_type=dict[str, Written] | list[str])
    @classmethod
    def _as_texts(cls, labels: Any) -> Any:
        if isinstance(labels, dict):
            return {str(value): text for value, text in labels.items()}
        if not isinstance(labels, list | tuple):
            return labels
        if not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
            raise ValueError(f"a list of labels must hold texts, each once, but got {shown(labels)}")
        return {label: label for label in labels}

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> Self:
        texts = list(self.labels.values())
        plain = {unicodedata.normalize("NFC", text.strip()).casefold() for text in texts}
        if len(plain) < len(texts):
            raise ValueError(f"labels must have distinct texts, but got {shown(texts)}")
        if self.positive is not None and self.positive not in self.labels:
            raise ValueError(
                f"positive must be one of {shown(list(self.labels))}, but got {shown(self.positive)}"
            )
        return self


class MultipleChoiceSpec(TaskSpec):
    """Choose one of the options of each row, the one with the highest likelihood."""

    answer: ClassVar[Answer] = "option"

    kind: Literal["multiple_choice"]
    options: Annotated[tuple[str, ...], Field(min_length=1), LISTS]
    """The columns of a row's options, in order; or the one column that holds a list of them."""
    target_is: Literal["index", "number", "letter", "text"] = "index"
    """How the target names the right option: its place from 0, its place from 1, its letter (or, as in a few
    rows of ARC, its place from 1), or its text."""
    length_normalized: bool = False
    """Divide an option's log-likelihood by its number of characters, so that long ones are not at a
    disadvantage (`acc_norm` of lm-evaluation-harness)."""

    @property
    def main_metric(self) -> str:
        """The score that chooses the best checkpoint and is drawn in plots; higher is better."""
        return "eval_accuracy"

    @property
    def columns(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(dict.fromkeys((*super().columns, *self.options)))

    @property
    def listed(self) -> str | None:
        """The column that holds a list of options; None where each option has a column."""
        return self.options[0] if len(self.options) == 1 else None

    @field_validator("options", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _as_columns(cls, options: Any) -> Any:
        return [options] if isinstance(options, str) else options

    @field_validator("options")
    @classmethod
    def _options_are_distinct(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(options)) < len(options) or len(options) > len(LETTERS):
            raise ValueError(
                f"options must name at most {len(LETTERS)} different columns, but got {shown(list(options))}"
            )
        return options


TextMetric = Literal["rouge", "bleu", "chrf", "exact_match", "token_f1"]
"""A way to compare a text with its references."""
MAIN_SCORES: Mapping[TextMetric, str] = MappingProxyType(
    {
        "rouge": "eval_rougeL",
        "bleu": "eval_sentence_bleu",
        "chrf": "eval_sentence_chrf",
        "exact_match": "eval_exact_match",
        "token_f1": "eval_token_f1",
    }
)
"""The score of each that can be a task's main metric: a mean of the rows' own. Higher is better."""
BleuTokenizer = Literal["13a", "intl", "zh", "char"]


class TextSpec(TaskSpec):
    """Settings of the tasks whose answers are texts."""

    answer: ClassVar[Answer] = "text"

    kind: Literal["summarization", "generation"]
    max_new_tokens: Length = 64
    """Longest generated text in tokens, on validation and test alike."""
    num_beams: PositiveInt = 1
    """1 is greedy search; more is beam search."""


class SummarizationSpec(TextSpec):
    """Write a short text for a long one: a `GenerationSpec` with ROUGE, and baselines that copy sentences."""

    kind: Literal["summarization"]
    metrics: ClassVar[tuple[TextMetric, ...]] = ("rouge",)
    bleu_tokenizer: ClassVar[BleuTokenizer] = "13a"

    @property
    def main_metric(self) -> str:
        """The score that chooses the best checkpoint and is drawn in plots; higher is better."""
        return MAIN_SCORES["rouge"]


class GenerationSpec(TextSpec):
    """Write any text for another: a translation, an answer, a headline, a comment on code."""

    kind: Literal["generation"]
    metrics: Annotated[tuple[TextMetric, ...], Field(min_length=1), LISTS]
    """How texts are compared with their references; the first one is the main metric."""
    bleu_tokenizer: BleuTokenizer = "13a"
    """How sacrebleu cuts texts into words for BLEU: `zh` for Chinese, `char` for other scripts without
    spaces."""

    @property
    def main_metric(self) -> str:
        """The score that chooses the best checkpoint and is drawn in plots; higher is better."""
        return MAIN_SCORES[self.metrics[0]]

    @field_validator("metrics")
    @classmethod
    def _metrics_are_distinct(cls, metrics: tuple[TextMetric, ...]) -> tuple[TextMetric, ...]:
        if len(set(metrics)) < len(metrics):
            raise ValueError(f"metrics must not repeat, but got {shown(list(metrics))}")
        return metrics


TextTask = SummarizationSpec | GenerationSpec
"""The tasks whose answers are texts."""
Task = Annotated[
    ClassificationSpec | MultipleChoiceSpec | SummarizationSpec | GenerationSpec, Field(discriminator="kind")
]
