"""A tuned model as plain weights that `AutoModel.from_pretrained` reads."""

from pathlib import Path

import torch
from transformers import Conv1D

from tuneoff.errors import StoreError
from tuneoff.kernels import LowRankLinear, dequantize
from tuneoff.methods import AdaptedModel
from tuneoff.spec import FullSpec, LoraSpec, NoneSpec


def write_merged(adapted: AdaptedModel, folder: Path) -> None:
    """Write config and weights into an existing folder; the model loses its method.

    Weights that were quantized are those that the model computed with, in float32.

    Raises:
        StoreError: the method cannot be merged into weights.
    """
    match adapted.method:
        case FullSpec():
            pass
        case LoraSpec(gate=False):
            dequantize(adapted.model)
            _merge(adapted)
        case NoneSpec():
            raise StoreError("nothing was trained, so there is nothing to export; use the base model")
        case method:
            raise StoreError(
                f"kind: {method.kind} is beside the model's weights and cannot be merged into them; take "
                "--format peft or tuneoff"
            )
    adapted.detach()
    adapted.model.save_pretrained(folder)


@torch.no_grad()
def _merge(adapted: AdaptedModel) -> None:
    """Add scaling * B A to the weights of the layers beside which they are."""
    for module in adapted.model.modules():
        if isinstance(module, LowRankLinear):
            update = module.scaling * (module.lora_B @ module.lora_A)
            weight = module.base_layer.weight
            weight += (update.t() if isinstance(module.base_layer, Conv1D) else update).to(weight.dtype)
