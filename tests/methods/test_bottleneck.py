"""Bottleneck adapters."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.activations import ACT2FN

from helpers.method_contract import MethodContract
from helpers.models import DECODER_ONLY, batch, tiny
from helpers.other_models import tiny_other
from tuneoff.errors import StudyError, UnfitError
from tuneoff.families import family_of
from tuneoff.families.other import MODELS
from tuneoff.families.sublayers import layers_of
from tuneoff.methods import attach
from tuneoff.spec import BottleneckSpec, LoraSpec, StackSpec

KINDS = ("flan", "llama", "bart", "gpt2", "gemma3_text")
NAMED = ("t5", "umt5", "bart", "marian", *DECODER_ONLY)


def spec(placement, **settings):
    return BottleneckSpec(kind="adapter", placement=placement, reduction=8, **settings)


@pytest.mark.slow
class TestHoulsby(MethodContract):
    method = spec("houlsby", activation="swish")
    kinds = KINDS


@pytest.mark.slow
class TestPfeiffer(MethodContract):
    method = spec("pfeiffer")
    kinds = ("flan", "gpt2")


class TestParallel(MethodContract):
    method = spec("parallel", activation="gelu")
    kinds = ("flan", "llama", "gpt2", "gemma3_text", "gpt_neox", "opt", "phi")


@pytest.mark.slow
class TestGated(MethodContract):
    method = spec("houlsby", gate=True)
    kinds = ("llama", "t5", "gpt_neox", "opt")
    halved = ("llama",)


@pytest.mark.slow
class TestAfterLora(MethodContract):
    method = StackSpec(
        kind="stack", parts=(spec("houlsby"), LoraSpec(kind="lora", rank=2, targets="all-linear"))
    )
    kinds = ("flan", "gpt2")
    halved = ()


def adapt(model, method):
    return attach(model, method, generator=torch.Generator().manual_seed(0), tokenizer=None)


def randomized(adapted):
    """Give an adapter weights that all count."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapted.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return adapted


@torch.no_grad()
def logits_of(model):
    family = family_of(model)
    return family.logits(family.read_and_predict(**batch()))


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["houlsby", "pfeiffer", "parallel"])
@pytest.mark.parametrize("kind", NAMED)
def test_at_first_a_model_computes_bit_for_bit_what_it_did(kind, placement):
    before = logits_of(tiny(kind))
    adapted = adapt(tiny(kind), spec(placement, gate=placement == "parallel"))
    assert torch.equal(logits_of(adapted.model), before)
    assert not torch.equal(logits_of(randomized(adapted).model), before)


COUNTS = {"flan": (12, 5), "bart": (12, 5), "llama": (6, 3), "gpt2": (4, 2), "gpt_neox": (6, 3)}
"""Sublayers of the tiny models, counted by hand: all of them, and feed-forward networks."""


@pytest.mark.parametrize(("kind", "counts"), COUNTS.items())
def test_every_attention_and_every_feed_forward_network_is_a_sublayer(kind, counts):
    sublayers = family_of(tiny(kind)).sublayers()
    ffn = [sublayer for sublayer in sublayers if sublayer.kind == "ffn"]
    assert (len(sublayers), len(ffn)) == counts


def added_by_hand(tensors, name, x, activation, scale, gate_input=None):
    """Compute scale U f(D x + d) + u by its formula."""
    down, up = (tensors[f"adapter.{name}.{end}.weight"] for end in ("down", "up"))
    d, u = (tensors[f"adapter.{name}.{end}.bias"] for end in ("down", "up"))
    inside = ACT2FN[activation](torch.einsum("bh,nth->ntb", down, x) + d)
    added = scale * (torch.einsum("hb,ntb->nth", up, inside) + u)
    if gate_input is None:
        return added
    weight, bias = (tensors[f"adapter.{name}.gate.{end}"] for end in ("weight", "bias"))
    return added / (1 + torch.exp(-((gate_input * weight).sum(-1, keepdim=True) + bias)))


@torch.no_grad()
def by_hand(kind, adapted, sublayers, x_of, **formula):
    """Return the logits of a new model, to whose sublayers the formula is added.

    `sublayers` are (the module that reads, the layer that ends) by name; `x_of(input, output)` chooses x.
    """
    model, tensors, read = tiny(kind), adapted.stored(), {}

    def keep(module, inputs, kwargs):
        read["input"] = inputs[0] if inputs else kwargs["hidden_states"]

    def add(name):
        def hook(module, inputs, output):
            x, source = x_of(read["input"], output), read["input"] if formula["gated"] else None
            shape = (*output.shape[-3:-1], -1) if output.dim() == 3 else (1, len(output), -1)
            flat = [None if one is None else one.view(shape) for one in (x, source)]
            return output + added_by_hand(
                tensors, name, flat[0], formula["activation"], formula["scale"], flat[1]
            ).view(output.shape)

        return hook

    for reads, ends in sublayers:
        model.get_submodule(reads).register_forward_pre_hook(keep, with_kwargs=True)
        model.get_submodule(ends).register_forward_hook(add(ends))
    return logits_of(model)


SUBLAYERS = {
    "flan": [
        *(
            (
                f"encoder.block.{layer}.layer.{place}.{module}",
                f"encoder.block.{layer}.layer.{place}.{module}.{end}",
            )
            for layer in range(3)
            for place, module, end in ((0, "SelfAttention", "o"), (1, "DenseReluDense", "wo"))
        ),
        *(
            (
                f"decoder.block.{layer}.layer.{place}.{module}",
                f"decoder.block.{layer}.layer.{place}.{module}.{end}",
            )
            for layer in range(2)
            for place, module, end in (
                (0, "SelfAttention", "o"),
                (1, "EncDecAttention", "o"),
                (2, "DenseReluDense", "wo"),
            )
        ),
    ],
    "gpt2": [
        (f"transformer.h.{layer}.{module}", f"transformer.h.{layer}.{module}.c_proj")
        for layer in range(2)
        for module in ("attn", "mlp")
    ],
    "llama": [
        (f"model.layers.{layer}.{module}", f"model.layers.{layer}.{module}.{end}")
        for layer in range(3)
        for module, end in (("self_attn", "o_proj"), ("mlp", "down_proj"))
    ],
    "opt": [
        (f"model.decoder.layers.{layer}.{reads}", f"model.decoder.layers.{layer}.{ends}")
        for layer in range(3)
        for reads, ends in (("self_attn", "self_attn.out_proj"), ("fc1", "fc2"))
    ],
}
"""Names of modules, as transformers has them."""
_ATTENTION = ("ttention.o", "self_attn.o_proj", "attn.c_proj", "out_proj")


@pytest.mark.parametrize("kind", SUBLAYERS)
def test_after_every_sublayer_it_is_the_formula_by_hand(kind):
    adapted = randomized(adapt(tiny(kind), spec("houlsby", activation="swish", gate=True)))
    expected = by_hand(
        kind, adapted, SUBLAYERS[kind], lambda read, out: out, activation="silu", scale=1.0, gated=True
    )
    torch.testing.assert_close(logits_of(adapted.model), expected)


@pytest.mark.parametrize("kind", SUBLAYERS)
@pytest.mark.parametrize(("placement", "scale"), [("pfeiffer", 1.0), ("parallel", 4.0)])
def test_at_the_feed_forward_network_it_is_the_formula_by_hand(kind, placement, scale):
    adapted = randomized(adapt(tiny(kind), spec(placement)))
    networks = [(reads, ends) for reads, ends in SUBLAYERS[kind] if not ends.endswith(_ATTENTION)]
    expected = by_hand(
        kind,
        adapted,
        networks,
        lambda read, out: read if placement == "parallel" else out,
        activation="relu",
        scale=scale,
        gated=False,
    )
    torch.testing.assert_close(logits_of(adapted.model), expected)


HUB = Path(__file__).with_name("adapterhub.safetensors")
"""Weights and logits that AdapterHub computed, by benchmarks/adapterhub_logits.py."""
_BART_SIZES = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 16,
}
_T5_SIZES = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 1, "num_heads": 2}
HUB_CASES = {
    "t5-houlsby": (T5ForConditionalGeneration, T5Config(vocab_size=24, **_T5_SIZES), "swish"),
    "bart-houlsby": (BartForConditionalGeneration, BartConfig(vocab_size=24, **_BART_SIZES), "swish"),
    "bart-parallel": (BartForConditionalGeneration, BartConfig(vocab_size=24, **_BART_SIZES), "relu"),
    "gpt2-pfeiffer": (
        GPT2LMHeadModel,
        GPT2Config(vocab_size=24, n_embd=16, n_layer=2, n_head=2, n_positions=16),
        "relu",
    ),
}


@pytest.mark.parametrize("case", HUB_CASES)
@torch.no_grad()
def test_logits_equal_those_of_adapterhub_with_the_same_weights(case):
    model_class, config, activation = HUB_CASES[case]
    tensors = {name: value for name, value in load_file(HUB).items() if name.startswith(case)}
    model = model_class(config).eval()
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[f"{case}/model/{name}"])
    method = BottleneckSpec(
        kind="adapter", placement=case.partition("-")[2], reduction=4, activation=activation
    )
    adapted, start = adapt(model, method), f"{case}/adapter/"
    adapted.restore(
        {
            f"adapter.{name.removeprefix(start)}": value
            for name, value in tensors.items()
            if name.startswith(start)
        }
    )
    assert sum(name.startswith(start) for name in tensors) == len(adapted.stored())
    ids = tensors[f"{case}/ids"]
    inputs = {"decoder_input_ids": ids[:, :4]} if config.is_encoder_decoder else {}
    logits = model(input_ids=ids, **inputs).logits
    torch.testing.assert_close(logits, tensors[f"{case}/logits"])


def test_a_gate_is_trained():
    adapted = adapt(tiny("llama"), spec("parallel", gate=True))
    gates = [gate for name, gate in adapted.stored().items() if ".gate." in name]
    assert not any(gate.any() for gate in gates)
    optimizer = torch.optim.SGD(adapted.parameters(), lr=0.5)
    for _ in range(2):  # after the first step U is not zero any more
        adapted.family.read_and_predict(**batch()).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all(gate.any() for gate in gates)


def test_a_failed_forward_pass_leaves_no_activation():
    adapted = adapt(tiny("flan"), spec("parallel"))

    def fail(module, inputs, output):
        raise RuntimeError("no memory")

    handle = adapted.model.encoder.block[1].layer[1].DenseReluDense.wi_0.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="no memory"):
        adapted.model(**batch())
    handle.remove()
    assert all(hooks._input is None for hooks in adapted.parts[0]._hooks)


def test_a_reduction_beyond_the_width_is_refused():
    with pytest.raises(StudyError, match="reduction=64"):
        adapt(tiny("llama"), BottleneckSpec(kind="adapter", reduction=64))


# prophetnet and fsmt are refused before
@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(set(MODELS) - {"prophetnet", "fsmt"}))
def test_models_without_a_family_have_it_where_their_sublayers_are_known(model_type):
    before = logits_of(tiny_other(model_type))
    adapted = adapt(tiny_other(model_type), spec("houlsby"))
    layers = [layer for stack in ("encoder", "decoder") for layer in layers_of(adapted.family.stack(stack))]
    ffn = [one for one in adapted.family.sublayers() if one.kind == "ffn"]
    assert len(ffn) == len(layers)
    torch.testing.assert_close(logits_of(adapted.model), before, rtol=1e-5, atol=3e-5)
    assert not torch.allclose(logits_of(randomized(adapted).model), before, rtol=1e-5, atol=3e-5)


def test_a_model_whose_sublayers_are_not_known_is_refused():
    with pytest.raises(UnfitError, match="after attention and feed-forward"):
        adapt(tiny_other("prophetnet"), spec("houlsby"))


def test_a_gate_is_refused_where_what_attention_reads_is_not_known():
    adapted = adapt(tiny_other("pegasus_x"), spec("houlsby", gate=True))
    with pytest.raises(UnfitError, match="leave gate out"):
        logits_of(adapted.model)
