"""What training and methods ask of a model: to read rows, to continue them, and where its parts are.

A model first reads a row, then continues it. What reading leaves is a `Context`; every likelihood and every
generated text starts from one.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol, Self

import torch
import transformers
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from tuneoff.families.sublayers import Sublayer
from tuneoff.spec import DropoutSpec, Site

Targets = tuple[str, ...] | Literal["all-linear"]
"""What LoRA updates: ends of module names, or every linear layer but the head."""


class Context(Protocol):
    """N rows that a model has read, and the tokens that have followed them since.

    What is returned are hidden states, H wide, from which `Family.logits` computes the next token's logits.
    A context is changed by the tokens that follow: `first` or `predict` is called once, before `follow`, and
    again only after `rewind`.
    """

    @property
    def rows(self) -> int:
        """The number of rows, N."""

    @property
    def kept_bytes(self) -> int:
        """Bytes of what has been computed for later tokens; `repeat` takes as many for each of its times."""

    def first(self) -> Tensor:
        """Return the state that predicts the first token after the input: [N, H]."""

    def follow(self, tokens: Tensor) -> Tensor:
        """Append tokens [N, T], and return the state after each, which predicts the next: [N, T, H]."""

    def predict(self, labels: Tensor) -> Tensor:
        """Return the state that predicts each token of `labels` [N, T], given those before it: [N, T, H].

        The labels are padded with -100 and are the first tokens after the input.
        """

    def beam_search(self, *, max_new_tokens: int, beams: int, eos_token_id: int, pad_token_id: int) -> Tensor:
        """Return the texts that transformers' beam search finds, padded after their end: [N, T]."""

    def repeat(self, times: int) -> "Context":
        """Return a context of its own with each row `times` times: row 0 first, then row 1."""

    def only(self, rows: Tensor) -> Self:
        """Return a context of its own with some rows, chosen as for `keep`; this one stays."""

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but those chosen by `rows`: N booleans, or the numbers of rows."""

    def rewind(self) -> None:
        """Forget the tokens after the input."""

    def join(self, other: Self) -> None:
        """Append the rows of another context, which has none afterwards; only if the family `joins`.

        Both have computed `first`. Rows can be dropped and tokens can follow, but not be forgotten.
        """


class BiasBeforeText(Protocol):
    """The position bias of the attentions of a site towards tokens in front of the text."""

    def __call__(self, *, layer: int, queries: int, keys: int, length: int, device: torch.device) -> Tensor:
        """Return the bias of a layer towards `length` tokens before `keys` tokens: [1, heads, Q, length].

        The Q queries are the last of the `keys` tokens.
        """


class Family(Protocol):
    """A loaded model, and where its parts are; another family of models is another class."""

    @property
    def model(self) -> PreTrainedModel:
        """The model."""

    @property
    def sites(self) -> tuple[Site, ...]:
        """All sites of the model, which a prefix has where a study names none."""

    @property
    def lora_targets(self) -> Targets:
        """What LoRA updates where a study names no targets."""

    @property
    def most_tokens(self) -> int | None:
        """Tokens that each of its stacks has positions for; None for any number."""

    @property
    def joins(self) -> bool:
        """Whether rows that are at different tokens of their texts can be continued together."""

    @property
    def reader(self) -> PreTrainedModel:
        """The stack that reads the input; its input embedding is what a soft prompt extends."""

    def check(self, folder: Path) -> None:
        """Refuse a model whose loaded weights contradict its config.

        Raises:
            ModelError: they do; it names the folder.
        """

    def use_fast_modules(self) -> None:
        """Replace modules by faster ones that compute the same; weights and names stay."""

    def set_dropout(self, spec: DropoutSpec) -> None:
        """Set the dropout rates that the spec names; others stay."""

    # reading and continuing

    @property
    def encoder(self) -> "Encoder | None":
        """The model as one that reads with a stack of its own; None if one stack reads and continues."""

    def frozen_part(self) -> "FrozenPart | None":
        """Return the part that a row passes before all that is trained: an encoder, or the lower layers.

        None if there is none. `read_and_predict` takes its output in place of computing it.
        """

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> Context:
        """Read rows, [N, S] both, padded on the right."""

    def read_and_predict(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        frozen_outputs: Tensor | None = None,
    ) -> Tensor:
        """Return what `Context.predict` returns, in one pass through the model, for training: [B, T, H].

        `input_ids`, `attention_mask`: [B, S]; `labels`: [B, T]. With `frozen_outputs` [B, S, H], those of
        `frozen_part` for the same rows, that part is not run.
        """

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the next token's logits, in float32: [..., H] -> [..., V]."""

    def argmax_token(self, hidden: Tensor) -> Tensor:
        """Return the token with the highest logit: [N, H] -> [N]."""

    # attention, for prefixes

    @property
    def kv_heads(self) -> int:
        """Heads of the keys and values of an attention."""

    @property
    def head_dim(self) -> int:
        """Width of one head."""

    def stack(self, site: Site) -> PreTrainedModel:
        """Return the stack of layers that holds a site."""

    def attentions(self, site: Site) -> list[nn.Module]:
        """Return the attention modules of a site, first layer first."""

    def bias_before_text(self, site: Site) -> BiasBeforeText | None:
        """Return the position bias of a site towards tokens in front of the text; None if it has none."""

    def key_values(self, ids: Tensor, sites: tuple[Site, ...]) -> dict[Site, Tensor]:
        """Return the keys and values that each attention computes for one text, `ids` [1, P], at each site.

        Of each site: [L, 2, P, kv_heads, head_dim]. Dropout is off.
        """

    # sublayers, for adapters

    def sublayers(self) -> list[Sublayer]:
        """Return every attention and feed-forward network, those of the encoder first.

        Raises:
            UnfitError: they are not known.
        """


class FrozenPart(Protocol):
    """The part of a model that a row passes before all that is trained, so that its output can be kept."""

    @property
    def reads_target(self) -> bool:
        """Whether it reads the target too, but for its last token, after the input."""

    @property
    def is_read_by_products_alone(self) -> bool:
        """Whether products alone read its output, which can then be kept in their precision."""

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Read rows, [N, S] both, padded on the right; return the output: [N, S, H]."""

    def tensors(self) -> Iterable[Tensor]:
        """Return all weights that the output depends on."""

    def reads_with_dropout(self) -> bool:
        """Return whether dropout makes the output random in training."""


class Encoder(FrozenPart, Protocol):
    """A model whose input is read by a stack of its own, which is frozen where nothing trained affects it."""

    def context(self, encoder_outputs: Tensor, attention_mask: Tensor) -> Context:
        """Return the context of rows by the output of `encode` for them: [N, S, H] and [N, S]."""


class ConfigKeys(BaseModel, ABC):
    """The keys of a checkpoint's config.json that define a model of one architecture.

    Others, such as those that name code, are ignored.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    @abstractmethod
    def config(self) -> PreTrainedConfig:
        """Return transformers' config with these values; token ids that are not given are None."""


@dataclass(frozen=True)
class Architecture:
    """Models with one `model_type`, before they are loaded."""

    model_type: str
    name: str
    """As messages have it."""
    members: str
    """Models of the family that users know, for messages."""
    keys: type[ConfigKeys]
    model_class: str
    """As transformers calls it, which imports a class's module when it is asked for."""
    unused_weights: re.Pattern[str]
    """Names of tensors in some checkpoints that no model uses."""
    layers: Callable[[PreTrainedConfig], int]
    """The number of layers of the deepest stack."""
    ends_input: bool
    """Whether inputs end with the end of sequence, as its tokenizers write it; targets always do."""
    complete: Callable[[PreTrainedConfig], None]
    """Sets token ids that a config left out, once it has those of the tokenizer."""
    family: Callable[[PreTrainedModel], Family]
    computed: re.Pattern[str] = re.compile(r"(?!)")
    """Names of tensors that checkpoints may leave out, as transformers computes them; none by default."""
    former_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What checkpoints call some tensors, and what the model calls them."""

    @property
    def model(self) -> type[PreTrainedModel]:
        """The class of the models."""
        found: type[PreTrainedModel] = getattr(transformers, self.model_class)
        return found
