"""The output of the frozen part of a model, computed once for all epochs, evaluations and runs of a session.

If a method trains nothing that the output of an encoder depends on, that output is constant for a row: always
in evaluation, and in training if the study sets the encoder's dropout to 0
(`dropout: {encoder: 0.0, attention: 0.0}`). So is that of a decoder-only model's layers below all that is
trained, in training alone: evaluation needs what their attention keeps, which is many times as large.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tuneoff.families import FrozenPart, without_dropout
from tuneoff.methods import AdaptedModel
from tuneoff.training.batches import Encoded, collate, min_padding_batches
from tuneoff.training.precision import Dtype, autocast

LIMIT = 2**30
"""Bytes of outputs that a session caches; a set of rows that needs more is read at every use."""


class FrozenOutputs:
    """A least-recently-used cache of the outputs of frozen parts, by sets of rows."""

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
        part: FrozenPart,
        *,
        batch_size: int,
        pad_token_id: int,
        dtype: Dtype,
    ) -> Sequence[Encoded]:
        """Return the rows with their outputs [S, H] of the frozen part of the model, `part`.

        They come back unchanged if their outputs exceed the limit.
        """
        read = [_whole(row) for row in rows] if part.reads_target else rows
        width = adapted.family.reader.config.hidden_size
        size = sum(len(row.input_ids) for row in read) * width * _kept_dtype(part, dtype).itemsize
        if size > self._limit or not rows:
            return rows
        # the key has the batch size, since padding changes the last bits: a run's numbers must not depend on
        # which run filled the cache
        key, cached = _digest(read, part, batch_size, dtype), self._by_digest
        if key not in cached:
            cached[key] = encode_batches(
                read, adapted, part, batch_size=batch_size, pad_token_id=pad_token_id, dtype=dtype
            )
        cached.move_to_end(key)
        while sum(output.nbytes for outputs in cached.values() for output in outputs) > self._limit:
            cached.popitem(last=False)
        return [replace(row, frozen_output=output) for row, output in zip(rows, cached[key], strict=True)]


def _whole(row: Encoded) -> Encoded:
    """Return the row with all tokens that training gives it as its input."""
    return replace(row, input_ids=[*row.input_ids, *row.labels[:-1]])


def frozen_part(adapted: AdaptedModel, dtype: Dtype) -> FrozenPart | None:
    """Return the part of the model that a row passes before all that the method trains, if there is one."""
    if adapted.prompt_ids:
        return None
    with without_dropout(adapted.model), autocast(adapted.model.device, dtype):
        return adapted.family.frozen_part()


def encode_batches(
    rows: Sequence[Encoded],
    adapted: AdaptedModel,
    part: FrozenPart,
    *,
    batch_size: int,
    pad_token_id: int,
    dtype: Dtype,
) -> list[Tensor]:
    """Return the output of a part for each row, a prepended soft prompt included: [P + S, H].

    The model is in evaluation mode afterwards.
    """
    model, prompt_ids = adapted.model, adapted.prompt_ids
    model.eval()
    found: dict[int, Tensor] = {}
    for batch in min_padding_batches([len(row.input_ids) for row in rows], batch_size):
        chosen = [rows[row] for row in batch]
        inputs = collate(chosen, prompt_ids=prompt_ids, pad_token_id=pad_token_id, device=model.device)
        mask = inputs["attention_mask"]
        with autocast(model.device, dtype):
            outputs = part.encode(inputs["input_ids"], mask)
        # copies without the padding, so that the padded batch can be freed
        lengths = mask.sum(dim=1).tolist()
        found |= {
            row: output[:n].to(_kept_dtype(part, dtype), copy=True)
            for row, output, n in zip(batch, outputs, lengths, strict=True)
        }
    return [found[row] for row in range(len(rows))]


def _kept_dtype(part: FrozenPart, dtype: Dtype) -> torch.dtype:
    rounded: torch.dtype = getattr(torch, dtype)
    return rounded if part.is_read_by_products_alone else torch.float32


def _digest(rows: Sequence[Encoded], part: FrozenPart, batch_size: int, dtype: Dtype) -> bytes:
    """Return a digest of all that the outputs depend on: rows, batches, precision and weights."""
    digest = hashlib.blake2b(f"{batch_size}/{dtype}".encode())
    for row in rows:
        digest.update(repr(row.input_ids).encode())
    for tensor in part.tensors():
        digest.update(tensor.contiguous().view(torch.uint8).cpu().numpy().data)
    return digest.digest()
