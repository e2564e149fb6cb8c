"""Methods on BART and its kin, and on T5's kin that are classes of their own."""

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, TaskType, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import DynamicCache, EncoderDecoderCache

from helpers.encoder_decoders import END, KINDS, PAD, tiny_encoder_decoder
from helpers.method_contract import MethodContract
from helpers.models import batch, tiny, word_tokenizer
from tuneoff.families import Family, family_of
from tuneoff.methods import AdaptedModel, attach, footprint
from tuneoff.spec import DropoutSpec, FullSpec, LoraSpec, Method, NoneSpec, PrefixSpec, PromptSpec, StackSpec
from tuneoff.training.generation import greedy
from tuneoff.training.likelihood import Objective, label_losses

LORA = LoraSpec(kind="lora", rank=3, targets=("q_proj", "v_proj"))
T5_LORA = LoraSpec(kind="lora", rank=3, targets=("q", "v"))
PREFIX = PrefixSpec(kind="prefix", length=4)
PROMPT = PromptSpec(kind="prompt", length=4)
STACK = StackSpec(kind="stack", parts=(LORA, PREFIX, PROMPT))
BIASED = ("mt5", "umt5")
"""Kinds with a position bias, and T5's names."""


def each(*kinds: str) -> pytest.MarkDecorator:
    """Return a mark that tests each of the kinds; all but two repeat the tests of these."""
    quick = ("bart", "mt5")
    cases = [kind if kind in quick else pytest.param(kind, marks=pytest.mark.slow) for kind in kinds]
    return pytest.mark.parametrize("kind", cases)


def adapt(kind: str, method: Method) -> AdaptedModel:
    generator = torch.Generator().manual_seed(0)
    return attach(tiny_encoder_decoder(kind), method, generator=generator, tokenizer=word_tokenizer())


class OnBart(MethodContract):
    """The whole contract on one of BART's kin, whose targets begin with a given token."""

    kinds = ("bart",)
    halved = ()
    tokenizer = word_tokenizer()

    def adapt(self, model, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return attach(model, self.method, generator=generator, tokenizer=self.tokenizer, removable=True)


class TestLora(OnBart):
    method = LORA


class TestPrefix(OnBart):
    method = PREFIX


class TestPrefixOfWords(OnBart):
    method = PrefixSpec(kind="prefix", length=4, init="vocabulary")


class TestPrompt(OnBart):
    method = PROMPT


class TestStack(OnBart):
    method = STACK
    quick = ("bart",)


class TestStackOnItsKin(OnBart):
    method = STACK
    kinds = ("mbart", "pegasus", "marian", "m2m")


class TestStackOnKinOfT5(OnBart):
    method = StackSpec(kind="stack", parts=(T5_LORA, PREFIX, PROMPT))
    kinds = BIASED


def base(kind: str) -> Family:
    return adapt(kind, NoneSpec(kind="none")).family


def starts(family: Family) -> list[int]:
    config = family.model.config
    first = getattr(config, "first_target_token_id", None)
    return [config.decoder_start_token_id, *([] if first is None else [first])]


@pytest.mark.parametrize("kind", ["pegasus", "marian"])
def test_fixed_positions_are_no_parameters(kind):
    adapted = adapt(kind, FullSpec(kind="full"))
    counts = footprint(adapted, batch())
    assert counts.trainable == counts.receiving_gradient == counts.base
    assert not any("embed_positions" in name for name in adapted.stored())


@each(*KINDS)
def test_the_loss_is_that_of_transformers(kind):
    family, rows = base(kind), batch()
    given, labels = starts(family), rows["labels"]
    decoded = torch.cat([torch.tensor([given] * 3), labels[:, :-1].clamp(min=PAD)], dim=1)
    ignored = torch.full((3, len(given) - 1), -100)
    with torch.no_grad():
        expected = family.model(
            input_ids=rows["input_ids"],
            attention_mask=rows["attention_mask"],
            decoder_input_ids=decoded,
            labels=torch.cat([ignored, labels], dim=1),
        ).loss
        torch.testing.assert_close(Objective(family)(**rows, targets=10), expected)


@each(*KINDS)
@pytest.mark.parametrize("beams", [1, 3])
def test_texts_are_those_that_transformers_generates(kind, beams):
    family, rows = base(kind), batch()
    ids, mask = rows["input_ids"], rows["attention_mask"]
    config = family.model.config
    expected = family.model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=8,
        num_beams=beams,
        do_sample=False,
        early_stopping=False,
        length_penalty=1.0,
        forced_bos_token_id=getattr(config, "first_target_token_id", None),
        suppress_tokens=None if kind in BIASED else [PAD],
    )[:, len(starts(family)) :]
    limits = {"eos_token_id": END, "pad_token_id": PAD, "max_new_tokens": 9 - len(starts(family))}
    with torch.no_grad():
        context = family.read(ids, mask)
        found = (
            greedy(family, [context], rows=context.rows, **limits)
            if beams == 1
            else context.beam_search(beams=beams, **limits)
        )
    assert found[:, : expected.shape[1]].tolist() == expected.tolist()


@each(*KINDS)
@torch.no_grad()
def test_labels_are_scored_as_each_of_them_alone(kind):
    family, rows = base(kind), batch()
    labels = torch.tensor([[5, 6, END], [7, END, -100]])
    found = label_losses(family, family.read(rows["input_ids"], rows["attention_mask"]), labels)
    for row, length in enumerate(rows["attention_mask"].sum(dim=1)):
        for column, label in enumerate(labels):
            text = label[label >= 0]
            decoded = torch.cat([torch.tensor(starts(family)), text[:-1]])[None]
            ids = rows["input_ids"][row : row + 1, :length]
            logits = family.model(input_ids=ids, decoder_input_ids=decoded).logits[0, -len(text) :]
            expected = cross_entropy(logits, text, reduction="sum")
            torch.testing.assert_close(found[row, column], expected, rtol=1e-4, atol=1e-4)


@each(*KINDS)
@torch.no_grad()
def test_lora_gives_the_logits_of_peft(kind):
    ours = adapt(kind, T5_LORA if kind in BIASED else LORA)
    generator = torch.Generator().manual_seed(5)
    for parameter in ours.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    targets = [*ours.parts[0].spec.targets]
    peft = get_peft_model(
        tiny_encoder_decoder(kind), LoraConfig(r=3, lora_alpha=16, target_modules=targets)
    ).eval()
    state = ours.parts[0].stored()
    for name, parameter in peft.named_parameters():
        if "lora_" in name:
            key = name.removeprefix("base_model.model.").removesuffix(".default.weight")
            parameter.copy_(state[key])
    torch.testing.assert_close(ours.model(**batch()).logits, peft(**batch()).logits, rtol=1e-4, atol=1e-4)


# PEFT gives Pegasus and Marian embeddings that they do not scale
@each("bart", "mbart", "m2m", *BIASED)
@torch.no_grad()
def test_a_soft_prompt_gives_the_logits_of_peft(kind):
    ours = adapt(kind, PROMPT)
    config = PromptTuningConfig(
        task_type=TaskType.SEQ_2_SEQ_LM, num_virtual_tokens=4, num_transformer_submodules=1
    )
    peft = get_peft_model(tiny_encoder_decoder(kind), config).eval()
    peft.prompt_encoder.default.embedding.weight.copy_(ours.stored()["prompt.prompt"])
    prompted = batch(prompt_ids=ours.prompt_ids)
    torch.testing.assert_close(ours.model(**prompted).logits, peft(**batch()).logits, rtol=1e-4, atol=1e-4)


@each(*KINDS)
@torch.no_grad()
def test_a_prompt_of_words_begins_as_those_words(kind):
    ours = adapt(kind, PromptSpec(kind="prompt", length=3, init="text", init_text="w5 w6 w7"))
    text = torch.tensor([[8, 9, 10]])
    prompt, words = torch.tensor([ours.prompt_ids]), torch.tensor([[5, 6, 7]])
    with_prompt, with_words = (torch.cat([first, text], dim=1) for first in (prompt, words))
    mask = torch.ones_like(with_words)
    actual = ours.family.encoder.encode(with_prompt, mask)
    torch.testing.assert_close(actual, base(kind).encoder.encode(with_words, mask))


@each(*BIASED)
@torch.no_grad()
def test_a_prefix_with_positions_is_what_the_decoder_has_written_before(kind):
    words, text = torch.tensor([[5, 6, 7, 8]]), torch.tensor([[9, 10, 11]])
    ids = torch.tensor([[12, 13, 14]])
    decoder = base(kind).model.get_decoder()
    read = base(kind).encoder.encode(ids, torch.ones_like(ids))
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    passed = {"encoder_hidden_states": read, "past_key_values": cache, "use_cache": True}
    decoder(input_ids=words, **passed)
    layers = cache.self_attention_cache.layers
    pairs = torch.stack([torch.stack([layer.keys[0], layer.values[0]]).transpose(1, 2) for layer in layers])
    expected = decoder(input_ids=text, **passed).last_hidden_state
    ours = adapt(kind, PrefixSpec(kind="prefix", length=4, sites=("decoder",), relative_positions=True))
    ours.restore({"prefix.decoder": pairs})
    actual = ours.model.get_decoder()(input_ids=text, encoder_hidden_states=read).last_hidden_state
    torch.testing.assert_close(actual, expected)


@each(*KINDS)
@torch.no_grad()
def test_dropout_is_that_of_the_study(kind):
    family, rows = family_of(tiny(kind)), batch()
    evaluated = family.read_and_predict(**rows)
    family.model.train()
    assert family.encoder.reads_with_dropout()
    family.set_dropout(DropoutSpec(encoder=0.0, decoder=0.5, attention=0.0))
    assert not family.encoder.reads_with_dropout()
    read, again = (family.encoder.encode(rows["input_ids"], rows["attention_mask"]) for _ in range(2))
    assert torch.equal(read, again)
    written, again = (family.read_and_predict(**rows) for _ in range(2))
    assert not torch.equal(written, again)
    family.set_dropout(DropoutSpec(decoder=0.0))
    torch.testing.assert_close(family.read_and_predict(**rows), evaluated)


@each(*KINDS)
@pytest.mark.parametrize("site", ["encoder", "decoder"])
def test_targets_of_lora_may_be_in_one_stack_alone(kind, site):
    target = f"{site}.{'q' if kind in BIASED else 'q_proj'}"
    names = adapt(kind, LoraSpec(kind="lora", targets=(target,))).stored()
    layers = 3 if site == "encoder" else 2 * 2
    assert len(names) == 2 * layers
    assert all(f"{site}." in name for name in names)
