"""The context of an encoder-decoder: the encoder's output, and a cache of the decoder's keys and values."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutput

from tuneoff.families.beams import beam_settings
from tuneoff.families.cache import cache_bytes, repeated_cache


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
    starts = labels.new_tensor(start_ids(config)).expand(len(labels), -1)
    given = labels[:, :-1]
    return torch.cat([starts, given.masked_fill(given < 0, config.pad_token_id)], dim=1)


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
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())

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
        hidden: Tensor = self._model.get_decoder()(
            input_ids=tokens,
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

    def keep(self, rows: Tensor) -> None:  # noqa: D102
        self._cache.batch_select_indices(rows)
        self._encoder_outputs, self._mask = self._encoder_outputs[rows], self._mask[rows]

    def rewind(self) -> None:  # noqa: D102
        self._cache = EncoderDecoderCache(DynamicCache(), self._cache.cross_attention_cache)
