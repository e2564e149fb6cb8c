from functools import partial

import pytest
import torch
import torch.nn.functional as F
from peft import PrefixTuningConfig, TaskType, get_peft_model
from transformers import DynamicCache, EncoderDecoderCache

from helpers.method_contract import MethodContract
from helpers.models import batch, tiny, tiny_t5, word_tokenizer
from tuneoff.families import family_of
from tuneoff.methods import attach
from tuneoff.spec import PrefixSpec

SITES = ("encoder", "decoder", "cross")


class TestDirectPrefix(MethodContract):
    method = PrefixSpec(kind="prefix", length=4)


class TestProjectedPrefix(MethodContract):
    method = PrefixSpec(kind="prefix", length=4, projection=10)


@pytest.mark.slow
class TestPrefixWithPositions(MethodContract):
    method = PrefixSpec(kind="prefix", length=4, relative_positions=True)
    kinds = ("flan", "t5")


class TestPrefixFromVocabulary(MethodContract):
    method = PrefixSpec(kind="prefix", length=4, init="vocabulary")
    tokenizer = word_tokenizer()


class TestEncoderPrefix(MethodContract):
    method = PrefixSpec(kind="prefix", length=4, sites=("encoder",))
    kinds = ("flan", "t5")


class TestCrossPrefix(MethodContract):
    method = PrefixSpec(kind="prefix", length=4, sites=("cross",))
    kinds = ("flan", "t5")


@pytest.mark.slow
class TestGatedPrefix(MethodContract):
    method = PrefixSpec(kind="prefix", length=4, projection=10, gate=True)
    kinds = ("flan", "t5", "gpt2", "gemma3_text", "gemma2")


@pytest.mark.slow
class TestPrefixFromText(MethodContract):
    method = PrefixSpec(kind="prefix", length=4, init="text", init_text="w7 w9 w11")
    tokenizer = word_tokenizer()
    kinds = ("llama",)
    is_drawn = False


class TestSemanticPrefix(MethodContract):
    method = PrefixSpec(kind="prefix", length=4, init="text", init_text="w7 w9 w11", semantic=True)
    tokenizer = word_tokenizer()
    kinds = ("flan", "llama", "bart", "gpt2", "gemma3_text")
    is_drawn = False


def adapt(model, **spec):
    return attach(
        model,
        PrefixSpec(kind="prefix", **spec),
        generator=torch.Generator().manual_seed(0),
        tokenizer=word_tokenizer(),
    )


def peft_prefix(model, *, projection=None):
    config = PrefixTuningConfig(
        task_type=TaskType.SEQ_2_SEQ_LM,
        num_virtual_tokens=4,
        token_dim=model.config.num_heads * model.config.d_kv,
        num_layers=model.config.num_decoder_layers,
        num_attention_heads=model.config.num_heads,
        prefix_projection=projection is not None,
        encoder_hidden_size=projection,
    )
    return get_peft_model(model, config).eval()


@pytest.mark.parametrize("kind", ["flan", "t5"])
def test_logits_at_the_decoder_equal_those_of_peft_with_the_same_weights(kind):
    ours = adapt(tiny_t5(kind), length=4, sites=("decoder",), relative_positions=True)
    peft = peft_prefix(tiny_t5(kind))
    # read from the cache that PEFT fills, since it gives layer i of an encoder-decoder the pair 2i mod L
    layers = peft.get_prompt(1).self_attention_cache.layers
    with torch.no_grad():
        pairs = [torch.stack([layer.keys[0], layer.values[0]]).transpose(1, 2) for layer in layers]
        ours.restore({"prefix.decoder": torch.stack(pairs)})
        torch.testing.assert_close(ours.model(**batch()).logits, peft(**batch()).logits)


def test_a_projection_gives_what_that_of_peft_gives_with_the_same_weights():
    ours = adapt(tiny_t5(), length=4, sites=("decoder",), projection=10)
    encoder = peft_prefix(tiny_t5(), projection=10).prompt_encoder.default
    prefix = ours.model.prefixes["decoder"]
    with torch.no_grad():
        encoder.embedding.weight.copy_(prefix.embedding)
        encoder.transform[0].load_state_dict(prefix.hidden.state_dict())
        encoder.transform[2].load_state_dict(prefix.output.state_dict())
        flat = encoder(torch.arange(4)[None])[0]  # [P, L * 2 * heads * d_kv]
    ours_flat = ours.stored()["prefix.decoder"].permute(2, 0, 1, 3, 4).reshape(4, -1)
    torch.testing.assert_close(ours_flat, flat)


def by_hand(module, query, key, value, mask, key_values, bias):
    """Compute softmax attention with a prepended prefix by its formula, one query at a time."""
    keys = torch.cat([key_values[0].transpose(0, 1).expand(len(key), -1, -1, -1), key], 2)
    values = torch.cat([key_values[1].transpose(0, 1).expand(len(key), -1, -1, -1), value], 2)
    scores = torch.einsum("bhqd,bhkd->bhqk", query, keys) + F.pad(bias, (len(key_values[0]), 0))
    hidden = F.pad(~mask, (len(key_values[0]), 0), value=False)
    return torch.einsum("bhqk,bhkd->bqhd", scores.masked_fill(hidden, -torch.inf).softmax(-1), values)


@pytest.mark.parametrize("site", SITES)
def test_attention_with_a_prefix_equals_the_formula_by_hand(site):
    ours = adapt(tiny_t5(), length=4, sites=(site,))
    module = ours.family.attentions(site)[1]
    seen = {}

    def keep(module, inputs, kwargs, output):
        seen.update(kwargs, hidden=inputs[0], output=output[0], bias=output[1])

    module.register_forward_hook(keep, with_kwargs=True)
    data = batch()
    with torch.no_grad():
        ours.model(**data)
        heads = (*seen["hidden"].shape[:2], 6, 8)
        states = seen.get("key_value_states")
        states = seen["hidden"] if states is None else states
        query = module.q(seen["hidden"]).view(heads).transpose(1, 2)
        key = module.k(states).view(len(states), -1, 6, 8).transpose(1, 2)
        value = module.v(states).view(len(states), -1, 6, 8).transpose(1, 2)
        if site == "decoder":
            mask = torch.ones(5, 5, dtype=torch.bool).tril()[None, None]
        else:
            mask = data["attention_mask"].bool()[:, None, None]
        key_values = ours.stored()[f"prefix.{site}"][1]
        expected = by_hand(module, query, key, value, mask, key_values, seen["bias"])
        torch.testing.assert_close(seen["output"], module.o(expected.flatten(2)))


def test_relative_positions_count_the_prefix_as_text_in_front():
    ours = adapt(tiny_t5(), length=4, sites=("encoder",), relative_positions=True)
    first = ours.family.attentions("encoder")[0]
    with torch.no_grad():
        bias = first.compute_bias(9 + 4, 9 + 4)[:, :, 4:, :4]
    from tuneoff.methods.prefix import _prefix_bias

    before_text = partial(ours.family.bias_before_text("encoder"), layer=0)
    actual = _prefix_bias(before_text, torch.zeros(1, 6, 9, 9), 4)
    assert torch.equal(actual, bias)


def test_a_cache_never_holds_the_prefix():
    ours = adapt(tiny_t5(), length=4)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    with torch.no_grad():
        ours.model(**batch(), past_key_values=cache, use_cache=True)
    assert cache.self_attention_cache.get_seq_length() == 5
    assert cache.cross_attention_cache.get_seq_length() == 9


def test_several_tokens_after_a_cache_see_the_prefix_and_the_past_alone():
    ours = adapt(tiny_t5(), length=4)
    data = batch()
    ids = torch.tensor([[0, 5, 6, 7], [0, 8, 9, 4], [0, 3, 3, 5]])
    del data["labels"]
    with torch.no_grad():
        whole = ours.model(**data, decoder_input_ids=ids).logits
        start = ours.model(**data, decoder_input_ids=ids[:, :2], use_cache=True)
        rest = ours.model(
            **data, decoder_input_ids=ids[:, 2:], past_key_values=start.past_key_values, use_cache=True
        )
    torch.testing.assert_close(rest.logits, whole[:, 2:])


def test_a_prefix_of_words_answers_nearly_as_the_keys_and_values_of_those_words():
    model = tiny_t5()
    stored = adapt(model, length=4, init="vocabulary", sites=("encoder",)).stored()["prefix.encoder"]
    first = family_of(model).attentions("encoder")[0]
    norm = model.encoder.block[0].layer[0].layer_norm
    with torch.no_grad():
        keys = first.k(norm(model.shared.weight)).view(-1, 6, 8)
    for position in range(4):
        assert torch.isclose(keys, stored[0, 0, position]).all(-1).all(-1).any()


def test_a_failed_forward_pass_leaves_no_prefix_and_no_hook():
    model = tiny_t5().train()
    hooks = [len(module._forward_hooks) for module in model.modules()]

    def fail(module, inputs, output):
        raise RuntimeError("no memory")

    handle = model.decoder.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="no memory"):
        adapt(model, length=4, init="vocabulary")
    handle.remove()
    assert model.training
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    ours = adapt(model, length=4)
    handle = family_of(model).attentions("encoder")[1].register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="no memory"):
        model(**batch())
    handle.remove()
    assert all(hooks._key_values is None for hooks in ours.parts[0]._hooks)


def test_two_models_with_prefixes_do_not_disturb_each_other():
    one, other = adapt(tiny_t5(), length=4), adapt(tiny_t5(), length=2)
    alone = one.model(**batch()).logits
    other.model(**batch())
    assert torch.equal(one.model(**batch()).logits, alone)


TEXT = {"init": "text", "init_text": "w7 w9 w11"}


@pytest.mark.parametrize("kind", ["flan", "bart", "llama", "gemma2"])
def test_a_gated_prefix_whose_gates_are_one_is_the_plain_one(kind):
    plain, gated = adapt(tiny(kind), length=4), adapt(tiny(kind), length=4, gate=True)
    data = batch()
    with torch.no_grad():
        expected = plain.family.read_and_predict(**data)
        for gate in gated.model.prefix_gates.modules():
            if hasattr(gate, "bias"):
                gate.bias.fill_(200.0)
        torch.testing.assert_close(gated.family.read_and_predict(**data), expected)


@pytest.mark.parametrize("site", SITES)
def test_attention_with_a_gated_prefix_equals_the_formula_by_hand(site):
    ours = adapt(tiny_t5(), length=4, sites=(site,), gate=True)
    generator = torch.Generator().manual_seed(3)
    module, gate = ours.family.attentions(site)[1], ours.model.prefix_gates[site][1]
    seen = {}

    def keep(module, inputs, kwargs, output):
        seen.update(kwargs, hidden=inputs[0], output=output[0], bias=output[1])

    module.register_forward_hook(keep, with_kwargs=True)
    data = batch()
    with torch.no_grad():
        gate.weight.normal_(generator=generator)
        gate.bias.fill_(0.3)
        ours.model(**data)
        hidden = seen["hidden"]
        states = seen.get("key_value_states")
        states = hidden if states is None else states
        query = module.q(hidden).view(*hidden.shape[:2], 6, 8).transpose(1, 2)
        key = module.k(states).view(len(states), -1, 6, 8).transpose(1, 2)
        value = module.v(states).view(len(states), -1, 6, 8).transpose(1, 2)
        mask = data["attention_mask"].bool()[:, None, None]
        if site == "decoder":
            mask = torch.ones(5, 5, dtype=torch.bool).tril()[None, None]
        key_values = ours.stored()[f"prefix.{site}"][1]
        bias = seen["bias"].expand(-1, -1, query.shape[2], -1)
        rows = []
        for position in range(
            query.shape[2]
        ):  # each token has a prefix of its own: a multiple of the trained
            one = slice(position, position + 1)
            visible = mask[:, :, one] if mask.shape[2] > 1 else mask
            for row in range(len(query)):
                share = torch.sigmoid(hidden[row, position] @ gate.weight + gate.bias)
                inputs = query[row : row + 1, :, one], key[row : row + 1], value[row : row + 1]
                visible_row = visible[row : row + 1] if len(visible) > 1 else visible
                rows.append(by_hand(module, *inputs, visible_row, share * key_values, bias[:, :, one]))
        expected = torch.cat(rows).view(query.shape[2], len(query), -1).transpose(0, 1)
        torch.testing.assert_close(seen["output"], module.o(expected))


def test_gates_are_trained_stored_and_removed():
    model = tiny("llama")
    adapted = adapt(model, length=4, gate=True)
    assert sorted(adapted.stored())[1:] == [
        f"prefix.gates.decoder.{layer}.{end}" for layer in range(3) for end in ("bias", "weight")
    ]
    adapted.family.read_and_predict(**batch()).square().mean().backward()
    assert all(gate.grad.any() for gate in model.prefix_gates.parameters())
    adapted.detach()
    assert not hasattr(model, "prefix_gates")


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "gpt2"])
def test_a_prefix_from_a_text_answers_as_the_model_does_behind_that_text(kind):
    # positions in front of the text are not the prefix's, so that they agree without positions alone
    model = tiny(kind)
    stored = adapt(tiny(kind), length=3, **TEXT).stored()["prefix.decoder"]
    ids = torch.tensor([[7, 9, 11]])
    cache = model.base_model(input_ids=ids, use_cache=True).past_key_values
    for layer, known in zip(stored, cache.layers, strict=True):
        torch.testing.assert_close(layer[0].transpose(0, 1), known.keys[0])
        torch.testing.assert_close(layer[1].transpose(0, 1), known.values[0])


@pytest.mark.parametrize("kind", ["flan", "llama"])
def test_a_semantic_prefix_starts_as_that_of_the_text_and_trains_one_matrix_a_site(kind):
    semantic, text = (adapt(tiny(kind), length=4, **TEXT, semantic=semantic) for semantic in (True, False))
    for name, value in text.stored().items():
        assert torch.equal(semantic.stored()[name], value)
    width = semantic.family.head_dim
    assert [one.shape for one in semantic.parameters()] == [(width, width)] * len(semantic.family.sites)
    matrix = torch.randn(width, width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in semantic.parameters():
            parameter.copy_(matrix)
    for name, value in text.stored().items():
        expected = torch.einsum("oi,lkphi->lkpho", matrix, value)
        torch.testing.assert_close(semantic.stored()[name], expected)


def test_dropout_of_a_semantic_prefix_is_for_training_alone():
    adapted = adapt(tiny("llama").train(), length=4, **TEXT, semantic=True, dropout=0.5)
    adapted.model.train()
    assert (adapted.model.prefixes["decoder"]() == 0).any()
    stored = adapted.stored()["prefix.decoder"]
    assert not (stored == 0).any()
    adapted.fold()
    assert torch.equal(adapted.model.prefixes["decoder"](), stored)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"init": "text"}, "go together"),
        ({"init_text": "w7"}, "go together"),
        ({"semantic": True}, "semantic"),
        ({**TEXT, "projection": 4}, "projection"),
        ({**TEXT, "dropout": 0.5}, "dropout"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PrefixSpec(kind="prefix", **settings)
