"""Attaching a method to a model."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tuneoff.families import Family, family_of
from tuneoff.methods import full, lora, prefix, prompt
from tuneoff.methods.adapter import AdaptedModel, Adapter, AttachedPart
from tuneoff.spec import FullSpec, LoraSpec, Method, PrefixSpec, StackSpec, tuned_parts

AttachFunction = Callable[[Family, Any, torch.Generator, PreTrainedTokenizerBase | None], Adapter]
"""Its arguments: the model as one of its family, the part's spec, a generator for first weights, and a
tokenizer for some inits."""

# in the order of attaching: LoRA must not find the linear layers of a prefix's projection
ATTACH: dict[str, AttachFunction] = {
    "full": full.attach,
    "lora": lora.attach,
    "prefix": prefix.attach,
    "prompt": prompt.attach,
}


def attach(
    model: PreTrainedModel,
    method: Method,
    *,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
    removable: bool = False,
) -> AdaptedModel:
    """Attach a method to a model; the base's weights are frozen unless the method trains them.

    `generator` draws the first weights; `tokenizer` is needed by inits from text or vocabulary. `removable`
    copies the weights that full fine-tuning trains, for `AdaptedModel.detach`.

    What the method leaves to the model's family is filled in, in `AdaptedModel.method`.

    Raises:
        ModelError: the model is of no known family.
        StudyError: the method does not fit the model.
    """
    family = family_of(model)
    method = _complete(method, family)
    base_parameters = sum(parameter.numel() for parameter in model.parameters())
    model.requires_grad_(False)
    order = list(ATTACH)
    specs = sorted(tuned_parts(method), key=lambda spec: order.index(spec.kind))
    parts = tuple(AttachedPart(spec, ATTACH[spec.kind](family, spec, generator, tokenizer)) for spec in specs)
    base = None
    if removable and any(isinstance(spec, FullSpec) for spec in specs):
        base = {name: value.detach().clone() for name, value in model.named_parameters()}
    return AdaptedModel(family, method, parts, base_parameters, base)


def _complete(method: Method, family: Family) -> Method:
    """Fill in the sites and targets that a method leaves to the model's family."""
    match method:
        case LoraSpec(targets=None):
            return method.model_copy(update={"targets": family.lora_targets})
        case PrefixSpec(sites=None):
            return method.model_copy(update={"sites": family.sites})
        case StackSpec():
            return method.model_copy(
                update={"parts": tuple(_complete(part, family) for part in method.parts)}
            )
        case _:
            return method
