"""Random rows to train on, and a model whose training draws no random numbers."""

import torch
from transformers import PreTrainedModel

from helpers.models import VOCABULARY
from tuneoff.training import Encoded


def examples(count: int = 40) -> list[Encoded]:
    """Rows of 3 to 11 tokens with targets of 1 to 4."""
    generator = torch.Generator().manual_seed(1)

    def ids(low: int, high: int) -> list[int]:
        length = int(torch.randint(low, high, (), generator=generator))
        return torch.randint(2, VOCABULARY, (length,), generator=generator).tolist()

    return [Encoded(ids(3, 12), ids(1, 5), None, False, False) for _ in range(count)]


def without_dropout(model: PreTrainedModel) -> PreTrainedModel:
    """The model with all rates of dropout at zero."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    return model
