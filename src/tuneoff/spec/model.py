"""The pretrained model that a study starts from."""

from typing import Annotated, Literal

from pydantic import Field

from tuneoff.spec.base import Spec

Quantization = Literal["int8", "nf4"]
"""How few bits frozen weights are kept in."""
BUILTIN = "builtin:"
"""Prefix of the ids of models that come with tuneoff."""


class ModelSpec(Spec):
    """The pretrained model to start from."""

    id: Annotated[str, Field(min_length=1)]
    """A hub id, a local folder or GGUF file, or `builtin:NAME`."""
    revision: str | None = None
    """Branch, tag or commit of a hub model; the commit it resolves to is recorded."""
    quantization: Quantization | None = None
    """How the weights of all linear layers but the head are kept: in 8 bits (torchao's int8 weight-only
    quantization) or in 4 (bitsandbytes' NF4, as in QLoRA); null for float32."""
    template: Literal["plain", "chat"] = "plain"
    """What the model reads: the prompt as it is, or in the chat template of its tokenizer."""
