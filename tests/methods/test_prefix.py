from functools import partial

import pytest
import torch
import torch.nn.functional as F
from peft import PrefixTuningConfig, TaskType, get_peft_model
from transformers import DynamicCache, EncoderDecoderCache

from helpers.method_contract import MethodContract
from helpers.models import batch, tiny_t5, word_tokenizer
from tuneoff.families import family_of
from tuneoff.methods import attach
from tuneoff.spec import PrefixSpec

SITES = ("encoder", "decoder", "cross")


class TestDirectPrefix(MethodContract):
    method = PrefixSpec(kind="prefix", length=4)


class TestProjectedPrefix(MethodContract):
    method = PrefixSpec(kind="prefix", length=4, projection=10)


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
