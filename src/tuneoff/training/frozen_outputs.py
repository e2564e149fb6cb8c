"""The output of the frozen part of a model, computed once for all epochs, evaluations and runs of a session.

If a method trains nothing that the output of an encoder depends on, that output is constant for a row: always
in evaluation, and in training if the study sets the encoder's dropout to 0
(`dropout: {encoder: 0.0, attention: 0.0}`). So is that of a decoder-only model's layers below all that is
trained, in training alone: evaluation needs what their attention keeps, which is many times as large.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tuneoff.families import FrozenPart, without_dropout
from tuneoff.methods import AdaptedModel
from tuneoff.training.batches import Encoded, collate, min_padding_batches
from tuneoff.training.precision import Dtype, autocast

LIMIT = 2**30
"""Bytes of outputs that a session caches; a set of rows that needs more is read at every use."""


@dataclass(frozen=True)
class Reader:
    """A part of a model that reads rows, and how."""

    adapted: AdaptedModel
    part: FrozenPart
    batch_size: int
    pad_token_id: int
    dtype: Dtype

    @property
    def kept_dtype(self) -> torch.dtype:
        """Return the precision in which the part's output can be kept."""
        rounded: torch.dtype = getattr(torch, self.dtype)
        return rounded if self.part.is_read_by_products_alone else torch.float32

    def whole(self, row: Encoded) -> Encoded:
        """Return the row with all tokens that the part reads in training as its input."""
        given = row.labels[:-1] if self.part.reads_target else ()
        return replace(row, input_ids=[*row.input_ids, *given])

    def outputs(self, rows: Sequence[Encoded]) -> list[Tensor]:
        """Return the part's output for the input of each row, a prepended soft prompt included: [P + S, H].

        The model is in evaluation mode afterwards.
        """
        model, prompt_ids = self.adapted.model, self.adapted.prompt_ids
        model.eval()
        found: dict[int, Tensor] = {}
        for batch in min_padding_batches([len(row.input_ids) for row in rows], self.batch_size):
            chosen = [rows[row] for row in batch]
            inputs = collate(
                chosen, prompt_ids=prompt_ids, pad_token_id=self.pad_token_id, device=model.device
            )
            mask = inputs["attention_mask"]
            with autocast(model.device, self.dtype):
                outputs = self.part.encode(inputs["input_ids"], mask)
            # copies without the padding, so that the padded batch can be freed
            lengths = mask.sum(dim=1).tolist()
            found |= {
                row: output[:n].to(self.kept_dtype, copy=True)
                for row, output, n in zip(batch, outputs, lengths, strict=True)
            }
        return [found[row] for row in range(len(rows))]

    def digest(self, rows: Sequence[Encoded]) -> bytes:
        """Return a digest of all that the outputs depend on: rows, batches, precision and weights."""
        # the batch size, since padding changes the last bits: a run's numbers must not depend on which run
        # filled a cache
        digest = hashlib.blake2b(f"{self.batch_size}/{self.dtype}".encode())
        for row in rows:
            digest.update(repr(row.input_ids).encode())
        for tensor in self.part.tensors():
            digest.update(tensor.contiguous().view(torch.uint8).cpu().numpy().data)
        return digest.digest()


class FrozenOutputs:
    """A least-recently-used cache of the outputs of frozen parts, by sets of rows."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._by_digest: OrderedDict[bytes, list[Tensor]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of sets of rows in the cache."""
        return len(self._by_digest)

    @torch.no_grad()
    def added_to(self, rows: Sequence[Encoded], reader: Reader) -> Sequence[Encoded]:
        """Return the rows with the reader's outputs, [S, H] each.

        They come back unchanged if their outputs exceed the limit.
        """
        read = [reader.whole(row) for row in rows]
        width = reader.adapted.family.reader.config.hidden_size
        size = sum(len(row.input_ids) for row in read) * width * reader.kept_dtype.itemsize
        if size > self._limit or not rows:
            return rows
        key, cached = reader.digest(read), self._by_digest
        if key not in cached:
            cached[key] = reader.outputs(read)
        cached.move_to_end(key)
        while sum(output.nbytes for outputs in cached.values() for output in outputs) > self._limit:
            cached.popitem(last=False)
        return [replace(row, frozen_output=output) for row, output in zip(rows, cached[key], strict=True)]


def frozen_part(adapted: AdaptedModel, dtype: Dtype) -> FrozenPart | None:
    """Return the part of the model that a row passes before all that the method trains, if there is one."""
    if adapted.prompt_ids:
        return None
    with without_dropout(adapted.model), autocast(adapted.model.device, dtype):
        return adapted.family.frozen_part()
