"""BitFit (Ben Zaken et al. 2022, arXiv:2106.10199): the biases of a model are trained, and nothing else."""

from typing import final

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from tuneoff.errors import UnfitError
from tuneoff.families import Family
from tuneoff.methods.adapter import Adapter
from tuneoff.spec import BiasSpec


@final
class BiasAdapter(Adapter):
    """All biases of a model, those of normalization layers and of the head included."""

    def __init__(self, spec: BiasSpec, biases: dict[str, nn.Parameter]) -> None:
        super().__init__(spec)
        self._biases = biases
        self._base = {name: bias.detach().clone() for name, bias in biases.items()}

    def parameters(self) -> list[nn.Parameter]:  # noqa: D102
        return list(self._biases.values())

    def stored(self) -> dict[str, Tensor]:  # noqa: D102
        return {name: bias.detach() for name, bias in self._biases.items()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:  # noqa: D102
        for name, bias in self._biases.items():
            bias.copy_(tensors[name])

    def fold(self) -> None:  # noqa: D102
        pass

    def deployed(self) -> int:
        """Return 0: the base has as many biases."""
        return 0

    def merge(self) -> None:
        """Do nothing: the biases are the model's own."""

    def detach(self) -> None:
        """Restore the base's biases."""
        self.restore(self._base)


def attach(
    family: Family,
    spec: BiasSpec,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> BiasAdapter:
    """Make the biases of the model trainable.

    Raises:
        UnfitError: the model has none.
    """
    model = family.model
    biases = {name: one for name, one in model.named_parameters() if name.rpartition(".")[2] == "bias"}
    if not biases:
        raise UnfitError(
            f"kind: bias trains the biases of a model, but {type(model).__name__} has none; kind: ln_tuning "
            "trains its normalization layers"
        )
    for bias in biases.values():
        bias.requires_grad_(True)
    return BiasAdapter(spec, biases)
