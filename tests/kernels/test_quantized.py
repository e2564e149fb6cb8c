"""Linear layers with a quantized weight: those of torchao and bitsandbytes, but the same in evaluation."""

import importlib

import pytest
import torch
from torch import nn
from transformers import Conv1D

from tuneoff.kernels import LowRankLinear, QuantizedLinear, parameter_count
from tuneoff.kernels.quantized import Int8Linear, NF4Linear

OUT, IN = 96, 128
needs = {
    Int8Linear: pytest.mark.skipif(not importlib.util.find_spec("torchao"), reason="needs torchao"),
    NF4Linear: pytest.mark.skipif(not importlib.util.find_spec("bitsandbytes"), reason="needs bitsandbytes"),
}
both = pytest.mark.parametrize("kind", [pytest.param(kind, marks=mark) for kind, mark in needs.items()])


def linear(*, bias=True):
    layer = nn.Linear(IN, OUT, bias=bias)
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return layer


def inputs(dtype=torch.float32):
    x = torch.randn(2, 5, IN, generator=torch.Generator().manual_seed(1))
    return x.to(dtype).requires_grad_()


def outcome(layer, x):
    """The layer's output, and the gradients of input and bias."""
    out = layer(x)
    out.float().square().sum().backward()
    return out, x.grad, layer.bias.grad


def with_weight(weight, bias):
    layer = nn.Linear(IN, OUT)
    layer.weight.data, layer.bias.data = weight, bias.detach().clone()
    return layer


@both
@pytest.mark.parametrize("precision", ["float32", "autocast", "bfloat16"])
def test_it_computes_what_a_plain_layer_with_the_dequantized_weight_computes(kind, precision):
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    ours = kind(linear().to(dtype))
    plain = with_weight(ours.dequantized(torch.float32), ours.bias).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "autocast"):
        found, expected = outcome(ours, inputs(dtype)), outcome(plain, inputs(dtype))
    assert found[0].dtype == expected[0].dtype
    for ours_one, plain_one in zip(found, expected, strict=True):
        torch.testing.assert_close(ours_one, plain_one)


@needs[Int8Linear]
def test_int8_is_the_weight_only_quantization_of_torchao():
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    theirs = nn.Sequential(linear())
    quantize_(theirs, Int8WeightOnlyConfig())
    ours = Int8Linear(linear())
    torch.testing.assert_close(ours(inputs()), theirs(inputs()))
    torch.testing.assert_close(ours.dequantized(torch.float32), theirs[0].weight.dequantize())


@needs[Int8Linear]
def test_int8_is_off_by_half_a_step_at_most():
    weight = linear().weight
    step = weight.abs().amax(dim=1, keepdim=True) / 127
    assert ((Int8Linear(linear()).dequantized(torch.float32) - weight).abs() <= 0.51 * step).all()


@needs[NF4Linear]
def test_nf4_is_the_double_quantization_of_bitsandbytes():
    from bitsandbytes.nn import Linear4bit

    theirs = Linear4bit(IN, OUT, quant_type="nf4", compress_statistics=True, compute_dtype=torch.float32)
    theirs.load_state_dict(linear().state_dict())
    torch.testing.assert_close(NF4Linear(linear())(inputs()), theirs.to("cpu")(inputs()))


@both
def test_evaluations_change_nothing_in_training(kind):
    never, often = kind(linear()), kind(linear())
    for _ in range(2):
        with torch.no_grad():
            often.eval()(inputs())
    found, expected = outcome(often.train(), inputs()), outcome(never.train(), inputs())
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


@both
def test_nothing_is_kept_for_the_backward_pass(kind):
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda tensor: tensor):
        kind(linear())(inputs())
    assert kept == []


@both
def test_the_linear_layer_of_gpt2_is_quantized_as_the_other_way_around(kind):
    conv = Conv1D(OUT, IN)
    conv.weight.data, conv.bias.data = linear().weight.data.t().contiguous(), linear().bias.data
    torch.testing.assert_close(kind(conv)(inputs()), kind(linear())(inputs()))


@both
@pytest.mark.parametrize("tokens", [1, 400])  # of few and of many, for which plain layers are summed
def test_a_low_rank_update_is_added_to_what_the_layer_computes(kind, tokens):
    layer = LowRankLinear(kind(linear(bias=False)), rank=2, alpha=6)
    generator = torch.Generator().manual_seed(2)
    for matrix in (layer.lora_A, layer.lora_B):
        matrix.data = torch.randn(matrix.shape, generator=generator)
    x = torch.randn(tokens, IN, generator=generator)
    weight = layer.base_layer.dequantized(torch.float32) + 3.0 * layer.lora_B @ layer.lora_A
    torch.testing.assert_close(layer(x), x @ weight.t(), rtol=1e-4, atol=1e-3)


@both
def test_its_parameters_are_counted_as_before(kind):
    layer = linear()
    expected = sum(parameter.numel() for parameter in layer.parameters())
    assert parameter_count(nn.Sequential(kind(layer), nn.Linear(3, 2))) == expected + 8


def held_bytes(layer: QuantizedLinear) -> int:
    return sum(buffer.nbytes for buffer in layer.buffers())


@needs[Int8Linear]
def test_int8_takes_a_byte_for_each_number_and_four_for_each_row():
    assert held_bytes(Int8Linear(linear())) == OUT * IN + 4 * OUT


@needs[NF4Linear]
def test_nf4_takes_half_a_byte_for_each_number_and_one_for_each_64():
    # of 192 scales, four bytes for their own scale and four for their mean; a table of 256 numbers
    assert held_bytes(NF4Linear(linear())) == OUT * IN // 2 + OUT * IN // 64 + 4 + 4 + 4 * 256
