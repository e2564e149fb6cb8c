"""The context of an encoder-decoder whose cache and head are not known."""

from typing import Any, final

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from tuneoff.families.beams import beam_settings
from tuneoff.families.encoder_context import decoder_ids, start_ids


@final
class WholeContext:
    """Rows that an encoder has read, and the tokens since; a `Context` whose states are logits."""

    def __init__(
        self, model: Any, encoder_outputs: Tensor, mask: Tensor, written: Tensor | None = None
    ) -> None:
        """`encoder_outputs`: [N, S, H], `mask`: [N, S], `written`: [N, T]."""
        self._model, self._encoder_outputs, self._mask = model, encoder_outputs, mask
        self._written = mask[:, :0] if written is None else written

    @property
    def rows(self) -> int:  # noqa: D102
        return len(self._mask)

    @property
    def kept_bytes(self) -> int:  # noqa: D102
        return self._encoder_outputs.nbytes

    def _starts(self) -> Tensor:
        return self._mask.new_tensor(start_ids(self._model.config)).expand(self.rows, -1)

    def first(self) -> Tensor:  # noqa: D102
        return self.follow(self._starts())[:, -1]

    def follow(self, tokens: Tensor) -> Tensor:  # noqa: D102
        self._written = torch.cat([self._written, tokens], dim=1)
        logits: Tensor = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._encoder_outputs),
            attention_mask=self._mask,
            decoder_input_ids=self._written,
            use_cache=False,
        ).logits
        return logits[:, -tokens.shape[1] :]

    def predict(self, labels: Tensor) -> Tensor:  # noqa: D102
        return self.follow(decoder_ids(self._model.config, labels))[:, -labels.shape[1] :]

    def beam_search(  # noqa: D102
        self, *, max_new_tokens: int, beams: int, eos_token_id: int, pad_token_id: int
    ) -> Tensor:
        starts = self._starts()
        generated: Tensor = self._model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._encoder_outputs),
            attention_mask=self._mask,
            decoder_input_ids=starts,
            generation_config=beam_settings(
                max_new_tokens=max_new_tokens,
                beams=beams,
                eos_token_id=eos_token_id,
                pad_token_id=pad_token_id,
                decoder_start_token_id=self._model.config.decoder_start_token_id,
                use_cache=False,
            ),
        )
        return generated[:, starts.shape[1] :]

    def repeat(self, times: int) -> "WholeContext":  # noqa: D102
        tensors = (self._encoder_outputs, self._mask, self._written)
        return WholeContext(self._model, *(tensor.repeat_interleave(times, dim=0) for tensor in tensors))

    def only(self, rows: Tensor) -> "WholeContext":  # noqa: D102
        tensors = (self._encoder_outputs, self._mask, self._written)
        return WholeContext(self._model, *(tensor[rows] for tensor in tensors))

    def keep(self, rows: Tensor) -> None:  # noqa: D102
        self._encoder_outputs, self._mask = self._encoder_outputs[rows], self._mask[rows]
        self._written = self._written[rows]

    def join(self, other: "WholeContext") -> None:
        """Refuse, as all rows are at the same token."""
        raise NotImplementedError

    def rewind(self) -> None:  # noqa: D102
        self._written = self._mask[:, :0]
