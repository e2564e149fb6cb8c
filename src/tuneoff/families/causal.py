"""Decoder-only models: one stack reads the input and continues it; the context is its cache.

Rows are padded on the right and have their real positions, so that padding, which is hidden, changes nothing.
"""

import copy
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import DynamicCache, GenerationConfig, PreTrainedModel

from tuneoff import kernels
from tuneoff.errors import StudyError
from tuneoff.families.family import BiasBeforeText, Targets
from tuneoff.spec import DropoutSpec, Site


@final
class CachedContext:
    """Rows that a decoder-only model has read; a `Context`."""

    def __init__(self, model: PreTrainedModel, input_ids: Tensor, mask: Tensor) -> None:
        """Read rows, `input_ids` and `mask`: [N, S]."""
        self._model = model
        self._ids, self._mask = input_ids, mask
        self._cache = DynamicCache()
        self._followed = 0
        hidden = model.model(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=positions(mask),
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        self._first = last(hidden, mask)

    @property
    def rows(self) -> int:  # noqa: D102
        return len(self._ids)

    @property
    def length(self) -> int:  # noqa: D102
        return self._ids.shape[1]

    def first(self) -> Tensor:  # noqa: D102
        return self._first

    def follow(self, tokens: Tensor) -> Tensor:  # noqa: D102
        self._mask = torch.cat([self._mask, torch.ones_like(tokens)], dim=1)
        hidden: Tensor = self._model.model(
            input_ids=tokens,
            attention_mask=self._mask,
            position_ids=positions(self._mask)[:, -tokens.shape[1] :],
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        self._followed += tokens.shape[1]
        return hidden

    def predict(self, labels: Tensor) -> Tensor:  # noqa: D102
        if labels.shape[1] == 1:
            return self._first[:, None]
        # padding at the end may be any token, as no label that counts follows it
        given = labels[:, :-1].clamp(min=0)
        return torch.cat([self._first[:, None], self.follow(given)], dim=1)

    def repeat(self, times: int) -> "CachedContext":  # noqa: D102
        repeated = copy.copy(self)
        repeated._ids, repeated._mask, repeated._first = (
            tensor.repeat_interleave(times, dim=0) for tensor in (self._ids, self._mask, self._first)
        )
        # shallow copies of the layers are enough, since repeating gives them new tensors
        repeated._cache = copy.copy(self._cache)
        repeated._cache.layers = [copy.copy(layer) for layer in self._cache.layers]
        repeated._cache.batch_repeat_interleave(times)
        return repeated

    def keep(self, rows: Tensor) -> None:  # noqa: D102
        self._cache.batch_select_indices(rows)
        self._ids, self._mask, self._first = self._ids[rows], self._mask[rows], self._first[rows]

    def rewind(self) -> None:  # noqa: D102
        if self._followed:
            self._cache.crop(-self._followed)
            self._mask = self._mask[:, : -self._followed]
            self._followed = 0

    def beam_search(  # noqa: D102
        self, *, max_new_tokens: int, beams: int, eos_token_id: int, pad_token_id: int
    ) -> Tensor:
        # transformers generates from rows padded on the left: turn each row until its padding is there
        length = self.length
        read = self._mask[:, :length]
        places = torch.arange(length, device=read.device) + read.sum(dim=1, keepdim=True)
        turned = places % length
        generated: Tensor = self._model.generate(
            input_ids=self._ids.gather(1, turned),
            attention_mask=read.gather(1, turned),
            generation_config=GenerationConfig(
                max_new_tokens=max_new_tokens,
                num_beams=beams,
                do_sample=False,
                early_stopping=False,
                length_penalty=1.0,
                pad_token_id=pad_token_id,
                eos_token_id=eos_token_id,
            ),
        )
        return generated[:, length:]


def positions(mask: Tensor) -> Tensor:
    """Return the position of each token among those that a mask [N, S] shows: [N, S]."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def last(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the state of each row's last token: [N, S, H] and [N, S] -> [N, H]."""
    return hidden[torch.arange(len(mask), device=mask.device), mask.sum(dim=1) - 1]


@final
class Causal:
    """A loaded decoder-only model; a `Family`."""

    sites: tuple[Site, ...] = ("decoder",)
    lora_targets: Targets = "all-linear"
    most_tokens = None

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    @property
    def reader(self) -> PreTrainedModel:
        """The only stack."""
        return self.model.model

    def check(self, folder: Path) -> None:
        """Do nothing: there is nothing to contradict."""

    def use_fast_modules(self) -> None:
        """Do nothing: transformers' own attention is the fastest."""

    def set_dropout(self, spec: DropoutSpec) -> None:
        """Set the decoder's rates; the encoder's has no effect."""
        for module in self.model.modules():
            if isinstance(module, nn.Dropout) and spec.decoder is not None:
                module.p = spec.decoder
        rate = spec.decoder if spec.attention is None else spec.attention
        if rate is not None:
            for attention in self.attentions("decoder"):
                attention.attention_dropout = rate

    @property
    def encoder(self) -> None:
        """None: one stack reads and continues."""

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> CachedContext:  # noqa: D102
        return CachedContext(self.model, input_ids, attention_mask)

    def read_and_predict(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        encoder_outputs: Tensor | None = None,
    ) -> Tensor:
        """Read input and target as one sequence, with the padding of the input hidden between them."""
        given = labels[:, :-1].clamp(min=0)
        mask = torch.cat([attention_mask, (labels[:, :-1] >= 0).to(attention_mask.dtype)], dim=1)
        hidden = self.model.model(
            input_ids=torch.cat([input_ids, given], dim=1),
            attention_mask=mask,
            position_ids=positions(mask),
            use_cache=False,
        ).last_hidden_state
        length = input_ids.shape[1]
        first = last(hidden[:, :length], attention_mask)
        return torch.cat([first[:, None], hidden[:, length:]], dim=1)

    def logits(self, hidden: Tensor) -> Tensor:  # noqa: D102
        scores: Tensor = self.model.lm_head(hidden)
        return scores.float()

    def argmax_token(self, hidden: Tensor) -> Tensor:  # noqa: D102
        head = self.model.lm_head
        if hidden.device.type != "cpu" or type(head) is not nn.Linear:
            return self.logits(hidden).argmax(dim=1)
        return kernels.argmax_of_product(head.weight, hidden)

    @property
    def kv_heads(self) -> int:  # noqa: D102
        return int(self.model.config.num_key_value_heads)

    @property
    def head_dim(self) -> int:  # noqa: D102
        return int(self.attentions("decoder")[0].head_dim)

    def stack(self, site: Site) -> PreTrainedModel:  # noqa: D102
        self._check_site(site)
        return self.model.model

    def attentions(self, site: Site) -> list[Any]:  # noqa: D102
        self._check_site(site)
        return [layer.self_attn for layer in self.model.model.layers]

    def bias_before_text(self, site: Site) -> BiasBeforeText | None:
        """Return None: positions are in keys and queries."""

    @torch.no_grad()
    def key_values(self, ids: Tensor, sites: tuple[Site, ...]) -> dict[Site, Tensor]:  # noqa: D102
        layers = self.model.model(input_ids=ids, use_cache=True).past_key_values.layers
        pairs = [torch.stack([layer.keys[0], layer.values[0]]).transpose(1, 2) for layer in layers]
        return {site: torch.stack(pairs) for site in sites}

    def _check_site(self, site: Site) -> None:
        if site != "decoder":
            raise StudyError(
                f"a decoder-only model has one site, decoder, but got {site}; set sites: [decoder]"
            )
