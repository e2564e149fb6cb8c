"""Methods that train beside a model, on models with quantized weights."""

import importlib.util

import pytest
import torch

from helpers.method_contract import MethodContract
from helpers.model_table import KINDS as EVERY_KIND
from helpers.models import batch, tiny
from tuneoff.errors import StudyError, UnfitError
from tuneoff.families import family_of
from tuneoff.kernels import QuantizedLinear, quantize
from tuneoff.methods import attach, footprint
from tuneoff.spec import AdaloraSpec, FullSpec, LoraSpec, PrefixSpec, PromptSpec, RsloraSpec
from tuneoff.spec.methods.kinds import TUNED_KINDS

KINDS = ("flan", "llama")
needs_torchao = pytest.mark.skipif(not importlib.util.find_spec("torchao"), reason="needs torchao")
needs_bitsandbytes = pytest.mark.skipif(
    not importlib.util.find_spec("bitsandbytes"), reason="needs bitsandbytes"
)
both = pytest.mark.parametrize(
    "quantization", [pytest.param("int8", marks=needs_torchao), pytest.param("nf4", marks=needs_bitsandbytes)]
)


def quantized(kind, quantization, dtype=torch.float32):
    model = tiny(kind, dtype=dtype)
    quantize(model, quantization)
    return model


class QuantizedContract(MethodContract):
    """The contract of methods on models with quantized weights, whose parameters are counted as before."""

    kinds = KINDS
    halved = ()
    quantization = "int8"

    def model(self, kind, *, dtype=torch.float32):
        return quantized(kind, self.quantization, dtype)


@needs_torchao
class TestLoraOnInt8(QuantizedContract):
    kinds = (*KINDS, "gpt2")
    method = LoraSpec(kind="lora", rank=2, targets="all-linear")


@pytest.mark.slow
@needs_torchao
class TestPrefixOnInt8(QuantizedContract):
    method = PrefixSpec(kind="prefix", length=3)


@pytest.mark.slow
@needs_torchao
class TestPromptOnInt8(QuantizedContract):
    method = PromptSpec(kind="prompt", length=4, init="random")


@pytest.mark.slow
@needs_bitsandbytes
class TestLoraOnNF4(QuantizedContract):
    kinds = (*KINDS, "gpt2")
    quantization = "nf4"
    method = LoraSpec(kind="lora", rank=2, targets="all-linear")


@pytest.mark.slow
@needs_bitsandbytes
class TestPrefixOnNF4(QuantizedContract):
    quantization = "nf4"
    method = PrefixSpec(kind="prefix", length=3)


@pytest.mark.slow
@needs_bitsandbytes
class TestPromptOnNF4(QuantizedContract):
    quantization = "nf4"
    method = PromptSpec(kind="prompt", length=4, init="random")


@needs_torchao
@pytest.mark.slow
class TestRsloraOnInt8(QuantizedContract):
    method = RsloraSpec(kind="rslora", rank=2)


@needs_bitsandbytes
@pytest.mark.slow
class TestAdaloraOnNF4(QuantizedContract):
    quantization = "nf4"
    method = AdaloraSpec(kind="adalora", rank=2, initial_rank=3, alpha=100)


@needs_torchao
@pytest.mark.parametrize("kind", ["ia3", "ln_tuning", "oft", "vera"])
def test_methods_of_peft_that_read_no_weights_train_beside_quantized_ones(kind):
    model = quantized("flan", "int8")
    spec = TUNED_KINDS[kind](kind=kind)
    adapted = attach(model, spec, generator=torch.Generator().manual_seed(0), tokenizer=None)
    counts = footprint(adapted, batch())
    assert counts.trainable == counts.receiving_gradient > 0


@needs_torchao
@pytest.mark.parametrize("kind", ["dora", "pissa"])
def test_methods_of_peft_that_read_weights_do_not_fit_quantized_ones(kind):
    spec = TUNED_KINDS[kind](kind=kind)
    with pytest.raises(UnfitError, match=r"reads the weights .* are quantized"):
        attach(quantized("flan", "int8"), spec, generator=torch.Generator(), tokenizer=None)


def losses(kind, quantization, *, evaluations):
    """The losses of five steps of LoRA, and the gradients of all its matrices after the last."""
    model = quantized(kind, quantization)
    spec = LoraSpec(kind="lora", rank=2, targets="all-linear")
    adapted = attach(model, spec, generator=torch.Generator().manual_seed(0), tokenizer=None)
    optimizer = torch.optim.AdamW(adapted.parameters(), lr=0.01)
    found = []
    for step in range(5):
        if evaluations:
            model.eval()
            with torch.no_grad():
                family_of(model).read_and_predict(**batch())
        model.train()
        torch.manual_seed(step)  # of dropout
        optimizer.zero_grad()
        data = batch(seed=step)
        logits = adapted.family.logits(adapted.family.read_and_predict(**data)[data["labels"] >= 0])
        loss = torch.nn.functional.cross_entropy(logits, data["labels"][data["labels"] >= 0])
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found, [parameter.grad for parameter in adapted.parameters()]


@pytest.mark.slow
@both
@pytest.mark.parametrize("kind", KINDS)
def test_every_matrix_learns_after_evaluations_as_without_any(kind, quantization):
    found, gradients = losses(kind, quantization, evaluations=True)
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients)
    assert len(set(found)) == len(found)
    expected, _ = losses(kind, quantization, evaluations=False)
    assert found == pytest.approx(expected, rel=1e-6)


@both
@pytest.mark.parametrize("kind", ["flan", "t5", "llama", "gpt2", "bart", "led"])
def test_every_linear_layer_but_the_head_is_quantized(kind, quantization):
    model = quantized(kind, quantization)
    plain = {name for name, one in tiny(kind).named_modules() if type(one).__name__ in ("Linear", "Conv1D")}
    kept = {name for name, one in model.named_modules() if type(one).__name__ in ("Linear", "Conv1D")}
    assert kept == {"lm_head"}
    assert len(plain) > 1


QUICK = ("t5", "llama", "gpt2", "bart", "longt5")


@both
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in ("flan", *EVERY_KIND)],
)
def test_it_predicts_what_the_plain_model_with_the_dequantized_weights_predicts(kind, quantization):
    model, plain = quantized(kind, quantization), tiny(kind)
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, QuantizedLinear):
                weight = module.dequantized(torch.float32)
                turned = type(plain.get_submodule(name)).__name__ == "Conv1D"
                plain.get_submodule(name).weight.copy_(weight.t() if turned else weight)
        found, expected = (family_of(one).read_and_predict(**batch()) for one in (model, plain))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@both
@pytest.mark.parametrize("kind", ["flan", "llama", "gpt2"])
def test_merged_it_is_a_plain_model_that_predicts_the_same(kind, quantization, tmp_path):
    suite = QuantizedContract()
    suite.quantization, suite.method = quantization, LoraSpec(kind="lora", rank=2, targets="all-linear")
    adapted = suite.trained(suite.model(kind))
    expected = suite.logits(adapted)
    adapted.merge()
    adapted.model.save_pretrained(tmp_path)
    merged = type(adapted.model).from_pretrained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(suite.logits_of(merged, batch(seed=9)), expected, rtol=1e-4, atol=1e-4)


@both
def test_full_fine_tuning_is_refused(quantization):
    with pytest.raises(
        StudyError, match=r"quantized weights cannot be trained; leave out model\.quantization"
    ):
        attach(
            quantized("llama", quantization),
            FullSpec(kind="full"),
            generator=torch.Generator(),
            tokenizer=None,
        )
