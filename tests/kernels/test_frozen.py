"""Frozen weights that are rounded once, where autocast would round them at every use."""

import pytest
import torch
from torch import nn

from helpers.encoder_decoders import KINDS
from helpers.models import DECODER_ONLY, batch, tiny
from tuneoff.families import family_of
from tuneoff.families.other import MODELS
from tuneoff.kernels import hold_frozen_in_bfloat16
from tuneoff.methods import attach
from tuneoff.spec import DoraSpec, LoraSpec


def logits(family):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        return family.logits(family.read_and_predict(**batch()))


@pytest.mark.parametrize("kind", ["flan", "t5", *KINDS, *DECODER_ONLY, *MODELS])
def test_logits_stay(kind):
    model = tiny(kind).requires_grad_(requires_grad=False)
    family = family_of(model)
    family.use_fast_modules()
    before = logits(family)
    hold_frozen_in_bfloat16(model)
    torch.testing.assert_close(logits(family), before, rtol=0, atol=0)


def test_linear_layers_take_half_the_memory_and_an_embedding_stays():
    model = tiny("t5").requires_grad_(requires_grad=False)  # its head shares its weight with the embedding
    hold_frozen_in_bfloat16(model)
    assert {one.weight.dtype for one in model.modules() if type(one) is nn.Linear} == {torch.bfloat16}
    assert {one.weight.dtype for one in model.modules() if type(one) is nn.Embedding} == {torch.float32}


def test_what_is_trained_stays_in_float32():
    model = tiny("llama")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("o_proj" in name)
    hold_frozen_in_bfloat16(model)
    trained = {parameter.dtype for parameter in model.parameters() if parameter.requires_grad}
    assert trained == {torch.float32}
    assert model.model.layers[0].self_attn.q_proj.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("method", "dtype"),
    [
        (LoraSpec(kind="lora", rank=2, targets=("q_proj",)), torch.bfloat16),
        # DoRA divides by the norms of W + B A
        (DoraSpec(kind="dora", rank=2, targets=("q_proj",)), torch.float32),
    ],
)
def test_the_weight_beside_a_method_is_rounded_where_only_its_product_counts(method, dtype):
    model = tiny("llama")
    attach(model, method, generator=torch.Generator().manual_seed(0), tokenizer=None)
    hold_frozen_in_bfloat16(model)
    layer = model.model.layers[0]
    kept = layer.self_attn.q_proj.base_layer
    assert kept.weight.dtype == dtype
    assert layer.self_attn.k_proj.weight.dtype == torch.bfloat16
