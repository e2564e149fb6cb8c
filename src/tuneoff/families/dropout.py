"""Where a stack has its dropout rates, by the names that transformers gives to them."""

from collections.abc import Iterable, Iterator

from torch import nn

_RATES = ("dropout", "activation_dropout", "attention_dropout", "dropout_rate", "attn_dropout")
"""Names of attributes that hold a dropout rate."""


def dropout_rates(modules: Iterable[nn.Module]) -> Iterator[tuple[nn.Module, str]]:
    """Yield modules and the names of their attributes that are dropout rates."""
    for module in modules:
        if isinstance(module, nn.Dropout):
            yield module, "p"
        for name in _RATES:
            if isinstance(getattr(module, name, None), int | float):
                yield module, name


def has_dropout(modules: Iterable[nn.Module]) -> bool:
    """Return whether any of the modules uses dropout in training, or leaves out layers (LayerDrop)."""
    modules = list(modules)
    rates = [getattr(module, name) for module, name in dropout_rates(modules)]
    return any(rate > 0 for rate in (*rates, *(getattr(module, "layerdrop", 0.0) for module in modules)))
