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
    results = []
    for ours in (True, False):
        made = layer(ours, **options)
        torch.manual_seed(2)  # the same elements are dropped
        results.append(outcome(made, tokens))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("tokens", [4, 50])
def test_a_model_may_change_its_result_in_place(tokens):
    made, x = layer(True), torch.ones(2, tokens, WIDE)
    (2 * made(x)).square().sum().backward()
    expected = made.lora_A.grad
    made.lora_A.grad = None
    made(x).mul_(2).square().sum().backward()
    torch.testing.assert_close(made.lora_A.grad, expected)


def test_a_bfloat16_base_keeps_its_float32_pair():
    ours, theirs = (outcome(layer(ours, dtype=torch.bfloat16), 50, torch.bfloat16) for ours in (True, False))
    assert [one.dtype for one in ours] == [one.dtype for one in theirs]
    torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-1)


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5}, {"trained_base": True}])
def test_under_autocast_outputs_and_gradients_are_near_those_of_peft(options):
    results = []
    for ours in (True, False):
        made = layer(ours, **options)
        torch.manual_seed(2)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            results.append(outcome(made, 50))
    ours, theirs = results
    assert [one.dtype for one in ours] == [one.dtype for one in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert (our - their).norm() < 1e-2 * their.norm()


def test_under_autocast_the_pair_is_not_rounded_into_the_weight():
    made = layer(True)
    with torch.no_grad():
        # products with the weight cancel; the update is less than half a step of bfloat16 at 64
        made.base_layer.weight.zero_()[:, :2] = torch.tensor([64.0, -64.0])
        made.lora_A.zero_()[:, 0] = 0.01
        made.lora_B.fill_(1.0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = made(torch.ones(2, 50, WIDE))
    torch.testing.assert_close(found.float(), torch.full_like(found, 0.06).float(), rtol=1e-2, atol=0)


def test_a_pair_with_a_zero_takes_no_part():
    made = layer(True).eval()
    x = torch.ones(2, 50, WIDE)
    with torch.no_grad():
        made.lora_B.zero_()
        assert torch.equal(made(x), made.base_layer(x))
