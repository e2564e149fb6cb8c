"""A frozen encoder's output, computed once for all epochs, evaluations and runs of a process.

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
from tuneoff.training.batches import Encoded, collate, of_close_lengths
from tuneoff.training.precision import Dtype, autocast

LIMIT = 2**30
"""Bytes of states that a process keeps; rows that need more are encoded whenever they come up."""
_kept: OrderedDict[bytes, list[Tensor]] = OrderedDict()


@torch.no_grad()
def with_states(
    rows: Sequence[Encoded], adapted: AdaptedModel, *, batch_size: int, pad_token_id: int, dtype: Dtype
) -> Sequence[Encoded]:
    """The rows with their states [S, H], or as they are where the encoder is trained or they take too much.

    Batches are the same whoever asks first, so that a run's numbers do not depend on the runs before it.
    """
    width = adapted.model.config.d_model
    size = sum(len(row.input_ids) for row in rows) * width * torch.finfo(getattr(torch, dtype)).bits // 8
    if size > LIMIT or not rows or not is_frozen(adapted):
        return rows
    key = _digest(rows, adapted, batch_size, dtype)
    if key not in _kept:
        _kept[key] = encodings(rows, adapted, batch_size=batch_size, pad_token_id=pad_token_id, dtype=dtype)
    _kept.move_to_end(key)
    while sum(state.nbytes for kept in _kept.values() for state in kept) > LIMIT:
        _kept.popitem(last=False)
    return [replace(row, states=state) for row, state in zip(rows, _kept[key], strict=True)]


def is_frozen(adapted: AdaptedModel) -> bool:
    """Whether the encoder's output depends on nothing that the method trains."""
    if adapted.prompt_ids:
        return False
    ids = torch.zeros(1, 1, dtype=torch.long, device=adapted.model.device)
    adapted.model.eval()
    with torch.enable_grad():
        return not adapted.model.encoder(input_ids=ids).last_hidden_state.requires_grad


def encodings(
    rows: Sequence[Encoded], adapted: AdaptedModel, *, batch_size: int, pad_token_id: int, dtype: Dtype
) -> list[Tensor]:
    """The encoder's output for each row, a soft prompt in front: [P + S, H]."""
    model, prompt_ids = adapted.model, adapted.prompt_ids
    found: dict[int, Tensor] = {}
    for batch in of_close_lengths([len(row.input_ids) for row in rows], batch_size):
        chosen = [rows[row] for row in batch]
        inputs = collate(chosen, prompt_ids=prompt_ids, pad_token_id=pad_token_id, device=model.device)
        mask = inputs["attention_mask"]
        with autocast(model.device, dtype):
            states = model.encoder(input_ids=inputs["input_ids"], attention_mask=mask).last_hidden_state
        lengths = mask.sum(dim=1).tolist()
        found |= {row: state[:n].clone() for row, state, n in zip(batch, states, lengths, strict=True)}
    return [found[row] for row in range(len(rows))]


def _digest(rows: Sequence[Encoded], adapted: AdaptedModel, batch_size: int, dtype: Dtype) -> bytes:
    """Of all that the states depend on: rows, batches, precision, and the encoder's weights."""
    digest = hashlib.blake2b(f"{batch_size}/{dtype}".encode())
    for row in rows:
        digest.update(repr(row.input_ids).encode())
    for tensor in adapted.model.encoder.state_dict().values():
        digest.update(tensor.contiguous().view(torch.uint8).cpu().numpy())
    return digest.digest()
