"""A method that is attached to a model."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tuneoff.errors import UnfitError
from tuneoff.families import Family
from tuneoff.kernels import dequantize
from tuneoff.spec import Method, TunedSpec


class Adapter(ABC):
    """One trained part on a model, which keeps its own class and forward signature."""

    prompt_ids: tuple[int, ...] = ()
    """Token ids that every batch prepends to its inputs."""

    def __init__(self, spec: TunedSpec) -> None:
        """Take the settings, with what they leave to the model's family filled in."""
        self.spec = spec

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

    def merge(self) -> None:
        """Put the method into the model's weights, and take the rest of it off: outputs stay the same.

        Raises:
            UnfitError: no weights of the model compute what the method does.
        """
        raise UnfitError(
            f"what kind: {self.spec.kind} adds is beside the model's weights and cannot be merged into them"
        )

    def penalty(self) -> Tensor | None:
        """Return what is added to the loss of a batch, a scalar; None for nothing."""
        return None

    def after_step(self, step: int, steps: int) -> None:  # noqa: B027
        """Change the adapter after optimizer step `step` of `steps`, while its gradients are still there."""

    def training_state(self) -> dict[str, Tensor] | None:
        """Return what later steps depend on besides the parameters; None if a training cannot be resumed.

        An adapter with an `after_step` of its own says what that keeps; until it does, its runs have no
        checkpoints.
        """
        return {} if type(self).after_step is Adapter.after_step else None

    def restore_training_state(self, tensors: Mapping[str, Tensor]) -> None:  # noqa: B027
        """Take what `training_state` has returned, on an adapter with the parameters of that step."""

    def ranks(self) -> dict[str, int]:
        """Return the rank of each layer's update, by the layer's name, where training chooses it."""
        return {}


def named_below(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with this one and a dot, by the rest of their names."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): one for key, one in tensors.items() if key.startswith(prefix)}


@dataclass(frozen=True)
class AdaptedModel:
    """A model with the parts of its method: several for a stack, none for zero-shot, else one."""

    family: Family
    method: Method
    parts: tuple[Adapter, ...]
    base_parameters: int
    base_bytes: int
    """Memory of the base's weights."""
    base: Mapping[str, Tensor] | None = None
    """A copy of the base's weights from before training, where `detach` is to restore them."""

    @property
    def model(self) -> PreTrainedModel:
        """The model with the method on it."""
        return self.family.model

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """Token ids that every batch prepends to its inputs."""
        return tuple(token for part in self.parts for token in part.prompt_ids)

    def parameters(self) -> list[nn.Parameter]:
        """Return all parameters that the optimizer may change."""
        return [parameter for part in self.parts for parameter in part.parameters()]

    def penalty(self) -> Tensor | None:
        """Return what the parts add to the loss of a batch, a scalar; None for nothing."""
        penalties = [penalty for part in self.parts if (penalty := part.penalty()) is not None]
        return torch.stack(penalties).sum() if penalties else None

    def after_step(self, step: int, steps: int) -> None:
        """Let the parts change after optimizer step `step` of `steps`, while their gradients are there."""
        for part in self.parts:
            part.after_step(step, steps)

    def training_state(self) -> dict[str, Tensor] | None:
        """Return what later steps depend on besides the parameters; None if a part cannot be resumed."""
        states = [part.training_state() for part in self.parts]
        if None in states:
            return None
        return {f"{n}.{name}": one for n, state in enumerate(states) for name, one in (state or {}).items()}

    def restore_training_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take what `training_state` has returned."""
        for number, part in enumerate(self.parts):
            part.restore_training_state(named_below(tensors, str(number)))

    def ranks(self) -> dict[str, int]:
        """Return the rank of each layer's update, by the layer's name, where training chooses it."""
        return {name: rank for part in self.parts for name, rank in part.ranks().items()}

    def stored(self) -> dict[str, Tensor]:
        """Return what is saved, by name."""
        return {
            f"{part.spec.kind}.{name}": tensor
            for part in self.parts
            for name, tensor in part.stored().items()
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Load the tensors returned by `stored`."""
        for part in self.parts:
            part.restore(named_below(tensors, part.spec.kind))

    def fold(self) -> None:
        """Drop what only training needs; outputs stay the same."""
        for part in self.parts:
            part.fold()

    def merge(self) -> None:
        """Make the model a plain one that computes the same, without quantized weights.

        Raises:
            UnfitError: the method cannot be merged into weights.
        """
        if len(self.parts) > 1:
            raise UnfitError(
                "the parts of a stack may depend on each other and cannot be merged into weights"
            )
        dequantize(self.model)
        for part in self.parts:
            part.merge()

    def detach(self) -> None:
        """Remove all parts, the last one first; restore the base's weights where a copy was made."""
        for part in reversed(self.parts):
            part.detach()
        with torch.no_grad():
            for name, value in (self.base or {}).items():
                self.model.get_parameter(name).copy_(value)
        self.model.requires_grad_(True)
