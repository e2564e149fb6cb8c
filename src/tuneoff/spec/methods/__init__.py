"""Methods: ways of fine-tuning, and their settings."""

from tuneoff.spec.methods.base import NoneSpec, TunedSpec
from tuneoff.spec.methods.bottleneck import BottleneckSpec
from tuneoff.spec.methods.full import FullSpec
from tuneoff.spec.methods.kinds import KINDS, Method, StackSpec, attach_order, tuned_parts
from tuneoff.spec.methods.lora import LoraSpec
from tuneoff.spec.methods.prefix import PrefixSpec, Site
from tuneoff.spec.methods.prompt import PromptSpec

__all__ = [
    "KINDS",
    "BottleneckSpec",
    "FullSpec",
    "LoraSpec",
    "Method",
    "NoneSpec",
    "PrefixSpec",
    "PromptSpec",
    "Site",
    "StackSpec",
    "TunedSpec",
    "attach_order",
    "tuned_parts",
]
