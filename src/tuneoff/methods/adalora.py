"""The part of AdaLoRA (Zhang et al. 2023, arXiv:2303.10512) that PEFT leaves to the training loop.

Each update is P diag(E) Q, in PEFT's names lora_B, lora_E and lora_A. PEFT scores the triplets (a column of
P, an entry of E, a row of Q) by their part in the loss, and sets the entries of the least important to
zero. So the entries that are not zero are the ranks, also of weights that an earlier step had.
"""

from collections.abc import Mapping
from typing import Any, final

import peft
import torch
from torch import Tensor, nn

from tuneoff.errors import UnfitError
from tuneoff.spec import AdaloraSpec, PeftKind

_SCORES, _KEPT = ("ipt", "exp_avg_ipt", "exp_avg_unc"), "rank_pattern"
"""What PEFT's allocator holds by the name of a parameter, and what its config does."""


@final
class AdaLora:
    """The schedule, the penalty and the ranks of AdaLoRA on a model."""

    def __init__(self, spec: PeftKind, wrapper: peft.PeftModel) -> None:
        self._spec = spec
        self._tuner: Any = wrapper.base_model
        (self._name,) = wrapper.peft_config
        self._config: Any = wrapper.peft_config[self._name]
        names = self._tuner.targeted_module_names
        self._layers: dict[str, Any] = {name: wrapper.get_base_model().get_submodule(name) for name in names}
        self._is_scheduled = self._allocates = False

    def penalty(self) -> Tensor | None:
        """Return the mean distance of P and Q from orthogonal matrices, weighted, as PEFT adds it."""
        if not self._config.orth_reg_weight:
            return None
        distances = []
        for layer in self._layers.values():
            a, b = layer.lora_A[self._name], layer.lora_B[self._name]
            for product in (a @ a.T, b.T @ b):
                distances.append(torch.linalg.norm(product - torch.eye(len(product), device=product.device)))
        return torch.stack(distances).mean() * self._config.orth_reg_weight

    def after_step(self, step: int, steps: int) -> None:
        """Score the triplets by their gradients, and drop what the schedule says.

        Raises:
            UnfitError: the run is too short for the schedule.
        """
        if not self._is_scheduled:
            self._set_schedule(steps)
            self._is_scheduled = self._allocates = True
        self._tuner.update_and_allocate(step)

    def _set_schedule(self, steps: int) -> None:
        config = self._config
        if isinstance(self._spec, AdaloraSpec):
            config.tinit, config.tfinal = round(self._spec.warmup * steps), round(self._spec.final * steps)
        # the ranks of a step are chosen by gradients of the steps before
        if steps - config.tfinal - config.tinit < 2:
            raise UnfitError(
                f"AdaLoRA needs two steps or more to drop ranks in, but of {steps} steps {config.tinit} are "
                f"before and {config.tfinal} after; train longer, or lower the warmup or the final steps"
            )
        self._tuner.rankallocator.set_total_step(steps)

    def training_state(self) -> dict[str, Tensor]:
        """Return the scores of the triplets so far, and which of them are kept."""
        scores = {f"{kind}.{name}": tensor for kind in _SCORES for name, tensor in self._scores(kind).items()}
        kept = (self._config.rank_pattern or {}).items()
        return scores | {f"{_KEPT}.{name}": torch.tensor(pattern) for name, pattern in kept}

    def restore_training_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take what `training_state` has returned."""
        kept = dict[str, list[bool]]()
        for key, tensor in tensors.items():
            kind, name = key.split(".", 1)
            if kind == _KEPT:
                kept[name] = tensor.tolist()
            else:
                self._scores(kind)[name] = tensor.to(next(iter(self._tuner.parameters())).device)
        self._config.rank_pattern = kept or None
        self._allocates = bool(tensors)

    def _scores(self, kind: str) -> dict[str, Tensor]:
        scores: dict[str, Tensor] = getattr(self._tuner.rankallocator, kind)
        return scores

    def ranks(self) -> dict[str, int]:
        """Return the rank of each layer's update, by the layer's name."""
        return {name: int(self._kept(layer).sum()) for name, layer in self._layers.items()}

    def fold(self) -> None:
        """Drop the triplets whose entries are zero, if training has dropped any."""
        if not self._allocates:
            return
        self._config.rank_pattern = None  # of the last step; the weights may be an earlier one's
        for layer in self._layers.values():
            kept = self._kept(layer)
            self._set(
                layer,
                layer.lora_A[self._name][kept],
                layer.lora_B[self._name][:, kept],
                layer.lora_E[self._name][kept],
            )

    def updates(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return A [r, in] and B [out, r] of each layer's update B A, by the layer's name."""
        found = {}
        for name, layer in self._layers.items():
            a, b, e = (matrices[self._name] for matrices in (layer.lora_A, layer.lora_B, layer.lora_E))
            # as PEFT's layer computes it, whose rank is the one at the start
            scaling = layer.scaling[self._name] / (layer.ranknum[self._name] + 1e-5)
            found[name] = (a * e, b * scaling)
        return found

    def resize(self, tensors: dict[str, Tensor]) -> None:
        """Give each layer the rank that its stored tensors have."""
        for name, layer in self._layers.items():
            stored = f"base_model.model.{name}."
            self._set(layer, *(tensors[f"{stored}lora_{part}"] for part in "ABE"))

    def _kept(self, layer: Any) -> Tensor:
        kept: Tensor = layer.lora_E[self._name][:, 0] != 0
        return kept

    def _set(self, layer: Any, a: Tensor, b: Tensor, e: Tensor) -> None:
        device = layer.lora_A[self._name].device
        for matrices, value in ((layer.lora_A, a), (layer.lora_B, b), (layer.lora_E, e)):
            matrices[self._name] = nn.Parameter(value.detach().clone().to(device))
