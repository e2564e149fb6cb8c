"""Chances of dropout that a study sets in place of the model's own."""

from torch import nn
from transformers import T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

from tuneoff.spec import DropoutSpec


def set_dropout(model: T5ForConditionalGeneration, spec: DropoutSpec) -> None:
    """Changes the chances that the spec names, in the model as it stands."""
    for stack, chance in ((model.encoder, spec.encoder), (model.decoder, spec.decoder)):
        inside = chance if spec.attention is None else spec.attention
        for module in stack.modules():
            if isinstance(module, nn.Dropout) and chance is not None:
                module.p = chance
            if isinstance(module, T5Attention) and inside is not None:
                module.dropout = inside


def has_dropout(stack: nn.Module) -> bool:
    """Whether anything in a stack is dropped in training."""
    return any(
        (isinstance(module, nn.Dropout) and module.p > 0)
        or (isinstance(module, T5Attention) and module.dropout > 0)
        for module in stack.modules()
    )
