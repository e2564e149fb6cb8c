"""LoRA (Hu et al. 2021, arXiv:2106.09685) on linear layers of a model."""

import math
import re
from typing import final

import torch
from torch import Tensor, nn
from transformers import Conv1D, PreTrainedModel, PreTrainedTokenizerBase

from tuneoff.errors import StudyError
from tuneoff.families import Family, Targets
from tuneoff.kernels import LowRankLinear, linear_shape
from tuneoff.methods.adapter import Adapter
from tuneoff.phrases import listed
from tuneoff.spec import LoraSpec

_Layers = dict[str, nn.Linear | Conv1D]
_LAYER = re.compile(r".+?\.(\d+)\.")
"""Up to the number of a layer of the model, the first in a module's name."""


@final
class LoraAdapter(Adapter):
    """Pairs of low-rank matrices beside linear layers: A: [r, in], B: [out, r].

    Once trained, each layer may be cut to a rank of its own (`methods/lora_rank.py`), even to none.
    """

    def __init__(self, spec: LoraSpec, model: PreTrainedModel, layers: dict[str, LowRankLinear]) -> None:
        super().__init__(spec)
        self._is_gated = spec.gate
        self._model = model
        self._layers = layers

    def _matrices(self) -> dict[str, nn.Parameter]:
        """Return all matrices by the names that PEFT gives them in its files, and their gates."""
        found: dict[str, nn.Parameter] = {}
        for name, layer in self._layers.items():
            if len(layer.lora_A):
                found[f"{name}.lora_A"] = layer.lora_A
                found[f"{name}.lora_B"] = layer.lora_B
                if layer.gate is not None:
                    found |= {f"{name}.gate.{end}": part for end, part in layer.gate.named_parameters()}
        return found

    def parameters(self) -> list[nn.Parameter]:  # noqa: D102
        return list(self._matrices().values())

    def stored(self) -> dict[str, Tensor]:  # noqa: D102
        return {name: value.detach() for name, value in self._matrices().items()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Load the matrices; their shapes say the rank of each layer, which is 0 where there are none."""
        # copied, as tensors of a file are not aligned in memory, and products differ in their last bits
        for name, layer in self._layers.items():
            device = layer.lora_A.device
            a, b = tensors.get(f"{name}.lora_A"), tensors.get(f"{name}.lora_B")
            layer.lora_A = nn.Parameter(layer.lora_A[:0].clone() if a is None else a.to(device, copy=True))
            layer.lora_B = nn.Parameter(layer.lora_B[:, :0].clone() if b is None else b.to(device, copy=True))
            if layer.gate is not None and a is not None:
                for end, part in layer.gate.named_parameters():
                    part.copy_(tensors[f"{name}.gate.{end}"])
            self._model.set_submodule(name, layer if len(layer.lora_A) else layer.base_layer)

    def fold(self) -> None:  # noqa: D102
        pass

    def deployed(self) -> int:
        """Return 0, as B A can be merged into the weight that it updates; with a gate it cannot."""
        return sum(parameter.numel() for parameter in self.parameters()) if self._is_gated else 0

    @torch.no_grad()
    def merge(self) -> None:
        """Add scaling * B A to the weights of the layers beside which they are."""
        if self._is_gated:
            super().merge()
        for layer in self._layers.values():
            update = layer.scaling * (layer.lora_B @ layer.lora_A)
            weight = layer.base_layer.weight
            weight += (update.t() if isinstance(layer.base_layer, Conv1D) else update).to(weight.dtype)
        self.detach()

    def detach(self) -> None:  # noqa: D102
        for name, layer in self._layers.items():
            self._model.set_submodule(name, layer.base_layer)


def attach(
    family: Family,
    spec: LoraSpec,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> LoraAdapter:
    """Put LoRA on the targets, A random and B zero, in float32.

    Raises:
        StudyError: a target names no linear layer of the model, or the rank is above that of any target.
    """
    model = family.model
    chosen = spec.targets or family.lora_targets
    spec = spec.model_copy(update={"targets": chosen})
    linear = {
        name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)
    }
    targets = target_layers(model, linear, chosen)
    if spec.layers_to_transform:
        targets = _in_layers(targets, spec.layers_to_transform)
    _check_rank(targets, spec.rank)
    layers: dict[str, LowRankLinear] = {}
    for name, base_layer in targets.items():
        layer = LowRankLinear(
            base_layer, rank=spec.rank, alpha=spec.alpha, dropout=spec.dropout, gated=spec.gate
        )
        # drawn on the CPU, so that all devices start from equal weights
        initial = torch.empty(layer.lora_A.shape)
        nn.init.kaiming_uniform_(initial, a=math.sqrt(5), generator=generator)
        with torch.no_grad():
            layer.lora_A.copy_(initial)
        model.set_submodule(name, layer)
        layers[name] = layer
    return LoraAdapter(spec, model, layers)


def target_layers(model: PreTrainedModel, linear: _Layers, targets: Targets) -> _Layers:
    """Return those of the linear layers that targets mean, by name, in the order of the model.

    Raises:
        StudyError: a target names none.
    """
    if targets == "all-linear":
        head = model.get_output_embeddings()
        return {name: module for name, module in linear.items() if module is not head}
    for target in targets:
        if not any(_is_named(name, target) for name in linear):
            ends = sorted({name.rsplit(".", 1)[-1] for name in linear})
            raise StudyError(
                f"a target must be the end of a linear layer's name, but the model has none that ends "
                f"in '{target}' (it has {', '.join(ends)}; or use targets: all-linear)"
            )
    return {
        name: module for name, module in linear.items() if any(_is_named(name, target) for target in targets)
    }


def _in_layers(targets: _Layers, numbers: tuple[int, ...]) -> _Layers:
    """Return those targets that are in layers of the model with these numbers.

    Raises:
        StudyError: a layer has none.
    """
    layer_of = {name: int(found[1]) for name in targets if (found := _LAYER.match(name))}
    there = sorted(set(layer_of.values()))
    for number in numbers:
        if number not in there:
            raise StudyError(
                f"layers_to_transform must be numbers of layers that have a target, but got {number} (those "
                f"of this model: {listed(map(str, there)) if there else 'none'})"
            )
    return {name: module for name, module in targets.items() if layer_of.get(name) in numbers}


def _check_rank(targets: _Layers, rank: int) -> None:
    highest = max(min(linear_shape(module)) for module in targets.values())
    if rank > highest:
        raise StudyError(
            f"a LoRA rank must not exceed the smaller side of every matrix that it changes, {highest:,} in "
            f"this model, but got rank={rank}; lower it, or use kind: full"
        )


def _is_named(module: str, target: str) -> bool:
    """Return whether a module's name ends in the target, in the stack that the target may start with."""
    stack, _, end = target.partition(".")
    if stack in ("encoder", "decoder"):
        # some models have their stacks in a module of their own: model.decoder
        return f".{stack}." in f".{module}" and module.endswith(f".{end}")
    return module == target or module.endswith(f".{target}")
