"""A method that is attached to a model."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tuneoff.families import Family
from tuneoff.spec import Method, Tuned


class Adapter(ABC):
    """One trained part on a model, which keeps its own class and forward signature."""

    prompt_ids: tuple[int, ...] = ()
    """Token ids that every batch prepends to its inputs."""

    @abstractmethod
    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters that the optimizer may change."""

    @abstractmethod
    def stored(self) -> dict[str, Tensor]:
        """Return what is saved: all that the tuned model needs beyond the base."""

    @abstractmethod
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Load the tensors returned by `stored`; only for a folded adapter."""

    @abstractmethod
    def fold(self) -> None:
        """Drop what only training needs; outputs stay the same."""

    @abstractmethod
    def deployed(self) -> int:
        """Return the number of parameters added to the base at inference time."""

    @abstractmethod
    def detach(self) -> None:
        """Remove the method from the model.

        Outputs are then bit-identical to those of the base, unless the method trained weights of the base.
        """


class AttachedPart(NamedTuple):
    """A part of a method and its adapter."""

    spec: Tuned
    adapter: Adapter


@dataclass(frozen=True)
class AdaptedModel:
    """A model with the parts of its method: several for a stack, none for zero-shot, else one."""

    family: Family
    method: Method
    parts: tuple[AttachedPart, ...]
    base_parameters: int
    base: Mapping[str, Tensor] | None = None
    """A copy of the base's weights from before training, where `detach` is to restore them."""

    @property
    def model(self) -> PreTrainedModel:
        """The model with the method on it."""
        return self.family.model

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """Token ids that every batch prepends to its inputs."""
        return tuple(token for _, adapter in self.parts for token in adapter.prompt_ids)

    def parameters(self) -> list[nn.Parameter]:
        """Return all parameters that the optimizer may change."""
        return [parameter for _, adapter in self.parts for parameter in adapter.parameters()]

    def stored(self) -> dict[str, Tensor]:
        """Return what is saved, by name."""
        return {
            f"{spec.kind}.{name}": tensor
            for spec, adapter in self.parts
            for name, tensor in adapter.stored().items()
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Load the tensors returned by `stored`."""
        for spec, adapter in self.parts:
            prefix = f"{spec.kind}."
            own = {name: value for name, value in tensors.items() if name.startswith(prefix)}
            adapter.restore({name.removeprefix(prefix): value for name, value in own.items()})

    def fold(self) -> None:
        """Drop what only training needs; outputs stay the same."""
        for _, adapter in self.parts:
            adapter.fold()

    def detach(self) -> None:
        """Remove all parts, the last one first; restore the base's weights where a copy was made."""
        for _, adapter in reversed(self.parts):
            adapter.detach()
        with torch.no_grad():
            for name, value in (self.base or {}).items():
                self.model.get_parameter(name).copy_(value)
        self.model.requires_grad_(True)
