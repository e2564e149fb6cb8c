"""What the families with an encoder of their own have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tuneoff.families.dropout import has_dropout
from tuneoff.families.family import Context
from tuneoff.families.sublayers import Sublayer, found_sublayers, layers_of
from tuneoff.spec import DropoutSpec, Site


class EncoderDecoder(ABC):
    """A loaded model whose encoder reads; the shared part of a `Family`, and its `Encoder`."""

    sites: tuple[Site, ...] = ("encoder", "decoder", "cross")
    reads_target = False
    is_read_by_products_alone = True

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def reader(self) -> PreTrainedModel:
        """The encoder."""
        return self.stack("encoder")

    def stack(self, site: Site) -> PreTrainedModel:
        """Return the encoder, or the decoder, which holds its cross-attention too."""
        stack: PreTrainedModel = self.model.get_encoder() if site == "encoder" else self.model.get_decoder()
        return stack

    @property
    def encoder(self) -> Self:
        """The model itself."""
        return self

    def frozen_part(self) -> Self | None:
        """Return the model itself if its encoder's output depends on nothing trained."""
        token = torch.zeros(1, 1, dtype=torch.long, device=self.model.device)
        with torch.enable_grad():
            # autograd knows: the output of a frozen encoder needs no gradient
            return None if self.encode(token, torch.ones_like(token)).requires_grad else self

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:  # noqa: D102
        outputs: Tensor = self.reader(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return outputs

    def tensors(self) -> Iterable[Tensor]:  # noqa: D102
        return self.reader.state_dict().values()

    def reads_with_dropout(self) -> bool:  # noqa: D102
        return has_dropout(self.reader.modules())

    @abstractmethod
    def context(self, encoder_outputs: Tensor, attention_mask: Tensor) -> Context:  # noqa: D102
        ...

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> Context:  # noqa: D102
        return self.context(self.encode(input_ids, attention_mask), attention_mask)

    @abstractmethod
    def attentions(self, site: Site) -> list[Any]:  # noqa: D102
        ...

    def sublayers(self) -> list[Sublayer]:  # noqa: D102
        stacks = self.reader, self.stack("decoder")
        return found_sublayers(layer for stack in stacks for layer in layers_of(stack))

    def set_attention_dropout(self, spec: DropoutSpec) -> None:
        """Set the rates of attentions that keep theirs as `dropout`."""
        for site in self.sites:
            rate = spec.encoder if site == "encoder" else spec.decoder
            rate = rate if spec.attention is None else spec.attention
            if rate is not None:
                for attention in self.attentions(site):
                    attention.dropout = rate
