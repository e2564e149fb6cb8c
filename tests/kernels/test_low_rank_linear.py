import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear
from torch import nn

from tuneoff.kernels import LowRankLinear

WIDE, NARROW = 24, 16


def layer(kind, *, dtype=torch.float32, bias=False, dropout=0.0, trained_base=False):
    generator = torch.Generator().manual_seed(0)
    base = nn.Linear(WIDE, NARROW, bias=bias)
    for parameter in base.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator).to(dtype)
    base.requires_grad_(trained_base)
    config = LoraConfig(r=3, lora_alpha=6, lora_dropout=dropout, target_modules=["unused"])
    made = kind(base, "default", config=config, r=3, lora_alpha=6)
    for side in (made.lora_A, made.lora_B):
        weight = side["default"].weight
        weight.data = torch.randn(weight.shape, generator=generator)
    return made.eval()


def outcome(made, tokens, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, tokens, WIDE, generator=generator).to(dtype).requires_grad_()
    out = made(x)
    out.square().sum().backward()
    return out, x.grad, *(p.grad for p in made.parameters() if p.requires_grad)


# 2 x 4 tokens are too few for the sum, 2 x 50 are enough
@pytest.mark.parametrize("tokens", [4, 50])
@pytest.mark.parametrize(
    "options",
    [{}, {"bias": True}, {"dropout": 0.5}, {"trained_base": True}],
    ids=["plain", "bias", "dropout", "base trained too"],
)
def test_outputs_and_gradients_equal_those_of_peft(tokens, options):
    ours, theirs = (outcome(layer(kind, **options), tokens) for kind in (LowRankLinear, Linear))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_bfloat16_base_keeps_its_float32_pair():
    ours, theirs = (
        outcome(layer(kind, dtype=torch.bfloat16), 50, torch.bfloat16) for kind in (LowRankLinear, Linear)
    )
    assert all(torch.equal(our, their) for our, their in zip(ours, theirs, strict=True))


def test_under_autocast_the_pair_is_not_rounded_into_the_weight():
    results = []
    for kind in (LowRankLinear, Linear):
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
            results.append(layer(kind)(torch.ones(2, 50, WIDE)))
    assert torch.equal(*results)


def test_a_pair_that_is_switched_off_or_merged_takes_no_part():
    made = layer(LowRankLinear)
    x = torch.ones(2, 50, WIDE)
    with torch.no_grad():
        tuned, base = made(x), made.get_base_layer()(x)
        made.enable_adapters(False)
        assert torch.equal(made(x), base)
        made.enable_adapters(True)
        made.merge()
        torch.testing.assert_close(made(x), tuned)
