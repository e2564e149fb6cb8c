"""Prompt-tuning."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from tuneoff.errors import shown
from tuneoff.phrases import plural
from tuneoff.spec.methods.base import LONGEST_TEXT, TunedSpec

_STARTS = {"random": "random numbers", "vocabulary": "words of the vocabulary", "text": "a text"}


class PromptSpec(TunedSpec):
    """Trained vectors prepended to the input (Lester et al. 2021)."""

    implementation: ClassVar[str] = "tuneoff.methods.prompt"
    source: ClassVar[str] = (
        "Lester et al. 2021, The power of scale for parameter-efficient prompt tuning, arXiv:2104.08691"
    )

    kind: Literal["prompt"]
    learning_rate: PositiveFloat = 0.3
    length: Annotated[int, Field(gt=0, le=LONGEST_TEXT)] = 20
    """Trained vectors."""
    init: Literal["random", "vocabulary", "text"] = "vocabulary"
    """Random numbers, the embeddings of frequent tokens, or those of `init_text`."""
    init_text: str | None = None
    """Text whose tokens, repeated to the length, initialize the prompt (for instance the label words)."""

    def in_words(self) -> str:  # noqa: D102
        return (
            f"prepends {plural(self.length, 'trained vector')} to the input, started from "
            f"{_STARTS[self.init]}"
        )

    def for_inference(self) -> Self:  # noqa: D102
        return self.model_copy(update={"init": "random", "init_text": None})

    @model_validator(mode="after")
    def _text_belongs_to_init(self) -> Self:
        if (self.init == "text") != (self.init_text is not None):
            raise ValueError(
                f"init: text and init_text go together, but got init={self.init}, "
                f"init_text={shown(self.init_text)}"
            )
        return self
