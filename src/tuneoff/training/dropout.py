"""Dropout rates that a study sets in place of the model's own."""

from torch import nn
from transformers import T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

from tuneoff.spec import DropoutSpec


def set_dropout(model: T5ForConditionalGeneration, spec: DropoutSpec) -> None:
    """Set the dropout rates that the spec names, in place; others stay."""
    for stack, rate in ((model.encoder, spec.encoder), (model.decoder, spec.decoder)):
        attention_rate = rate if spec.attention is None else spec.attention
        for module in stack.modules():
            if isinstance(module, nn.Dropout) and rate is not None:
                module.p = rate
            if isinstance(module, T5Attention) and attention_rate is not None:
                module.dropout = attention_rate


def has_dropout(stack: nn.Module) -> bool:
    """Return whether a stack uses dropout in training."""
    return any(
        (isinstance(module, nn.Dropout) and module.p > 0)
        or (isinstance(module, T5Attention) and module.dropout > 0)
        for module in stack.modules()
    )
