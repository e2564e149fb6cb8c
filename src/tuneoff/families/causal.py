"""Decoder-only models: one stack reads the input and continues it; the context is its cache."""

import copy
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from tuneoff import kernels
from tuneoff.families.beams import beam_settings
from tuneoff.families.cache import (
    GrowingCache,
    cache_bytes,
    copied_cache,
    move_rows,
    repeated_cache,
    stacked_masks,
)
from tuneoff.families.dropout import dropout_rates
from tuneoff.families.family import BiasBeforeText, Targets
from tuneoff.families.listening import without_dropout
from tuneoff.families.lower_layers import LowerLayers, count_frozen
from tuneoff.families.masks import is_waited_for
from tuneoff.families.sublayers import Sublayer, found_sublayers
from tuneoff.spec import DropoutSpec, Site


@final
class CachedContext:
    """Rows that a decoder-only model has read; a `Context`.

    Padding is on the left here, so that a row and what follows it are next to each other: a sliding window
    counts places, whatever is in them. Tokens have the positions of their row alone.
    """

    def __init__(self, model: PreTrainedModel, input_ids: Tensor, mask: Tensor) -> None:
        """Read rows, `input_ids` and `mask`: [N, S], padded on the right."""
        self._model = model
        # turn each row until its padding is on the left
        length = mask.shape[1]
        turned = (torch.arange(length, device=mask.device) + mask.sum(dim=1, keepdim=True)) % length
        self._ids = input_ids.gather(1, turned)
        self._mask = mask.gather(1, turned)
        self._cache = GrowingCache()
        self._first = self._read(self._ids)[:, -1]
        self._followed = 0

    def _read(self, tokens: Tensor) -> Tensor:
        """Append tokens that the mask already counts: [N, T] -> [N, T, H]."""
        hidden: Tensor = self._model.base_model(
            input_ids=tokens,
            attention_mask=self._mask,
            position_ids=(self._mask.cumsum(dim=1) - 1).clamp(min=0)[:, -tokens.shape[1] :],
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        return hidden

    @property
    def rows(self) -> int:  # noqa: D102
        return len(self._ids)

    @property
    def kept_bytes(self) -> int:  # noqa: D102
        return cache_bytes(self._cache)

    def first(self) -> Tensor:  # noqa: D102
        return self._first

    def follow(self, tokens: Tensor) -> Tensor:  # noqa: D102
        self._mask = torch.cat([self._mask, torch.ones_like(tokens)], dim=1)
        self._followed += tokens.shape[1]
        return self._read(tokens)

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
        repeated._cache = repeated_cache(self._cache, times)
        return repeated

    def only(self, rows: Tensor) -> "CachedContext":  # noqa: D102
        chosen = copy.copy(self)
        chosen._cache = copied_cache(self._cache)
        chosen.keep(rows)
        return chosen

    def keep(self, rows: Tensor) -> None:  # noqa: D102
        self._cache.batch_select_indices(rows)
        self._ids, self._mask, self._first = self._ids[rows], self._mask[rows], self._first[rows]

    def join(self, other: "CachedContext") -> None:  # noqa: D102
        width = int(max(self._mask.sum(dim=1).max(), other._mask.sum(dim=1).max()))
        self._mask = stacked_masks(self._mask, other._mask, width=width, at_end=True)
        move_rows(self._cache, other._cache, width=width, at_end=True)
        self._ids = self._mask[:, :0]
        self._first = torch.cat([self._first, other._first])

    def rewind(self) -> None:  # noqa: D102
        if self._followed:
            self._cache.crop(-self._followed)
            self._mask = self._mask[:, : -self._followed]
            self._followed = 0

    def beam_search(  # noqa: D102
        self, *, max_new_tokens: int, beams: int, eos_token_id: int, pad_token_id: int
    ) -> Tensor:
        generated: Tensor = self._model.generate(
            input_ids=self._ids,
            attention_mask=self._mask[:, : self._ids.shape[1]],
            generation_config=beam_settings(
                max_new_tokens=max_new_tokens,
                beams=beams,
                eos_token_id=eos_token_id,
                pad_token_id=pad_token_id,
            ),
        )
        return generated[:, self._ids.shape[1] :]


@final
class Causal:
    """A loaded decoder-only model; a `Family`."""

    sites: tuple[Site, ...] = ("decoder",)
    lora_targets: Targets = "all-linear"
    joins = True

    def __init__(
        self, model: PreTrainedModel, *, layers: str, attention: str, learned_positions: bool
    ) -> None:
        """Take the names of the list of layers in the model without its head, and of a layer's attention."""
        self.model = model
        holder, _, self._layers_name = layers.rpartition(".")
        self._stack: Any = model.base_model.get_submodule(holder)
        self._layers = getattr(self._stack, self._layers_name)
        self._frozen_part: LowerLayers | None = None
        self._attention = attention
        self._learned_positions = learned_positions

    @property
    def reader(self) -> PreTrainedModel:
        """The only stack."""
        return self.model.base_model

    @property
    def most_tokens(self) -> int | None:  # noqa: D102
        return int(self.model.config.max_position_embeddings) if self._learned_positions else None

    def check(self, folder: Path) -> None:
        """Do nothing: there is nothing to contradict."""

    def use_fast_modules(self) -> None:  # noqa: D102
        kernels.use_fast_modules(self.model, stacks=())

    def set_dropout(self, spec: DropoutSpec) -> None:
        """Set the decoder's rates; the encoder's has no effect."""
        inside = spec.decoder if spec.attention is None else spec.attention
        attentions = self.attentions("decoder")
        # GPT-2's has a module for it
        of_attention = {*attentions, *(getattr(attention, "attn_dropout", None) for attention in attentions)}
        for module, name in dropout_rates(self.model.modules()):
            rate = inside if module in of_attention else spec.decoder
            if rate is not None:
                setattr(module, name, rate)

    @property
    def encoder(self) -> None:
        """None: one stack reads and continues."""

    def frozen_part(self) -> LowerLayers | None:
        """Return the layers below all that is trained, which `read_and_predict` can skip then."""
        count = count_frozen(self._stack, self._layers)
        self._frozen_part = LowerLayers(self._stack, self._layers_name, count) if count else None
        return self._frozen_part

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> CachedContext:  # noqa: D102
        return CachedContext(self.model, input_ids, attention_mask)

    def read_and_predict(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        frozen_outputs: Tensor | None = None,
    ) -> Tensor:
        """Read input and target as one sequence, as `Family.read_and_predict` says."""
        given = labels[:, :-1]
        ids = torch.cat([input_ids, given.clamp(min=0)], dim=1)
        shown = torch.cat([attention_mask > 0, given >= 0], dim=1)
        # all padding goes to the end, where no token that counts sees it: it needs no mask, and each token
        # has the position and the window of its row alone
        order = shown.int().argsort(dim=1, descending=True, stable=True)
        if frozen_outputs is not None:
            order = order[:, : frozen_outputs.shape[1]]
        elif not is_waited_for(order):  # to wait takes longer than the rest of the padding
            order = order[:, : int(shown.sum(dim=1).max())]
        with self._going_on_from(frozen_outputs):
            read = self.model.base_model(input_ids=ids.gather(1, order), use_cache=False)
        hidden = read.last_hidden_state
        # the last token of the input predicts the first of the target
        before = attention_mask.sum(dim=1, keepdim=True) - 1  # [B, 1]
        places = before + torch.arange(labels.shape[1], device=labels.device)  # [B, T]
        rows = torch.arange(len(labels), device=labels.device)[:, None]
        predicting: Tensor = hidden[rows, places.clamp(max=hidden.shape[1] - 1)]
        return predicting

    def _going_on_from(self, frozen_outputs: Tensor | None) -> AbstractContextManager[None]:
        if frozen_outputs is None:
            return nullcontext()
        assert self._frozen_part is not None, "the outputs are those of a `frozen_part`, so it was asked for"
        return self._frozen_part.computed(frozen_outputs)

    def logits(self, hidden: Tensor) -> Tensor:  # noqa: D102
        scores: Tensor = self.model.get_output_embeddings()(hidden).float()
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return scores if cap is None else cap * torch.tanh(scores / cap)

    def argmax_token(self, hidden: Tensor) -> Tensor:  # noqa: D102
        head = self.model.get_output_embeddings()
        if hidden.device.type != "cpu" or type(head) is not nn.Linear or head.bias is not None:
            return self.logits(hidden).argmax(dim=1)
        # a cap keeps the order
        return kernels.argmax_of_product(head.weight, hidden)

    @property
    def kv_heads(self) -> int:  # noqa: D102
        config = self.model.config
        return int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)

    @property
    def head_dim(self) -> int:  # noqa: D102
        config = self.model.config
        return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)

    def stack(self, site: Site) -> PreTrainedModel:  # noqa: D102
        return self._stack

    def attentions(self, site: Site) -> list[Any]:  # noqa: D102
        return [getattr(layer, self._attention) for layer in self._layers]

    def bias_before_text(self, site: Site) -> BiasBeforeText | None:
        """Return None: positions are in embeddings, or in queries and keys."""

    @torch.no_grad()
    def key_values(self, ids: Tensor, sites: tuple[Site, ...]) -> dict[Site, Tensor]:  # noqa: D102
        cache = DynamicCache()
        with without_dropout(self.model):
            self.model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
        pairs = [torch.stack([layer.keys[0], layer.values[0]]).transpose(1, 2) for layer in cache.layers]
        return {site: torch.stack(pairs) for site in sites}

    def sublayers(self) -> list[Sublayer]:  # noqa: D102
        return found_sublayers(self._layers)
