"""Frozen weights in the precision of their products."""

import torch
from torch import nn
from transformers import Conv1D, PreTrainedModel


@torch.no_grad()
def hold_frozen_in_bfloat16(model: PreTrainedModel) -> None:
    """Round the frozen weights of linear layers to bfloat16, once.

    Under autocast every product is what it was: autocast would round them so at every use, in evaluation once
    for every token of a generated text. Embeddings stay in float32, since their rows are added up, so a head
    that shares its weight with one gets a rounded copy. Layers that PEFT has wrapped stay, too: some of its
    methods compute with the weight itself.
    """
    for parent in model.modules():
        is_pefts = hasattr(parent, "get_base_layer")
        for layer in parent.children():
            if type(layer) in (nn.Linear, Conv1D) and not is_pefts and not layer.weight.requires_grad:
                rounded = layer.weight.to(torch.bfloat16)
                layer.weight = nn.Parameter(rounded, requires_grad=False)
