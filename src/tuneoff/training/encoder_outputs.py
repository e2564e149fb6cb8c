"""A frozen encoder's output, computed once for all epochs, evaluations and runs of a session.

Where a method trains nothing that the encoder's output depends on, that output is a constant of the
row: always in evaluation, and in training where the study switches the encoder's dropout off
(`dropout: {encoder: 0.0, attention: 0.0}`; with dropout every epoch sees another output).
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tuneoff.methods import AdaptedModel
from tuneoff.training.batches import Encoded, collate, min_padding_batches
from tuneoff.training.precision import Dtype, autocast

LIMIT = 2**30
"""Bytes of encoder outputs that a session keeps; rows that need more are encoded whenever they come up."""


class EncoderOutputs:
    """A cache of encoder outputs; those used last stay."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._by_digest: OrderedDict[bytes, list[Tensor]] = OrderedDict()

    def __len__(self) -> int:
        """How many sets of rows are in the cache."""
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
        """Return the rows with their outputs [S, H], or as they are where the encoder is trained.

        Rows whose outputs take more than the limit stay as they are, too. Batches are the same whoever asks
        first, so that a run's numbers do not depend on the runs before it.
        """
        width = adapted.model.config.d_model
        bytes_each = width * torch.finfo(getattr(torch, dtype)).bits // 8
        size = sum(len(row.input_ids) for row in rows) * bytes_each
        if size > self._limit or not rows or not is_frozen(adapted):
            return rows
        key, known = _digest(rows, adapted, batch_size, dtype), self._by_digest
        if key not in known:
            known[key] = encode_batches(
                rows, adapted, batch_size=batch_size, pad_token_id=pad_token_id, dtype=dtype
            )
        known.move_to_end(key)
        while sum(output.nbytes for outputs in known.values() for output in outputs) > self._limit:
            known.popitem(last=False)
        return [replace(row, encoder_output=output) for row, output in zip(rows, known[key], strict=True)]


def is_frozen(adapted: AdaptedModel) -> bool:
    """Return whether the encoder's output depends on nothing that the method trains."""
    if adapted.prompt_ids:
        return False
    model = adapted.model
    ids = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            return not model.encoder(input_ids=ids).last_hidden_state.requires_grad
    finally:
        model.train(was_training)


def encode_batches(
    rows: Sequence[Encoded], adapted: AdaptedModel, *, batch_size: int, pad_token_id: int, dtype: Dtype
) -> list[Tensor]:
    """Return the encoder's output for each row, with a soft prompt before it: [P + S, H].

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
            outputs = model.encoder(input_ids=inputs["input_ids"], attention_mask=mask).last_hidden_state
        lengths = mask.sum(dim=1).tolist()
        found |= {row: output[:n].clone() for row, output, n in zip(batch, outputs, lengths, strict=True)}
    return [found[row] for row in range(len(rows))]


def _digest(rows: Sequence[Encoded], adapted: AdaptedModel, batch_size: int, dtype: Dtype) -> bytes:
    """Return a digest of all that the outputs depend on: rows, batches, precision, the encoder's weights."""
    digest = hashlib.blake2b(f"{batch_size}/{dtype}".encode())
    for row in rows:
        digest.update(repr(row.input_ids).encode())
    for tensor in adapted.model.encoder.state_dict().values():
        digest.update(tensor.contiguous().view(torch.uint8).cpu().numpy())
    return digest.digest()
