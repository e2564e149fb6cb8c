"""Find the family of a model."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedModel

from tuneoff.errors import ModelError, shown
from tuneoff.families import causal_models, t5
from tuneoff.families.family import Architecture, Family

_ARCHITECTURES = {
    architecture.model_type: architecture for architecture in (t5.ARCHITECTURE, *causal_models.ARCHITECTURES)
}


class RandomModel(NamedTuple):
    """How to make a builtin model with random weights."""

    model: Callable[..., PreTrainedModel]
    """A function of `vocab_size`, `pad_token_id` and `eos_token_id`."""
    ends_input: bool
    """As in `Architecture`."""


RANDOM_MODELS = {
    "random": RandomModel(t5.random_model, ends_input=t5.ARCHITECTURE.ends_input),
    "random-llama": RandomModel(causal_models.random_llama, ends_input=False),
}
"""By the names of the builtin models."""


def architecture_of(model_type: object, *, place: Path | None = None) -> Architecture:
    """Return the architecture with a `model_type`; `place` is the file that names it.

    Raises:
        ModelError: no family has this type.
    """
    if isinstance(model_type, str) and model_type in _ARCHITECTURES:
        return _ARCHITECTURES[model_type]
    where = f" in '{place}'" if place else ""
    raise ModelError(
        f"a model must be of a known family, but the model_type{where} is {shown(model_type)}; give one of "
        f"model_type {', '.join(_ARCHITECTURES)}, or model: {{id: builtin:tiny}}"
    )


def family_of(model: PreTrainedModel) -> Family:
    """Return a model as one of its family.

    Raises:
        ModelError: no family has this type of model.
    """
    return architecture_of(model.config.model_type).family(model)
