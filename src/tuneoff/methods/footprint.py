"""Parameter counts of a method: trained, receiving gradient, stored and deployed."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tuneoff.methods.adapter import AdaptedModel
from tuneoff.results import Footprint


def footprint(adapted: AdaptedModel, batch: Mapping[str, Tensor]) -> Footprint:
    """Count parameters; one backward pass over a batch shows which receive gradient.

    `batch`: input_ids [B, S], attention_mask [B, S], labels [B, T]. Gradients are cleared afterwards.
    """
    parameters = adapted.parameters()
    if parameters:
        hidden = adapted.family.read_and_predict(**batch)
        # any scalar will do, as only the way of its gradient counts
        torch.autograd.backward(adapted.family.logits(hidden).mean())
    reached = [p for p in adapted.model.parameters() if p.grad is not None]
    for parameter in reached:
        parameter.grad = None
    counts = Footprint(
        base=adapted.base_parameters,
        base_bytes=adapted.base_bytes,
        trainable=sum(p.numel() for p in parameters),
        receiving_gradient=sum(p.numel() for p in reached),
        stored=0,
        deployed=sum(part.deployed() for part in adapted.parts),
    )
    return with_stored(counts, adapted)


def with_stored(counts: Footprint, adapted: AdaptedModel) -> Footprint:
    """Return the counts with what is stored now: training may have dropped ranks."""
    stored = adapted.stored().values()
    return counts.model_copy(
        update={
            "stored": sum(tensor.numel() for tensor in stored),
            "stored_bytes": sum(tensor.numel() * tensor.element_size() for tensor in stored),
        }
    )
