"""A tuned method as the files that `peft.PeftModel.from_pretrained` reads."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import peft
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import Conv1D

from tuneoff.errors import StoreError
from tuneoff.methods import AdaptedModel
from tuneoff.methods.peft import PeftAdapter
from tuneoff.spec import FullSpec, LoraSpec, PeftKind, PrefixSpec, PromptSpec, StackSpec

_MOVES = "PEFT moves the text to other positions, which this model has learned"
_IN_PEFT = "base_model.model."
"""What PEFT puts in front of a module's name."""


class PeftFiles(NamedTuple):
    """PEFT's config of a method, and its tensors by PEFT's names."""

    config: peft.PeftConfig
    tensors: dict[str, Tensor]


def write_peft(adapted: AdaptedModel, base: str, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors into an existing folder.

    `base` is where PEFT finds the base model.

    Raises:
        StoreError: PEFT cannot hold the method; it says why.
    """
    files = _files(adapted)
    files.config.base_model_name_or_path = base
    files.config.inference_mode = True
    files.config.save_pretrained(str(folder))
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in files.tensors.items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def _files(adapted: AdaptedModel) -> PeftFiles:
    match adapted.method:
        case LoraSpec(gate=False) as method:
            return _lora(adapted, method)
        case PeftKind():
            return _of_peft(adapted)
        case PromptSpec():
            return _prompt(adapted)
        case PrefixSpec(gate=False) as method:
            return _prefix(adapted, method)
        case FullSpec():
            raise StoreError("PEFT's files hold what is beside a model, not the model; take --format merged")
        case StackSpec():
            raise StoreError("PEFT's files hold one method, but this is a stack; take --format tuneoff")
        case method:
            gates = " with gates" if getattr(method, "gate", False) else ""
            raise StoreError(f"PEFT cannot hold kind: {method.kind}{gates}; take --format tuneoff")


def _task(adapted: AdaptedModel) -> str:
    return "SEQ_2_SEQ_LM" if adapted.model.config.is_encoder_decoder else "CAUSAL_LM"


def _lora(adapted: AdaptedModel, method: LoraSpec) -> PeftFiles:
    stored = adapted.parts[0].stored()
    layers = [name.removesuffix(".lora_A") for name in stored if name.endswith(".lora_A")]
    updates = {layer: (stored[f"{layer}.lora_A"], stored[f"{layer}.lora_B"]) for layer in layers}
    return _low_rank(
        adapted, updates, rank=method.rank, scaling=method.alpha / method.rank, dropout=method.dropout
    )


def _low_rank(
    adapted: AdaptedModel,
    updates: Mapping[str, tuple[Tensor, Tensor]],
    *,
    rank: int,
    scaling: float,
    dropout: float,
) -> PeftFiles:
    """Return the files of updates scaling * B A of layers, by A [r, in] and B [out, r].

    Layers of another rank than `rank` have their own in PEFT's patterns.
    """
    ranks = {layer: len(a) for layer, (a, _) in updates.items() if len(a)}
    others = {layer: own for layer, own in ranks.items() if own != rank}
    tensors: dict[str, Tensor] = {}
    for layer in ranks:
        a, b = updates[layer]
        tensors |= {f"{_IN_PEFT}{layer}.lora_A.weight": a, f"{_IN_PEFT}{layer}.lora_B.weight": b}
    config = peft.LoraConfig(
        task_type=_task(adapted),
        r=rank,
        lora_alpha=scaling * rank,
        lora_dropout=dropout,
        target_modules=list(ranks),
        # PEFT reads a key as a pattern that a module's name ends with
        rank_pattern={f"^{layer}$": own for layer, own in others.items()},
        alpha_pattern={f"^{layer}$": scaling * own for layer, own in others.items()},
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in adapted.model.modules()),
    )
    return PeftFiles(config, tensors)


def _of_peft(adapted: AdaptedModel) -> PeftFiles:
    """Return the files of one of PEFT's own methods; updates that PEFT would load otherwise become LoRA's."""
    (part,) = adapted.parts
    assert isinstance(part, PeftAdapter)
    updates = part.updates()
    if updates is None:
        return PeftFiles(replace(part.config, task_type=_task(adapted)), part.stored())
    rank = max(len(a) for a, _ in updates.values())
    return _low_rank(adapted, updates, rank=rank, scaling=1.0, dropout=0.0)


def _prompt(adapted: AdaptedModel) -> PeftFiles:
    vectors = adapted.parts[0].stored()["prompt"]  # [P, H]
    length, width = vectors.shape
    config = peft.PromptTuningConfig(
        task_type=_task(adapted),
        num_virtual_tokens=length,
        token_dim=width,
        num_transformer_submodules=1,
        # PEFT asks for these, too; it uses them for prefixes alone
        num_layers=1,
        num_attention_heads=1,
    )
    return PeftFiles(config, {"prompt_embeddings": vectors})


def _prefix(adapted: AdaptedModel, method: PrefixSpec) -> PeftFiles:
    """Return a prefix's files: [P, L * 2 * heads * head_dim], layer by layer keys and then values."""
    if method.sites != ("decoder",):
        raise StoreError(
            "PEFT holds a prefix at the decoder's self-attention alone, but this one is at "
            f"{', '.join(method.sites or ())}; take --format tuneoff, or train with sites: [decoder]"
        )
    stored = adapted.parts[0].stored()["decoder"]  # [L, 2, P, heads, head_dim]
    encodes = adapted.model.config.is_encoder_decoder
    if not encodes:
        stored = torch.stack([_rotated(adapted, pair) for pair in stored])
    elif adapted.family.bias_before_text("decoder") is None:
        raise StoreError(f"PEFT cannot hold this prefix: {_MOVES}; take --format tuneoff")
    elif not method.relative_positions:
        raise StoreError(
            "PEFT gives a prefix positions, which this one has not; take --format tuneoff, or train with "
            "relative_positions: true"
        )
    else:
        stored = _every_second(stored)
    layers, _, length, heads, head_dim = stored.shape
    config = peft.PrefixTuningConfig(
        task_type=_task(adapted),
        num_virtual_tokens=length,
        num_layers=layers,
        num_attention_heads=heads,
        token_dim=heads * head_dim,
        num_transformer_submodules=2 if encodes else 1,
        prefix_projection=False,
    )
    return PeftFiles(config, {"prompt_embeddings": stored.permute(2, 0, 1, 3, 4).reshape(length, -1)})


def _every_second(stored: Tensor) -> Tensor:
    """Put the pair of layer i at place 2i, [2L, ...], where PEFT 0.21 reads it for an encoder-decoder."""
    spread = torch.zeros(2 * len(stored), *stored.shape[1:])
    spread[::2] = stored
    return spread


def _rotated(adapted: AdaptedModel, pair: Tensor) -> Tensor:
    """Turn the keys of a layer's pair [2, P, heads, head_dim] by P positions.

    PEFT moves the text P positions away from where it was in training. With rotary positions a score depends
    on the distance between query and key alone, so keys that are turned as far give the same scores.

    Raises:
        StoreError: the model has other positions.
    """
    rotary = getattr(adapted.family.reader, "rotary_emb", None)
    if getattr(adapted.model.config, "sliding_window", None):
        raise StoreError(
            "PEFT cannot hold this prefix: it would slide out of the model's windows; take --format tuneoff"
        )
    if rotary is None:
        raise StoreError(f"PEFT cannot hold this prefix: {_MOVES}; take --format tuneoff")
    keys, values = pair
    length = len(keys)
    cos, sin = rotary(keys[None], torch.full((1, 1), length, device=keys.device))  # [1, 1, turned]
    turned = keys[..., : cos.shape[-1]]  # some models turn a part of each head
    first, second = turned.chunk(2, dim=-1)
    turned = turned * cos[0, 0] + torch.cat([-second, first], dim=-1) * sin[0, 0]
    return torch.stack([torch.cat([turned, keys[..., cos.shape[-1] :]], dim=-1), values])
