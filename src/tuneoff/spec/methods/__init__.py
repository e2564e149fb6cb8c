"""Methods: ways of fine-tuning, and their settings."""

from tuneoff.spec.methods.base import NoneSpec, TunedSpec
from tuneoff.spec.methods.bias import BiasSpec
from tuneoff.spec.methods.bottleneck import BottleneckSpec
from tuneoff.spec.methods.full import FullSpec
from tuneoff.spec.methods.kinds import KINDS, Method, StackSpec, attach_order, tuned_parts
from tuneoff.spec.methods.lora import LoraSpec
from tuneoff.spec.methods.peft import (
    AdaloraSpec,
    DoraSpec,
    Ia3Spec,
    LnTuningSpec,
    OftSpec,
    PeftKind,
    PeftSpec,
    PissaSpec,
    RsloraSpec,
    VeraSpec,
)
from tuneoff.spec.methods.prefix import PrefixSpec, Site
from tuneoff.spec.methods.prompt import PromptSpec

__all__ = [
    "KINDS",
    "AdaloraSpec",
    "BiasSpec",
    "BottleneckSpec",
    "DoraSpec",
    "FullSpec",
    "Ia3Spec",
    "LnTuningSpec",
    "LoraSpec",
    "Method",
    "NoneSpec",
    "OftSpec",
    "PeftKind",
    "PeftSpec",
    "PissaSpec",
    "PrefixSpec",
    "PromptSpec",
    "RsloraSpec",
    "Site",
    "StackSpec",
    "TunedSpec",
    "VeraSpec",
    "attach_order",
    "tuned_parts",
]
