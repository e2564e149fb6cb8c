import copy
import platform

import pytest
import torch
from torch import nn
from transformers.activations import NewGELUActivation

from helpers.faults import faults
from helpers.forking import result_of
from helpers.models import batch, tiny_t5
from tuneoff.families import family_of
from tuneoff.kernels import Dropout, attention


def use_fast_modules(model):
    family_of(model).use_fast_modules()
    return model


@pytest.mark.parametrize("kind", ["flan", "t5"])
def test_a_model_with_fast_modules_gives_the_losses_and_gradients_of_the_plain_one(kind):
    plain = tiny_t5(kind).eval()
    fast = use_fast_modules(copy.deepcopy(plain))
    results = []
    for model in (plain, fast):
        out = model(**batch())
        out.loss.backward()
        results.append((out.logits, {name: p.grad for name, p in model.named_parameters()}))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_names_and_weights_stay():
    plain = tiny_t5("flan")
    fast = use_fast_modules(copy.deepcopy(plain))
    assert [name for name, _ in fast.named_modules()] == [name for name, _ in plain.named_modules()]
    assert fast.state_dict().keys() == plain.state_dict().keys()


def test_every_dropout_and_activation_is_replaced():
    plain, fast = tiny_t5("flan"), use_fast_modules(tiny_t5("flan"))
    dropouts = sum(type(module) is nn.Dropout for module in plain.modules())
    activations = sum(isinstance(module, NewGELUActivation) for module in plain.modules())
    assert dropouts > 0 and activations > 0
    assert sum(isinstance(module, Dropout) for module in fast.modules()) == dropouts
    assert sum(isinstance(module, nn.GELU) for module in fast.modules()) == activations
    assert not any(type(module) is nn.Dropout for module in fast.modules())
    assert not any(isinstance(module, NewGELUActivation) for module in fast.modules())


@pytest.mark.parametrize("kind", ["flan", "t5"])
def test_layers_of_a_stack_share_their_masks(kind, monkeypatch):
    joined = []
    join = attention._joined

    def counted(*arguments):
        joined.append(arguments)
        return join(*arguments)

    monkeypatch.setattr(attention, "_joined", counted)
    model = use_fast_modules(tiny_t5(kind)).eval()
    model(**batch())
    assert len(model.encoder.block) > 1
    assert len(joined) == 3  # the encoder's, the decoder's and that of cross-attention


def test_dropout_reaches_training_as_before():
    torch.manual_seed(0)
    model = use_fast_modules(tiny_t5("flan")).train()
    first, second = (model(**batch()).loss.item() for _ in range(2))
    assert first != second


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_freed_memory_is_not_asked_for_again():
    plain, kept = (result_of(faults, keep) for keep in (False, True))
    assert kept < plain / 3
