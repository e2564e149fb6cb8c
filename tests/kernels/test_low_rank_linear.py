import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear
from torch import nn

from tuneoff.kernels import LowRankLinear

WIDE, NARROW = 24, 16


def layer(ours, *, dtype=torch.float32, bias=False, dropout=0.0, trained_base=False):
    generator = torch.Generator().manual_seed(0)
    base = nn.Linear(WIDE, NARROW, bias=bias)
    for parameter in base.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator).to(dtype)
    base.requires_grad_(trained_base)
    if ours:
        made = LowRankLinear(base, rank=3, alpha=6, dropout=dropout)
        matrices = (made.lora_A, made.lora_B)
    else:
        config = LoraConfig(r=3, lora_alpha=6, lora_dropout=dropout, target_modules=["unused"])
        made = Linear(base, "default", config=config, r=3, lora_alpha=6)
        matrices = (made.lora_A["default"].weight, made.lora_B["default"].weight)
    for weight in matrices:
        weight.data = torch.randn(weight.shape, generator=generator)
    return made


def outcome(made, tokens, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, tokens, WIDE, generator=generator).to(dtype).requires_grad_()
    out = made(x)
    out.square().sum().backward()
    # the base's weight first, wherever the layer lists it
    named = sorted(made.named_parameters(), key=lambda pair: "lora" in pair[0])
    return out, x.grad, *(parameter.grad for _, parameter in named if parameter.requires_grad)


# 2 x 4 tokens are too few for the sum, 2 x 50 are enough
@pytest.mark.parametrize("tokens", [4, 50])
@pytest.mark.parametrize(
    "options",
    [{}, {"bias": True}, {"dropout": 0.5}, {"trained_base": True}],
    ids=["plain", "bias", "dropout", "base trained too"],
)
def test_outputs_and_gradients_equal_those_of_peft(tokens, options):
    ours, theirs = (outcome(layer(ours, **options).eval(), tokens) for ours in (True, False))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_bfloat16_base_keeps_its_float32_pair():
    ours, theirs = (outcome(layer(ours, dtype=torch.bfloat16), 50, torch.bfloat16) for ours in (True, False))
    assert all(torch.equal(our, their) for our, their in zip(ours, theirs, strict=True))


def test_under_autocast_the_pair_is_not_rounded_into_the_weight():
    results = []
    for ours in (True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
            results.append(layer(ours)(torch.ones(2, 50, WIDE)))
    assert torch.equal(*results)


# where the product is not cheaper, or not possible, the operations are PEFT's, one by one
@pytest.mark.parametrize(
    ("tokens", "options"),
    [(4, {}), (50, {"bias": True}), (50, {"dropout": 0.5}), (50, {"trained_base": True})],
    ids=["few tokens", "bias", "dropout", "base trained too"],
)
def test_the_low_rank_path_gives_the_numbers_of_peft_to_the_last_bit(tokens, options):
    results = []
    for ours in (True, False):
        made = layer(ours, **options)
        torch.manual_seed(2)
        results.append(outcome(made, tokens))
    assert all(torch.equal(our, their) for our, their in zip(*results, strict=True))


def test_a_pair_with_a_zero_takes_no_part():
    made = layer(True).eval()
    x = torch.ones(2, 50, WIDE)
    with torch.no_grad():
        made.lora_B.zero_()
        assert torch.equal(made(x), made.base_layer(x))
