"""Bottleneck adapters."""

from typing import ClassVar, Literal

from pydantic import PositiveFloat

from tuneoff.spec.base import Size
from tuneoff.spec.methods.base import GATED, TunedSpec

_PLACES = {
    "houlsby": "after every attention and feed-forward network",
    "pfeiffer": "after every feed-forward network",
    "parallel": "beside every feed-forward network",
}


class BottleneckSpec(TunedSpec):
    """Small networks of two linear layers within every layer of the model (Houlsby et al. 2019)."""

    implementation: ClassVar[str] = "tuneoff.methods.bottleneck"
    source: ClassVar[str] = (
        "Houlsby et al. 2019, Parameter-efficient transfer learning for NLP, arXiv:1902.00751; "
        "Pfeiffer et al. 2021, AdapterFusion: non-destructive task composition for transfer learning, "
        "arXiv:2005.00247; He et al. 2022, Towards a unified view of parameter-efficient transfer learning, "
        "arXiv:2110.04366"
    )

    kind: Literal["adapter"]
    learning_rate: PositiveFloat = 1e-3
    placement: Literal["houlsby", "pfeiffer", "parallel"] = "pfeiffer"
    """After every attention and feed-forward network; after the latter alone; or beside it, reading what it
    reads."""
    reduction: Size = 16
    """The width of the model divided by that of the adapter, which is 1 at least."""
    activation: Literal["relu", "gelu", "swish"] = "relu"
    """Between its two layers."""
    scale: PositiveFloat | None = None
    """Factor of what an adapter adds; null for 4 beside a network (He et al. 2022) and 1 after one."""
    gate: bool = False
    """Multiplies what an adapter adds to a token by a learned number from 0 to 1, which is computed from
    what the attention or network reads (Mao et al. 2022)."""

    def in_words(self) -> str:  # noqa: D102
        gate = f", {GATED}" if self.gate else ""
        return (
            f"adds adapters of 1/{self.reduction} of the model's width ({self.activation}) "
            f"{_PLACES[self.placement]}{gate}"
        )
