"""Hybrids as they were published: stacks whose parts have settings of their own.

A study names one by its kind and gives what differs under the kind of a part; it is read as the stack.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from tuneoff.spec.base import Spec
from tuneoff.spec.methods.base import TunedSpec
from tuneoff.spec.methods.bottleneck import BottleneckSpec
from tuneoff.spec.methods.lora import LoraSpec
from tuneoff.spec.methods.prefix import PrefixSpec


class PresetSpec(Spec):
    """A stack with a name. A subclass has a field for each part, named by the part's kind."""

    settings: ClassVar[Mapping[str, Mapping[str, Any]]]
    """From each part to the settings that are not its kind's defaults."""

    kind: str

    @model_validator(mode="before")
    @classmethod
    def _with_settings(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        given = {part: value.get(part, {}) for part in cls.settings}
        return value | {
            part: {"kind": part, **cls.settings[part], **own} if isinstance(own, dict) else own
            for part, own in given.items()
        }

    def parts(self) -> tuple[TunedSpec, ...]:
        """Return the parts of the stack."""
        return tuple(getattr(self, part) for part in self.settings)


class MamSpec(PresetSpec):
    """MAM adapter (He et al. 2022, arXiv:2110.04366): a prefix of 30 by an MLP, and a parallel adapter.

    The widths are those of AdapterHub's MAMConfig.
    """

    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {"prefix": {"length": 30, "projection": 800}, "adapter": {"placement": "parallel", "reduction": 2}}
    )

    kind: Literal["mam"]
    prefix: PrefixSpec
    adapter: BottleneckSpec


class UnipeltSpec(PresetSpec):
    """UniPELT (Mao et al. 2022, arXiv:2110.07577): LoRA, a prefix of 10 by an MLP, and an adapter, all gated.

    Each layer of LoRA has a gate of its own, which reads what the layer reads; in the paper the layers of an
    attention share one. What `gate` is in a prefix: methods/prefix.py.
    """

    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {
            "lora": {"gate": True},
            "prefix": {"length": 10, "projection": 512, "gate": True},
            "adapter": {"gate": True},
        }
    )

    kind: Literal["unipelt"]
    lora: LoraSpec
    prefix: PrefixSpec
    adapter: BottleneckSpec
