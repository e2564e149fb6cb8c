"""What modules of a model compute in a forward pass."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tuneoff.spec import Site

KeyAndValue = tuple[nn.Module, nn.Module]
"""The layers of one attention that compute its keys and its values."""


@torch.no_grad()
def key_values_of_text(
    model: PreTrainedModel, ids: Tensor, layers: Mapping[Site, Sequence[KeyAndValue]], *, head_dim: int
) -> dict[Site, Tensor]:
    """Return the keys and values of one text that is the input and the target, `ids` [1, P].

    Of each site: [L, 2, P, heads, head_dim]. Dropout is off.
    """
    modules = [module for pairs in layers.values() for pair in pairs for module in pair]
    with without_dropout(model), recorded(modules) as outputs:
        model(input_ids=ids, decoder_input_ids=ids, use_cache=False)
    found: dict[Site, Tensor] = {}
    for site, pairs in layers.items():
        stacked = torch.stack([torch.cat([outputs[key], outputs[value]]) for key, value in pairs])
        found[site] = stacked.view(len(pairs), 2, ids.shape[1], -1, head_dim)
    return found


@contextmanager
def recorded(modules: Iterable[nn.Module]) -> Iterator[dict[nn.Module, Any]]:
    """Record the outputs of modules in the forward passes of the context."""
    outputs: dict[nn.Module, Any] = {}

    def record(module: nn.Module, inputs: object, output: Any) -> None:
        outputs[module] = output

    handles = [module.register_forward_hook(record) for module in modules]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode for the context."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
