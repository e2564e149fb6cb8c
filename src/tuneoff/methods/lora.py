"""LoRA (Hu et al. 2021, arXiv:2106.09685), put into the model by PEFT."""

import math
import warnings
from typing import final

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, T5ForConditionalGeneration

from tuneoff.errors import StudyError
from tuneoff.kernels import LowRankLinear
from tuneoff.methods.adapter import Adapter
from tuneoff.spec import LoraSpec

_NAME = "default"


@final
class LoraAdapter(Adapter):
    """Pairs of low-rank matrices beside linear layers: A: [r, in], B: [out, r]."""

    def __init__(self, model: T5ForConditionalGeneration, layers: dict[str, LoraLayer]) -> None:
        self._model = model
        self._layers = layers

    def _matrices(self) -> dict[str, nn.Parameter]:
        return {
            f"{name}.{side}": getattr(layer, side)[_NAME].weight
            for name, layer in self._layers.items()
            for side in ("lora_A", "lora_B")
        }

    def parameters(self) -> list[nn.Parameter]:  # noqa: D102
        return list(self._matrices().values())

    def stored(self) -> dict[str, Tensor]:  # noqa: D102
        return {name: value.detach() for name, value in self._matrices().items()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:  # noqa: D102
        for name, parameter in self._matrices().items():
            parameter.copy_(tensors[name])

    def fold(self) -> None:  # noqa: D102
        pass

    def deployed(self) -> int:
        """None: B A is added to the weight it stands beside."""
        return 0

    def detach(self) -> None:  # noqa: D102
        for name, layer in self._layers.items():
            self._model.set_submodule(name, layer.get_base_layer())
        del self._model.peft_config


def attach(
    model: T5ForConditionalGeneration,
    spec: LoraSpec,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> LoraAdapter:
    """LoRA on the targets, A random and B zero, in float32.

    Raises:
        StudyError: a target names no linear layer of the model, or the rank is above that of any target.
    """
    targets = spec.targets if spec.targets == "all-linear" else _named(model, spec.targets)
    _check_rank(model, targets, spec.rank)
    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=targets,
    )
    config._register_custom_module({nn.Linear: LowRankLinear})
    with warnings.catch_warnings():
        # PEFT warns that T5's embeddings are tied; LoRA leaves them alone
        warnings.simplefilter("ignore")
        inject_adapter_in_model(config, model)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    for layer in layers.values():
        _initialise(layer, generator)
    return LoraAdapter(model, layers)


def _named(model: nn.Module, targets: tuple[str, ...]) -> list[str]:
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    found: list[str] = []
    for target in targets:
        named = [name for name in linear if _is_named(name, target)]
        if not named:
            ends = sorted({name.rsplit(".", 1)[-1] for name in linear})
            raise StudyError(
                f"a LoRA target must be the end of a linear layer's name, but the model has none that ends "
                f"in '{target}' (it has {', '.join(ends)}; or use targets: all-linear)"
            )
        found.extend(named)
    return found


def _check_rank(model: nn.Module, targets: list[str] | str, rank: int) -> None:
    highest = max(
        min(module.weight.shape)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and (targets == "all-linear" or name in targets)
    )
    if rank > highest:
        raise StudyError(
            f"a LoRA rank must not exceed the smaller side of every matrix that it changes, {highest:,} in "
            f"this model, but got rank={rank}; lower it, or use kind: full"
        )


def _is_named(module: str, target: str) -> bool:
    """Whether a module's name ends in the target, or in what is behind the stack that the target names."""
    stack, _, end = target.partition(".")
    if stack in ("encoder", "decoder"):
        return module.startswith(f"{stack}.") and module.endswith(f".{end}")
    return module == target or module.endswith(f".{target}")


def _initialise(layer: LoraLayer, generator: torch.Generator) -> None:
    a, b = layer.lora_A[_NAME], layer.lora_B[_NAME]
    # float32 even beside bfloat16 weights: small updates would be rounded away
    initial = torch.empty(a.weight.shape)
    nn.init.kaiming_uniform_(initial, a=math.sqrt(5), generator=generator)
    a.weight = nn.Parameter(initial.to(a.weight.device))
    b.weight = nn.Parameter(torch.zeros_like(b.weight, dtype=torch.float32))
