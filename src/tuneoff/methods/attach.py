"""Putting a method on a model."""

from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, T5ForConditionalGeneration

from tuneoff.methods import full, lora, prefix, prompt
from tuneoff.methods.adapter import AdaptedModel
from tuneoff.spec import FullSpec, Method, tuned_parts

# in the order of attaching: LoRA must not find the linear layers of a prefix's projection
ATTACH: dict[str, Any] = {
    "full": full.attach,
    "lora": lora.attach,
    "prefix": prefix.attach,
    "prompt": prompt.attach,
}


def attach(
    model: T5ForConditionalGeneration,
    method: Method,
    *,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
    removable: bool = False,
) -> AdaptedModel:
    """The model with the method on it; the base's weights are frozen unless the method trains them.

    `generator` gives the initial weights; `tokenizer` is needed by inits from text or vocabulary.
    `removable` keeps a copy of the weights that full fine-tuning trains, for `AdaptedModel.detach`.

    Raises:
        StudyError: the method does not fit the model.
    """
    base_parameters = sum(parameter.numel() for parameter in model.parameters())
    model.requires_grad_(False)
    order = list(ATTACH)
    specs = sorted(tuned_parts(method), key=lambda spec: order.index(spec.kind))
    parts = tuple((spec, ATTACH[spec.kind](model, spec, generator, tokenizer)) for spec in specs)
    trains_base = removable and any(isinstance(spec, FullSpec) for spec in specs)
    base = {name: value.detach().clone() for name, value in model.named_parameters()} if trains_base else None
    return AdaptedModel(model, method, parts, base_parameters, base)
