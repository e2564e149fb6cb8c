"""A frozen encoder's output, computed once for all epochs, evaluations and runs of a session.

If a method trains nothing that the encoder's output depends on, that output is constant for a row: always
in evaluation, and in training if the study sets the encoder's dropout to 0
(`dropout: {encoder: 0.0, attention: 0.0}`).
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tuneoff.families import Encoder
from tuneoff.methods import AdaptedModel
from tuneoff.training.batches import Encoded, collate, min_padding_batches
from tuneoff.training.precision import Dtype, autocast

LIMIT = 2**30
"""Bytes of encoder outputs that a session caches; a set of rows that needs more is encoded at every use."""


class EncoderOutputs:
    """A least-recently-used cache of encoder outputs, by sets of rows."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._by_digest: OrderedDict[bytes, list[Tensor]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of sets of rows in the cache."""
        return len(self._by_digest)

    @torch.no_grad()
    def added_to(
        self,
        rows: Sequence[Encoded],
        adapted: AdaptedModel,
        *,
        batch_size: int,
        pad_token_id: int,
        dtype: Dtype,
    ) -> Sequence[Encoded]:
        """Return the rows with their encoder outputs [S, H].

        They come back unchanged if the method trains the encoder, or if their outputs exceed the limit.
        """
        width = adapted.family.reader.config.hidden_size
        bytes_each = width * torch.finfo(getattr(torch, dtype)).bits // 8
        size = sum(len(row.input_ids) for row in rows) * bytes_each
        encoder = adapted.family.encoder
        if encoder is None or size > self._limit or not rows or not is_frozen(adapted, dtype):
            return rows
        # the key has the batch size, since padding changes the last bits: a run's numbers must not depend on
        # which run filled the cache
        key, cached = _digest(rows, adapted, batch_size, dtype), self._by_digest
        if key not in cached:
            cached[key] = encode_batches(
                rows, adapted, encoder, batch_size=batch_size, pad_token_id=pad_token_id, dtype=dtype
            )
        cached.move_to_end(key)
        while sum(output.nbytes for outputs in cached.values() for output in outputs) > self._limit:
            cached.popitem(last=False)
        return [replace(row, encoder_output=output) for row, output in zip(rows, cached[key], strict=True)]


def is_frozen(adapted: AdaptedModel, dtype: Dtype) -> bool:
    """Return whether the encoder's output depends on nothing that the method trains."""
    encoder = adapted.family.encoder
    if adapted.prompt_ids or encoder is None:
        return False
    # autograd knows: the output of a frozen encoder needs no gradient
    model = adapted.model
    ids = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad(), autocast(model.device, dtype):
            return not encoder.encode(ids, torch.ones_like(ids)).requires_grad
    finally:
        model.train(was_training)


def encode_batches(
    rows: Sequence[Encoded],
    adapted: AdaptedModel,
    encoder: Encoder,
    *,
    batch_size: int,
    pad_token_id: int,
    dtype: Dtype,
) -> list[Tensor]:
    """Return the encoder output of each row, a prepended soft prompt included: [P + S, H].

    They are in the precision of products, which alone read them. The model is in evaluation mode afterwards.
    """
    model, prompt_ids = adapted.model, adapted.prompt_ids
    model.eval()
    found: dict[int, Tensor] = {}
    for batch in min_padding_batches([len(row.input_ids) for row in rows], batch_size):
        chosen = [rows[row] for row in batch]
        inputs = collate(chosen, prompt_ids=prompt_ids, pad_token_id=pad_token_id, device=model.device)
        mask = inputs["attention_mask"]
        with autocast(model.device, dtype):
            outputs = encoder.encode(inputs["input_ids"], mask)
        # copies without the padding, so that the padded batch can be freed
        lengths = mask.sum(dim=1).tolist()
        found |= {
            row: output[:n].to(getattr(torch, dtype), copy=True)
            for row, output, n in zip(batch, outputs, lengths, strict=True)
        }
    return [found[row] for row in range(len(rows))]


def _digest(rows: Sequence[Encoded], adapted: AdaptedModel, batch_size: int, dtype: Dtype) -> bytes:
    """Return a digest of all that the outputs depend on: rows, batches, precision and encoder weights."""
    digest = hashlib.blake2b(f"{batch_size}/{dtype}".encode())
    for row in rows:
        digest.update(repr(row.input_ids).encode())
    for tensor in adapted.family.reader.state_dict().values():
        digest.update(tensor.contiguous().view(torch.uint8).cpu().numpy())
    return digest.digest()
