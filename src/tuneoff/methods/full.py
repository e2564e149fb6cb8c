"""Full fine-tuning: every weight of the model is trained."""

from typing import final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tuneoff.errors import StudyError
from tuneoff.families import Family
from tuneoff.kernels import is_quantized
from tuneoff.methods.adapter import Adapter
from tuneoff.spec import FullSpec


@final
class FullAdapter(Adapter):
    """All weights of the model."""

    def __init__(self, spec: FullSpec, model: PreTrainedModel) -> None:
        super().__init__(spec)
        self._model = model

    def parameters(self) -> list[nn.Parameter]:  # noqa: D102
        return list(self._model.parameters())

    def stored(self) -> dict[str, Tensor]:  # noqa: D102
        return {name: value.detach() for name, value in self._model.named_parameters()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:  # noqa: D102
        for name, parameter in self._model.named_parameters():
            parameter.copy_(tensors[name])

    def fold(self) -> None:  # noqa: D102
        pass

    def deployed(self) -> int:  # noqa: D102
        return 0

    def merge(self) -> None:
        """Do nothing: the weights are the method."""

    def detach(self) -> None:
        """Do nothing: `AdaptedModel.detach` restores the base's weights where it has a copy."""


def attach(
    family: Family,
    spec: FullSpec,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> FullAdapter:
    """Make the model's own weights trainable.

    Raises:
        StudyError: they are quantized.
    """
    if is_quantized(family.model):
        raise StudyError(
            "kind: full trains every weight of the model, but quantized weights cannot be trained; leave out "
            "model.quantization, or the method"
        )
    family.model.requires_grad_(True)
    return FullAdapter(spec, family.model)
