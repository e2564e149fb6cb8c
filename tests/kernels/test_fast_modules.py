import copy
import platform
import re

import pytest
import torch
from torch import nn
from transformers.activations import NewGELUActivation

from helpers.faults import faults
from helpers.forking import result_of
from helpers.models import DECODER_ONLY, batch, tiny, tiny_t5
from tuneoff.families import family_of
from tuneoff.kernels import Dropout, attention


def use_fast_modules(model):
    family_of(model).use_fast_modules()
    return model


def outcome(model):
    """The loss, the states that predict the targets, and the gradient of every parameter."""
    family, rows = family_of(model), batch()
    states = family.read_and_predict(**rows)
    logits, labels = family.logits(states).flatten(0, 1).float(), rows["labels"].flatten()
    loss = nn.functional.cross_entropy(logits, labels, ignore_index=-100)
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return loss.detach(), states.detach()[rows["labels"] >= 0], gradients


@pytest.mark.parametrize("kind", ["flan", "t5", "mt5", "umt5", *DECODER_ONLY])
def test_a_model_with_fast_modules_gives_the_losses_and_gradients_of_the_plain_one(kind):
    plain = tiny(kind).eval()
    fast = use_fast_modules(copy.deepcopy(plain))
    torch.testing.assert_close(outcome(fast), outcome(plain), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["flan", "t5", "llama", "gemma2"])
def test_under_autocast_they_are_as_far_from_float32_as_those_of_the_plain_one(kind):
    exact_loss, exact_states, exact = outcome(tiny(kind).eval())
    errors = []
    for model in (tiny(kind).eval(), use_fast_modules(tiny(kind).eval())):
        with torch.autocast("cpu", torch.bfloat16):
            loss, states, gradients = outcome(model)
        torch.testing.assert_close(loss, exact_loss, rtol=2e-3, atol=0)
        of_gradients = sum((gradients[name] - one).norm() for name, one in exact.items())
        errors.append(torch.stack([(states - exact_states).norm(), of_gradients]))
    of_plain, of_fast = errors
    assert (of_fast < 1.3 * of_plain).all()


@pytest.mark.parametrize("kind", ["flan", "t5", "llama", "gemma2"])
def test_under_autocast_products_within_layers_read_what_was_rounded_once(kind):
    model = use_fast_modules(tiny(kind)).eval()
    read = {}

    def note(name):
        def hook(module, inputs):
            read[name] = inputs[0].dtype

        return hook

    for name, module in model.named_modules():
        if type(module) is nn.Linear:
            module.register_forward_pre_hook(note(name))
    with torch.autocast("cpu", torch.bfloat16):
        outcome(model)
    # keys and values of cross-attention read the output of the encoder, which is kept as it is
    within = {
        name: dtype
        for name, dtype in read.items()
        if re.search(r"\d", name) and not re.search(r"EncDecAttention\.[kv]$", name)
    }
    assert len(within) > 10
    assert set(within.values()) == {torch.bfloat16}
    assert read["lm_head"] == torch.float32


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
