"""The context of an encoder-decoder: the encoder's output, and a cache of the decoder's keys and values."""

import copy
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from transformers import (
    EncoderDecoderCache,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutput

from tuneoff.families.beams import beam_settings
from tuneoff.families.cache import (
    GrowingCache,
    cache_bytes,
    copied_cache,
    move_rows,
    repeated_cache,
    stacked_masks,
)


def start_ids(config: PreTrainedConfig) -> list[int]:
    """Return the tokens that a decoder is given before it predicts the first one.

    They are the token that it starts with and the one that every target begins with, if there is one: BART's
    <s>, or a language. transformers forbids a config to have it under its name, `forced_bos_token_id`.
    """
    first = getattr(config, "first_target_token_id", None)
    return [config.decoder_start_token_id] + ([] if first is None else [first])


def decoder_ids(config: PreTrainedConfig, labels: Tensor) -> Tensor:
    """Return what a decoder reads to predict labels [N, T] one after another: [N, starts + T - 1].

    The labels are padded with -100.
    """
    given = labels[:, :-1]
    starts = [labels.new_full((len(labels), 1), token) for token in start_ids(config)]
    return torch.cat([*starts, given.masked_fill(given < 0, config.pad_token_id)], dim=1)


@final
class EncoderContext:
    """Rows that an encoder has read; a `Context`.

    The cache holds keys and values of the tokens so far, and those of the encoder's output once computed.
    """

    def __init__(
        self, model: PreTrainedModel, encoder_outputs: Tensor, mask: Tensor, *, never: Sequence[int] = ()
    ) -> None:
        """`encoder_outputs`: [N, S, H], `mask`: [N, S]; beams have no token of `never`."""
        self._model = model
        self._never = never
        self._starts = start_ids(model.config)
        self._encoder_outputs = encoder_outputs
        self._mask = mask
        self._cache = EncoderDecoderCache(GrowingCache(), GrowingCache())
        # which of the decoder's tokens each row has, [N, T], once rows have different numbers of them
        self._tokens: Tensor | None = None

    @property
    def rows(self) -> int:  # noqa: D102
        return len(self._mask)

    @property
    def kept_bytes(self) -> int:  # noqa: D102
        caches = (self._cache.self_attention_cache, self._cache.cross_attention_cache)
        return self._encoder_outputs.nbytes + sum(map(cache_bytes, caches))

    def first(self) -> Tensor:  # noqa: D102
        return self.follow(self._start_rows())[:, -1]

    def _start_rows(self) -> Tensor:
        return self._mask.new_tensor(self._starts).expand(self.rows, -1)

    def follow(self, tokens: Tensor) -> Tensor:  # noqa: D102
        if self._tokens is not None:
            self._tokens = torch.cat([self._tokens, torch.ones_like(tokens)], dim=1)
        hidden: Tensor = self._model.get_decoder()(
            input_ids=tokens,
            attention_mask=self._tokens,
            encoder_hidden_states=self._encoder_outputs,
            encoder_attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        return hidden

    def predict(self, labels: Tensor) -> Tensor:  # noqa: D102
        return self.follow(decoder_ids(self._model.config, labels))[:, len(self._starts) - 1 :]

    def beam_search(  # noqa: D102
        self, *, max_new_tokens: int, beams: int, eos_token_id: int, pad_token_id: int
    ) -> Tensor:
        generated: Tensor = self._model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._encoder_outputs),
            attention_mask=self._mask,
            decoder_input_ids=self._start_rows(),
            generation_config=beam_settings(
                max_new_tokens=max_new_tokens,
                beams=beams,
                eos_token_id=eos_token_id,
                pad_token_id=pad_token_id,
                decoder_start_token_id=self._starts[0],
                suppress_tokens=list(self._never) or None,
            ),
        )
        return generated[:, len(self._starts) :]

    def repeat(self, times: int) -> "EncoderContext":  # noqa: D102
        repeated = EncoderContext(
            self._model,
            self._encoder_outputs.repeat_interleave(times, dim=0),
            self._mask.repeat_interleave(times, dim=0),
            never=self._never,
        )
        repeated._cache = EncoderDecoderCache(
            repeated_cache(self._cache.self_attention_cache, times),
            repeated_cache(self._cache.cross_attention_cache, times),
        )
        return repeated

    def only(self, rows: Tensor) -> "EncoderContext":  # noqa: D102
        chosen = copy.copy(self)
        caches = (self._cache.self_attention_cache, self._cache.cross_attention_cache)
        chosen._cache = EncoderDecoderCache(*map(copied_cache, caches))
        chosen.keep(rows)
        return chosen

    def keep(self, rows: Tensor) -> None:  # noqa: D102
        self._cache.batch_select_indices(rows)
        self._encoder_outputs, self._mask = self._encoder_outputs[rows], self._mask[rows]
        if self._tokens is not None:
            self._tokens = self._tokens[rows]

    def join(self, other: "EncoderContext") -> None:  # noqa: D102
        # padding that no row needs is left out: the input's at the end, the decoder's in front of its tokens
        mine, others = self._token_mask(), other._token_mask()
        inputs = int(max(self._mask.sum(dim=1).max(), other._mask.sum(dim=1).max()))
        tokens = int(max(mine.sum(dim=1).max(), others.sum(dim=1).max()))
        self._mask = stacked_masks(self._mask, other._mask, width=inputs, at_end=False)
        self._tokens = stacked_masks(mine, others, width=tokens, at_end=True)
        ours, theirs = self._cache, other._cache
        move_rows(ours.cross_attention_cache, theirs.cross_attention_cache, width=inputs, at_end=False)
        move_rows(ours.self_attention_cache, theirs.self_attention_cache, width=tokens, at_end=True)
        # the keys and values of the encoder's output are in the cache, so that its shape is all that is used
        shape = (*self._mask.shape, self._encoder_outputs.shape[2])
        self._encoder_outputs = self._encoder_outputs.new_zeros(1, 1, 1).expand(shape)

    def _token_mask(self) -> Tensor:
        if self._tokens is not None:
            return self._tokens
        return self._mask.new_ones(self.rows, self._cache.get_seq_length())

    def rewind(self) -> None:  # noqa: D102
        self._cache = EncoderDecoderCache(GrowingCache(), self._cache.cross_attention_cache)
