"""The feed-forward of T5 without casts that the next product undoes.

transformers' modules turn the input of the last product to the type of its weight. Under autocast a weight
that is trained is in float32 and its product in bfloat16: all elements would be written twice, forward and
backward.
"""

from typing import Any, cast, final

from torch import Tensor, nn

from tuneoff.kernels.autocast import autocast_dtype

_NAMES = {
    f"{model}{kind}" for model in ("T5", "MT5", "UMT5") for kind in ("DenseActDense", "DenseGatedActDense")
}
"""Classes of transformers, by name so that none is imported."""


def is_feed_forward(module: nn.Module) -> bool:
    """Return whether `FeedForward` can take the place of a module."""
    return type(module).__name__ in _NAMES


@final
class FeedForward(nn.Module):
    """A module in place of one of transformers', with its parts under their names."""

    act: Any
    dropout: Any
    wi: Any
    wi_0: Any
    wi_1: Any
    wo: Any

    def __init__(self, module: Any) -> None:
        super().__init__()
        for name, part in module.named_children():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        """`x`: [..., H] -> [..., H]."""
        is_gated = hasattr(self, "wi_0")
        inner = self.act(self.wi_0(x)) * self.wi_1(x) if is_gated else self.act(self.wi(x))
        inner = self.dropout(inner)
        if autocast_dtype(x.device) is None and self.wo.weight.is_floating_point():
            inner = inner.to(self.wo.weight.dtype)
        return cast(Tensor, self.wo(inner))
