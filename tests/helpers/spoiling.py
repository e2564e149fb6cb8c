"""Work that changes its model."""

import torch

from tuneoff.spec import ModelSpec
from tuneoff.study import Context
from tuneoff.training import Backbone


def sum_of(backbone: Backbone) -> float:
    """The sum of all weights."""
    return sum(float(one.detach().double().sum()) for one in backbone.model.parameters())


def spoil(model: ModelSpec, job: int, context: Context) -> tuple[str | None, float]:
    """The digest of a model and the sum of its weights, which are zero afterwards."""
    backbone = context.session.load_backbone(model)
    total = sum_of(backbone)
    with torch.no_grad():
        for weight in backbone.model.parameters():
            weight.zero_()
    return backbone.digest, total
