import math

import pytest
import torch

from tuneoff.kernels import Dropout, dropout


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_elements_are_zero_at_the_chance_asked_for_and_scaled_otherwise(p, dtype):
    torch.manual_seed(0)
    count = 200_000
    out = dropout(torch.ones(count, dtype=dtype), p)
    zeros = int((out == 0).sum())
    assert abs(zeros - p * count) < 5 * math.sqrt(count * p * (1 - p))
    assert out[out != 0].unique().item() == pytest.approx(
        1 / (1 - p), rel=1e-2 if dtype == torch.bfloat16 else 1e-4
    )


def test_neighbours_and_later_draws_are_independent():
    torch.manual_seed(0)
    first, second = (dropout(torch.ones(200_000), 0.5) == 0 for _ in range(2))
    for other in (second, first.roll(1), first.roll(2), first.roll(4), first.roll(1000)):
        assert (first == other).float().mean().item() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(200_000))


def test_the_gradient_passes_where_the_element_did():
    torch.manual_seed(0)
    x = torch.randn(7, 5, 3, requires_grad=True)
    out = dropout(x, 0.3)
    out.backward(torch.full_like(out, 2.0))
    torch.testing.assert_close(x.grad, 2.0 * (out / x).detach())


def test_equal_seeds_give_equal_masks_and_others_do_not():
    masks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        masks.append(dropout(torch.ones(1000), 0.5))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_nothing_and_all_can_be_dropped():
    x = torch.randn(100)
    assert torch.equal(dropout(x, 0.0), x)
    assert torch.equal(dropout(x, 1.0), torch.zeros(100))


def test_the_module_drops_in_training_alone():
    module = Dropout(0.5)
    x = torch.randn(100)
    assert torch.equal(module.eval()(x), x)
    assert not torch.equal(module.train()(x), x)
