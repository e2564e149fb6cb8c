"""Optimizer and learning-rate schedule of a method, under the study's conditions."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_scheduler
from transformers.optimization import Adafactor
from transformers.trainer_pt_utils import get_parameter_names

from tuneoff.methods import AdaptedModel
from tuneoff.spec import TrainingSpec

_NO_DECAY = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
"""Names without weight decay, the rule of transformers' Trainer."""


def make_optimizer(adapted: AdaptedModel, training: TrainingSpec) -> torch.optim.Optimizer:
    """AdamW or Adafactor over the trained parameters, each part of a stack at its own rate.

    Each group of parameters names the part it belongs to (`part`).

    Adafactor takes the rate as given (Lester et al. 2021), or as a share of each matrix's RMS.
    """
    decayed = set(get_parameter_names(adapted.model, [nn.LayerNorm], _NO_DECAY))
    names = {id(parameter): name for name, parameter in adapted.model.named_parameters()}
    groups: list[dict[str, Any]] = []
    for spec, adapter in adapted.parts:
        weight_decay = training.weight_decay if spec.weight_decay is None else spec.weight_decay
        split: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for parameter in adapter.parameters():
            split[names[id(parameter)] in decayed].append(parameter)
        for decays, parameters in split.items():
            groups.append(
                {
                    "params": parameters,
                    "part": spec.kind,
                    "lr": spec.learning_rate,
                    "weight_decay": weight_decay if decays else 0.0,
                    "scale_parameter": spec.scale_parameter,
                }
            )
    groups = [group for group in groups if group["params"]]
    if adapted.parts[0][0].optim == "adafactor":
        return Adafactor(groups, relative_step=False, warmup_init=False)
    return torch.optim.AdamW(groups, fused=True)


def make_schedule(
    optimizer: torch.optim.Optimizer, adapted: AdaptedModel, training: TrainingSpec, *, steps: int
) -> LRScheduler:
    """The learning-rate schedule over all steps, warmup included."""
    kind = adapted.parts[0][0].lr_scheduler_type or training.lr_scheduler_type
    warmup = math.ceil(training.warmup_ratio * steps)
    name = "constant_with_warmup" if kind == "constant" else kind
    return get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
