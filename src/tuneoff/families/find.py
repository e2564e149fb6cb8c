"""Find the family of a model."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from tuneoff.errors import ModelError, shown
from tuneoff.families import bart, causal_models, other, t5
from tuneoff.families.family import Architecture, Family

_ARCHITECTURES = {
    architecture.model_type: architecture
    for architecture in (
        *t5.ARCHITECTURES,
        *bart.ARCHITECTURES,
        *causal_models.ARCHITECTURES,
        *other.ARCHITECTURES,
    )
}


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


class RandomModel(NamedTuple):
    """How to make a builtin model with random weights."""

    model_type: str
    config: Callable[..., PreTrainedConfig]
    """A function of `vocab_size`, `pad_token_id` and `eos_token_id`."""

    @property
    def ends_input(self) -> bool:
        """As in `Architecture`."""
        return architecture_of(self.model_type).ends_input

    def model(self, *, vocab_size: int, pad_token_id: int, eos_token_id: int) -> PreTrainedModel:
        """Return the model, the same at every call, in evaluation mode."""
        config = self.config(vocab_size=vocab_size, pad_token_id=pad_token_id, eos_token_id=eos_token_id)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = architecture_of(self.model_type).model(config)
        return model.eval()


RANDOM_MODELS = {
    "random": RandomModel("t5", t5.random_config),
    "random-bart": RandomModel("bart", bart.random_config),
    "random-llama": RandomModel("llama", causal_models.random_config),
}
"""By the names of the builtin models."""
