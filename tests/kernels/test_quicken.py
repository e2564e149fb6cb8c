import copy
import os
import platform

import pytest
import torch

from models import batch, tiny_t5
from tuneoff.kernels import quicken
from warm_process import WarmProcess


@pytest.mark.parametrize("kind", ["flan", "t5"])
def test_a_quickened_model_gives_the_losses_and_gradients_of_the_plain_one(kind):
    plain = tiny_t5(kind).eval()
    quick = quicken(copy.deepcopy(plain))
    results = []
    for model in (plain, quick):
        out = model(**batch())
        out.loss.backward()
        results.append((out.logits, {name: p.grad for name, p in model.named_parameters()}))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_names_and_weights_stay():
    plain = tiny_t5("flan")
    quick = quicken(copy.deepcopy(plain))
    assert [name for name, _ in quick.named_modules()] == [name for name, _ in plain.named_modules()]
    assert quick.state_dict().keys() == plain.state_dict().keys()


def test_dropout_reaches_training_as_before():
    torch.manual_seed(0)
    model = quicken(tiny_t5("flan")).train()
    first, second = (model(**batch()).loss.item() for _ in range(2))
    assert first != second


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_freed_memory_is_not_asked_for_again(tmp_path):
    with WarmProcess(("faults",), dict(os.environ)) as process:
        plain, kept = (process.call("faults:faults", keep, folder=tmp_path) for keep in (False, True))
    assert kept < plain / 10
