"""Optimizer and learning-rate schedule of a method, under the study's conditions."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_scheduler
from transformers.optimization import Adafactor

from tuneoff.methods import AdaptedModel
from tuneoff.spec import TrainingSpec


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
    """Return the learning-rate schedule over all steps, warmup included."""
    kind = adapted.parts[0].spec.lr_scheduler_type or training.lr_scheduler_type
    warmup = math.ceil(training.warmup_ratio * steps)
    name = "constant_with_warmup" if kind == "constant" else kind
    return get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
