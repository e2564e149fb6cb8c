"""Optimizer and learning-rate schedule of a method, under the study's conditions."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from tuneoff.methods import AdaptedModel
from tuneoff.spec import TrainingSpec
from tuneoff.spec.base import Scheduler
from tuneoff.training.checkpoints import State


def make_optimizer(adapted: AdaptedModel, training: TrainingSpec) -> torch.optim.Optimizer:
    """Return AdamW or Adafactor over the trained parameters, each part of a stack at its own learning rate.

    Each group of parameters names the part it belongs to (`part`). Adafactor uses the learning rate as it
    is (Lester et al. 2021), or scaled by each matrix's RMS.
    """
    names = {id(parameter): name for name, parameter in adapted.model.named_parameters()}
    groups: list[dict[str, Any]] = []
    for part in adapted.parts:
        spec = part.spec
        weight_decay = training.weight_decay if spec.weight_decay is None else spec.weight_decay
        decayed: list[nn.Parameter] = []
        not_decayed: list[nn.Parameter] = []
        for parameter in part.parameters():
            (decayed if has_weight_decay(names[id(parameter)]) else not_decayed).append(parameter)
        for parameters, decay in ((decayed, weight_decay), (not_decayed, 0.0)):
            groups.append(
                {
                    "params": parameters,
                    "part": spec.kind,
                    "lr": spec.learning_rate,
                    "weight_decay": decay,
                    "scale_parameter": spec.scale_parameter,
                }
            )
    groups = [group for group in groups if group["params"]]
    if adapted.parts[0].spec.optim == "adafactor":
        from transformers.optimization import Adafactor  # when used: with it comes PEFT, a second or more

        return Adafactor(groups, relative_step=False, warmup_init=False)
    return torch.optim.AdamW(groups, fused=True)


def has_weight_decay(name: str) -> bool:
    """Return whether a parameter has weight decay, by the rule of transformers' Trainer.

    Norms and biases have none, relative attention biases included.
    """
    return "norm" not in name and "bias" not in name


def make_schedule(
    optimizer: torch.optim.Optimizer, adapted: AdaptedModel, training: TrainingSpec, *, steps: int
) -> LRScheduler:
    """Return the learning-rate schedule over all steps, warmup included; transformers has the same."""
    kind = adapted.parts[0].spec.lr_scheduler_type or training.lr_scheduler_type
    warmup = math.ceil(training.warmup_ratio * steps)
    return LambdaLR(optimizer, lambda step: _share_of_rate(kind, step, warmup=warmup, steps=steps))


def _share_of_rate(kind: Scheduler, step: int, *, warmup: int, steps: int) -> float:
    """Return the share of the learning rate that a step has; step 0 is the first."""
    if step < warmup:
        return step / warmup
    rest = max(1, steps - warmup)
    match kind:
        case "linear":
            return max(0.0, (steps - step) / rest)
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * ((step - warmup) / rest)))
        case "constant":
            return 1.0


def optimizer_state(optimizer: torch.optim.Optimizer) -> State:
    """Return the moments of each parameter, and the learning rates."""
    tensors, numbers = dict[str, Tensor](), dict[str, dict[str, Any]]()
    for number, state in optimizer.state_dict()["state"].items():
        moments = {name: one for name, one in state.items() if isinstance(one, Tensor)}
        tensors |= {f"{number}.{name}": one for name, one in moments.items()}
        numbers[str(number)] = {name: one for name, one in state.items() if name not in moments}
    rates = [group["lr"] for group in optimizer.param_groups]
    return State(tensors, {"state": numbers, "rates": rates})


def restore_optimizer(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Take what `optimizer_state` has returned."""
    content = optimizer.state_dict()
    content["state"] = {int(number): dict(one) for number, one in state.numbers["state"].items()}
    for key, tensor in state.tensors.items():
        number, name = key.split(".", 1)
        content["state"][int(number)][name] = tensor
    for group, rate in zip(content["param_groups"], state.numbers["rates"], strict=True):
        group["lr"] = rate
    optimizer.load_state_dict(content)
