"""Attaching a method to a model."""

from importlib import import_module

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tuneoff.families import Family, family_of
from tuneoff.kernels import parameter_count
from tuneoff.methods.adapter import AdaptedModel, Adapter
from tuneoff.spec import FullSpec, Method, StackSpec, TunedSpec, attach_order, tuned_parts


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
    base_parameters, base_bytes = parameter_count(model), model.get_memory_footprint()
    base = None
    if removable and isinstance(method, FullSpec):
        base = {name: value.detach().clone() for name, value in model.named_parameters()}
    model.requires_grad_(False)
    parts = tuple(
        _attached(family, spec, generator, tokenizer)
        for spec in sorted(tuned_parts(method), key=attach_order)
    )
    return AdaptedModel(family, _complete(method, parts), parts, base_parameters, base_bytes, base)


def _attached(
    family: Family,
    spec: TunedSpec,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> Adapter:
    adapter: Adapter = import_module(spec.implementation).attach(family, spec, generator, tokenizer)
    return adapter


def _complete(method: Method, parts: tuple[Adapter, ...]) -> Method:
    """Return the method with what its parts have filled in."""
    complete = {part.spec.kind: part.spec for part in parts}
    if isinstance(method, StackSpec):
        return method.model_copy(update={"parts": tuple(complete[part.kind] for part in method.parts)})
    return complete.get(method.kind, method)
