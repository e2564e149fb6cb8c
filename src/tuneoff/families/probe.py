"""Where the attention of a model is, found by a forward pass over a few tokens."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tuneoff import kernels
from tuneoff.families.listening import without_dropout
from tuneoff.families.sublayers import layers_of
from tuneoff.spec import Site

TOKENS = ([5, 6, 7, 8, 9, 10], [5, 6, 7])
"""An input and a target, of different lengths to distinguish the attentions of a decoder."""
_NAME = "tuneoff_probe"


class Call(NamedTuple):
    """A call of the attention function, as the probe saw it."""

    module: nn.Module
    key: Tensor
    value: Tensor


@torch.no_grad()
def found_attentions(model: Any) -> dict[Site, list[Call]]:
    """Find the attentions that can carry a prefix, by a forward pass over a few tokens.

    A site is found if every layer of its stack calls the model's attention function with what a hook passed
    to the attention module, and if the model computes with this function what it computes with its own.
    """
    source, target = (torch.tensor([ids], device=model.device) for ids in TOKENS)
    try:
        seen = attention_calls(model, source, target)
    except (TypeError, ValueError, RuntimeError):  # the attention needs something that the function lacks
        return {}
    stacks = {"encoder": model.get_encoder(), "decoder": model.get_decoder()}
    found: dict[Site, list[Call]] = {"encoder": [], "decoder": [], "cross": []}
    inside = set(stacks["encoder"].modules())
    for call in seen:
        if call.module in inside:
            found["encoder"].append(call)
        else:
            found["cross" if call.key.shape[2] == source.shape[1] else "decoder"].append(call)
    layers = {site: layers_of(stacks["encoder" if site == "encoder" else "decoder"]) for site in found}
    return {site: calls for site, calls in found.items() if len(calls) == len(layers[site])}


def attention_calls(model: Any, source: Tensor, target: Tensor) -> list[Call]:
    """Return the calls of the attention function in a pass over one text, `source` [1, S], `target` [1, T].

    There are none if the outputs differ from those of the model's own attention.
    """
    inputs = {"input_ids": source, "decoder_input_ids": target, "use_cache": False}
    with without_dropout(model):
        expected = model(**inputs).logits
        before = kernels.use_attention(model, _record, name=_NAME)
        calls: list[Call] = []
        try:
            model(**inputs)
            modules = [module for module in model.modules() if "probed" in module.__dict__]
            handles = [
                module.register_forward_pre_hook(partial(_mark, calls), with_kwargs=True)
                for module in modules
            ]
            try:
                logits = model(**inputs).logits
            finally:
                for handle in handles:
                    handle.remove()
        finally:
            model.set_attn_implementation(before)
            for module in model.modules():
                module.__dict__.pop("probed", None)
    is_same = torch.allclose(logits, expected, rtol=1e-3, atol=1e-3)
    return calls if is_same else []


def _record(module: nn.Module, *args: Any, prefix: list[Call] | None = None, **kwargs: Any) -> Any:
    """Compute attention as `kernels.attend` does; mark the module as probed, and note the call for a hook."""
    module.__dict__["probed"] = True
    if prefix is not None:
        _, key, value = args[:3]
        prefix.append(Call(module, key, value))
    return kernels.attend(module, *args, **kwargs)


def _mark(calls: list[Call], module: nn.Module, inputs: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    return inputs, kwargs | {"prefix": calls}
