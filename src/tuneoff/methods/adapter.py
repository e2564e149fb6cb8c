"""What a method is once it sits on a model."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import T5ForConditionalGeneration

from tuneoff.spec import Method, Tuned


class Adapter(ABC):
    """One trained part on a model, which keeps its own class and forward signature."""

    prompt_ids: tuple[int, ...] = ()
    """Token ids that every batch carries in front of its inputs."""

    @abstractmethod
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimiser may change."""

    @abstractmethod
    def stored(self) -> dict[str, Tensor]:
        """What is saved: all that is needed to answer as now."""

    @abstractmethod
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Takes on tensors that `stored` gave; only for a folded adapter."""

    @abstractmethod
    def fold(self) -> None:
        """Drops what only training needs; answers stay the same."""

    @abstractmethod
    def deployed(self) -> int:
        """Parameters that the tuned model has beyond the base when it is put to use."""

    @abstractmethod
    def detach(self) -> None:
        """Takes the method off: a base with no trained weight answers as before, bit for bit."""


@dataclass(frozen=True)
class AdaptedModel:
    """A model with the parts of its method."""

    model: T5ForConditionalGeneration
    method: Method
    parts: tuple[tuple[Tuned, Adapter], ...]
    base_parameters: int
    base: Mapping[str, Tensor] | None = None
    """Weights of the base that the method trains, as they were, where `detach` is to put them back."""

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """Token ids that every batch carries in front of its inputs."""
        return tuple(token for _, adapter in self.parts for token in adapter.prompt_ids)

    def parameters(self) -> list[nn.Parameter]:
        """All parameters that the optimiser may change."""
        return [parameter for _, adapter in self.parts for parameter in adapter.parameters()]

    def stored(self) -> dict[str, Tensor]:
        """What is saved, by name."""
        return {
            f"{spec.kind}.{name}": tensor
            for spec, adapter in self.parts
            for name, tensor in adapter.stored().items()
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Takes on tensors that `stored` gave."""
        for spec, adapter in self.parts:
            start = f"{spec.kind}."
            adapter.restore(
                {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}
            )

    def fold(self) -> None:
        """Drops what only training needs; answers stay the same."""
        for _, adapter in self.parts:
            adapter.fold()

    def detach(self) -> None:
        """Takes all parts off, the last one first; trained weights of the base stay unless it was kept."""
        for _, adapter in reversed(self.parts):
            adapter.detach()
        with torch.no_grad():
            for name, value in (self.base or {}).items():
                self.model.get_parameter(name).copy_(value)
        self.model.requires_grad_(True)
