import pytest
import torch
from peft import LoraConfig, get_peft_model

from helpers.method_contract import MethodContract
from helpers.models import batch, tiny, tiny_t5
from tuneoff.errors import StudyError
from tuneoff.methods import attach
from tuneoff.spec import LoraSpec


class TestLora(MethodContract):
    method = LoraSpec(kind="lora", rank=3)


class TestLoraOnAllLinearLayers(MethodContract):
    method = LoraSpec(kind="lora", rank=2, targets="all-linear")


@pytest.mark.slow
class TestGatedLora(MethodContract):
    method = LoraSpec(kind="lora", rank=2, targets="all-linear", gate=True)
    kinds = ("llama", "gpt2")
    halved = ("llama",)


def adapt(model, spec):
    return attach(model, spec, generator=torch.Generator().manual_seed(0), tokenizer=None)


def fill(parameters):
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def test_logits_equal_those_of_peft_with_the_same_weights():
    spec = LoraSpec(kind="lora", rank=4, alpha=8, targets=("q", "v", "wo"))
    ours = adapt(tiny_t5(), spec)
    fill(ours.parameters())
    peft = get_peft_model(tiny_t5(), LoraConfig(r=4, lora_alpha=8, target_modules=["q", "v", "wo"]))
    state = ours.parts[0].stored()
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "lora_" in name:
                key = name.removeprefix("base_model.model.").removesuffix(".default.weight")
                parameter.copy_(state[key])
        expected = peft.eval()(**batch()).logits
        torch.testing.assert_close(ours.model(**batch()).logits, expected)


def test_logits_equal_those_of_weights_with_the_product_added_by_hand():
    spec = LoraSpec(kind="lora", rank=2, alpha=6, targets=("k",))
    ours = adapt(tiny_t5(), spec)
    fill(ours.parameters())
    by_hand = tiny_t5()
    matrices = ours.parts[0].stored()
    with torch.no_grad():
        for name, module in by_hand.named_modules():
            if name.endswith(".k"):
                module.weight += 3.0 * matrices[f"{name}.lora_B"] @ matrices[f"{name}.lora_A"]
        torch.testing.assert_close(ours.model(**batch()).logits, by_hand(**batch()).logits)


def test_it_starts_as_the_base():
    ours = adapt(tiny_t5(), LoraSpec(kind="lora"))
    torch.testing.assert_close(ours.model(**batch()).logits, tiny_t5()(**batch()).logits)


def test_all_linear_leaves_out_the_head():
    ours = adapt(tiny_t5(), LoraSpec(kind="lora", targets="all-linear"))
    names = {name.rsplit(".", 2)[-2] for name in ours.stored()}
    assert names == {"q", "k", "v", "o", "wi_0", "wi_1", "wo"}


@pytest.mark.parametrize(
    ("kind", "targets", "updated"),
    [
        ("flan", ("q", "wo"), 2 * 2 + 3),  # the decoder has two layers, and two attentions in each
        ("llama", ("q_proj", "down_proj"), 2 * 2),
    ],
)
def test_layers_are_those_of_peft(kind, targets, updated):
    ours = adapt(tiny(kind), LoraSpec(kind="lora", rank=2, targets=targets, layers_to_transform=(2, 1)))
    config = LoraConfig(r=2, target_modules=list(targets), layers_to_transform=[2, 1])
    theirs = get_peft_model(tiny(kind), config).state_dict()
    names = {name.removeprefix("base_model.model.") for name in theirs if "lora_" in name}
    assert {name.removesuffix(".default.weight") for name in names} == set(ours.parts[0].stored())
    assert len(names) == 2 * updated


def test_a_layer_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(StudyError, match=r"got 3 \(those of this model: 0, 1 and 2\)"):
        adapt(tiny_t5(), LoraSpec(kind="lora", layers_to_transform=(1, 3)))
    with pytest.raises(StudyError, match=r"got 0 \(those of this model: none\)"):
        adapt(tiny_t5(), LoraSpec(kind="lora", targets=("lm_head",), layers_to_transform=(0,)))


def test_a_layer_that_is_named_twice_is_refused():
    with pytest.raises(ValueError, match=r"must not repeat, but got \[1, 2, 1\]"):
        LoraSpec(kind="lora", layers_to_transform=(1, 2, 1))


def test_a_target_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(StudyError, match=r"'query'.*it has k, lm_head, o, q, v"):
        adapt(tiny_t5(), LoraSpec(kind="lora", targets=("q", "query")))


def test_a_target_can_name_one_stack():
    ours = adapt(tiny_t5(), LoraSpec(kind="lora", targets=("decoder.q", "wo")))
    names = {name.removesuffix(".lora_A").removesuffix(".lora_B") for name in ours.parts[0].stored()}
    queries = {name for name in names if name.endswith(".q")}
    # the decoder has 2 layers of 2 attentions; wo stands in all 3 + 2 layers
    assert len(queries) == 4
    assert all(name.startswith("decoder.") for name in queries)
    assert len(names) == 4 + 5


def test_a_gate_multiplies_the_update_of_each_token():
    spec = LoraSpec(kind="lora", rank=2, alpha=6, targets=("k",), gate=True)
    ours = adapt(tiny_t5(), spec)
    fill(ours.parameters())
    by_hand, stored = tiny_t5(), ours.parts[0].stored()

    def add(name):
        def hook(module, inputs, output):
            (x,) = inputs
            weight, bias = stored[f"{name}.gate.weight"], stored[f"{name}.gate.bias"]
            gate = 1 / (1 + torch.exp(-torch.einsum("nth,h->nt", x, weight) - bias))
            product = 3.0 * stored[f"{name}.lora_B"] @ stored[f"{name}.lora_A"]
            return output + torch.einsum("nt,nth,oh->nto", gate, x, product)

        return hook

    for name, module in by_hand.named_modules():
        if name.endswith(".k"):
            module.register_forward_hook(add(name))
    with torch.no_grad():
        torch.testing.assert_close(ours.model(**batch()).logits, by_hand(**batch()).logits)


def test_a_gated_update_is_deployed_as_it_cannot_be_merged():
    gated = adapt(tiny_t5(), LoraSpec(kind="lora", rank=2, gate=True)).parts[0]
    assert gated.deployed() == sum(parameter.numel() for parameter in gated.parameters())
    assert adapt(tiny_t5(), LoraSpec(kind="lora", rank=2)).parts[0].deployed() == 0
