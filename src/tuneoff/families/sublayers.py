"""Where the sublayers of a model's layers are, by the names that transformers gives to their last layers."""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from torch import nn

from tuneoff.errors import UnfitError

_ATTENTION_ENDS = frozenset({"o", "o_proj", "out_proj", "c_proj", "dense", "output"})
_FFN_ENDS = frozenset({"wo", "fc2", "c_proj", "down_proj", "dense_4h_to_h"})


class Sublayer(NamedTuple):
    """An attention or a feed-forward network (ffn), whose output is added to what goes past it."""

    kind: Literal["attention", "ffn"]
    reads: nn.Module
    """The module that gets the sublayer's input [..., H], after the norm where that comes first. It is the
    first argument, or `hidden_states`."""
    ends: nn.Module
    """The linear layer that projects back to the model's width."""


def layers_of(stack: nn.Module) -> nn.ModuleList:
    """Return the layers of a stack."""
    return next(child for child in stack.children() if isinstance(child, nn.ModuleList))


def found_sublayers(layers: Iterable[nn.Module]) -> list[Sublayer]:
    """Return the sublayers of layers, in their order.

    Raises:
        UnfitError: a layer is not attentions and one feed-forward network with names that are known.
    """
    found: list[Sublayer] = []
    for layer in layers:
        here = list(_sublayers_of(layer))
        kinds = [sublayer.kind for sublayer in here]
        if kinds.count("ffn") != 1 or "attention" not in kinds:
            raise UnfitError(
                f"an adapter is put after attention and feed-forward network, but in {type(layer).__name__} "
                "they are not where transformers' other models have them; use another method for this model"
            )
        found += here
    return found


def _sublayers_of(layer: nn.Module) -> Iterator[Sublayer]:
    for name, module in layer.named_modules():
        path, _, last = name.rpartition(".")
        owner = layer.get_submodule(path)
        if "att" in path.lower():
            if last in _ATTENTION_ENDS:
                yield Sublayer("attention", owner, module)
        elif last in _FFN_ENDS:
            # BART's feed-forward network has no module of its own
            reads = layer.get_submodule("fc1") if owner is layer else owner
            yield Sublayer("ffn", reads, module)
