import copy

import pytest
import torch

from helpers.models import tiny
from tuneoff.families import family_of
from tuneoff.kernels.norm import RmsNorm, is_rms_norm

KINDS = ("flan", "mt5", "umt5", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text")


def pair(kind, dtype=torch.float32, *, read_by_products=False):
    """A norm of a model with random weights, and the one in place of it."""
    theirs = next(copy.deepcopy(module) for module in tiny(kind).modules() if is_rms_norm(module))
    with torch.no_grad():
        theirs.weight.normal_(generator=torch.Generator().manual_seed(0))
    theirs = theirs.to(dtype)
    return theirs, RmsNorm(copy.deepcopy(theirs), read_by_products=read_by_products)


def random(*shape, dtype=torch.float32, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("trained", ["weight", "input", "both"])
@pytest.mark.parametrize("kind", KINDS)
def test_results_and_gradients_are_those_of_the_module_that_it_replaces(kind, trained):
    results = []
    for norm in pair(kind):
        norm.weight.requires_grad_(trained != "input")
        x = random(2, 5, len(norm.weight)).requires_grad_(trained != "weight")
        result = norm(x)
        result.backward(random(*result.shape, seed=2))
        results.append((result, x.grad, norm.weight.grad))
    torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("of_weight", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("of_input", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_every_precision_is_rounded_where_the_module_rounds(kind, of_weight, of_input):
    theirs, ours = pair(kind, of_weight)
    x = random(2, 5, len(ours.weight), dtype=of_input)
    with torch.autocast("cpu", torch.bfloat16):
        expected, found = theirs(x), ours(x)
    assert found.dtype == expected.dtype
    # equal but for what two orders of adding up make, which may be one step of bfloat16
    step = 1e-5 if found.dtype == torch.float32 and torch.bfloat16 not in (of_weight, of_input) else 1e-2
    torch.testing.assert_close(found, expected, rtol=step, atol=1e-5)


def test_gradients_are_in_float32_whatever_autocast_says():
    theirs, ours = pair("flan")
    found = []
    for norm in (theirs, ours):
        x = random(50, len(norm.weight)).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            norm(x).square().sum().backward()
        found.append((x.grad, norm.weight.grad))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_products_read_is_rounded_once_and_gradients_are_near(kind):
    theirs, ours = pair(kind, read_by_products=True)
    found = []
    for norm in (theirs, ours):
        x = random(50, len(norm.weight)).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            result = norm(x)
            (result @ random(len(norm.weight), 8)).square().sum().backward()
        found.append((result.bfloat16(), x.grad, norm.weight.grad))
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(found[1][0], found[0][0])
    torch.testing.assert_close(found[1][1:], found[0][1:], rtol=2e-2, atol=2e-2)


def test_without_autocast_what_products_read_stays_in_float32():
    _, ours = pair("flan", read_by_products=True)
    assert ours(random(2, len(ours.weight))).dtype == torch.float32


def test_a_row_of_zeros_has_a_gradient():
    theirs, ours = pair("llama")
    found = []
    for norm in (theirs, ours):
        x = torch.zeros(1, len(norm.weight), requires_grad=True)
        norm(x).sum().backward()
        found.append(x.grad)
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize("kind", KINDS)
def test_every_norm_of_a_model_is_replaced(kind):
    model = tiny(kind)
    names = [name for name, module in model.named_modules() if is_rms_norm(module)]
    weights = {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
    family_of(model).use_fast_modules()
    assert names == [name for name, module in model.named_modules() if isinstance(module, RmsNorm)]
    assert weights == {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
