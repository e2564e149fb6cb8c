"""Decoder-only models: what they read, how they are scored, and which checkpoints are taken."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from helpers import small
from helpers.model_files import change, load
from helpers.models import DECODER_ONLY, PAD, batch, tiny, word_tokenizer
from tuneoff.errors import ModelError, StoreError, StudyError
from tuneoff.families import family_of
from tuneoff.methods import attach, save
from tuneoff.methods import load as load_method
from tuneoff.spec import (
    ClassificationSpec,
    DropoutSpec,
    FullSpec,
    LoraSpec,
    NoneSpec,
    PrefixSpec,
    PromptSpec,
    expand,
)
from tuneoff.tasks import Example
from tuneoff.training import Decoder, encode, likelihood, train_run
from tuneoff.training.batches import collate
from tuneoff.training.generation import greedy
from tuneoff.training.random_tokenizer import random_tokenizer
from tuneoff.training.tokenizer import input_ids, target_ids

LABELS = {"a": "w5", "b": "w6 w7 w8", "c": "w9 w5"}
METHODS = {
    "none": NoneSpec(kind="none"),
    "full": FullSpec(kind="full", learning_rate=1e-3),
    "lora": LoraSpec(kind="lora", rank=2),
    "prefix": PrefixSpec(kind="prefix", length=3),
    "prompt": PromptSpec(kind="prompt", length=2, init="random"),
}
TUNED = [name for name in METHODS if name != "none"]


def labels_task(labels: dict[str, str]) -> ClassificationSpec:
    fields = {"kind": "classification", "source": {"builtin": "reviews"}, "prompt": "{x}", "target": "y"}
    return ClassificationSpec.model_validate(fields | {"labels": labels})


def decoder(method, task, batch_size=3) -> Decoder:
    generator = torch.Generator().manual_seed(0)
    adapted = attach(tiny("llama"), method, generator=generator, tokenizer=None)
    return Decoder(adapted, word_tokenizer(), task, batch_size, "float32")


def rows(labels: dict[str, str]):
    sources = ["w10 w11", "w12", "w13 w14 w15 w16", "w17 w18 w19", "w20 w21 w22 w23 w24 w25"]
    examples = [
        Example(row, source, source, labels[label], label)
        for row, (source, label) in enumerate(zip(sources, ["a", "b", "a", "b", "a"], strict=True))
    ]
    return encode(examples, word_tokenizer(), max_source_length=20, max_target_length=10)


def by_hand(model, prompt_ids, source, target) -> float:
    """Compute the log-likelihood of a target after a source by one forward pass over both."""
    ids = torch.tensor([[*prompt_ids, *source, *target]])
    with torch.no_grad():
        steps = model(input_ids=ids).logits[0, -len(target) - 1 : -1].double().log_softmax(-1)
    return steps.gather(1, torch.tensor(target)[:, None]).sum().item()


def test_an_input_has_no_end_and_a_target_does():
    (row,) = encode(
        [Example(0, "w10 w11 w12", "", "w5 w6", None)],
        word_tokenizer(),
        max_source_length=2,
        max_target_length=2,
    )
    assert [*row.input_ids] == [10, 11]
    assert [*row.labels] == [5, 1]
    assert row.truncated_input and row.truncated_target


def test_input_and_target_are_the_tokens_of_the_whole_text():
    tokenizer = random_tokenizer(ends_input=False)
    prompt, answer = "the food was great.\nsentiment:", "positive and more"
    joined = input_ids(tokenizer, [prompt])[0] + target_ids(tokenizer, [answer])[0]
    assert joined == [*input_ids(tokenizer, [f"{prompt} {answer}"])[0], tokenizer.eos_token_id]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("most", [1, likelihood.MOST_BYTES])
def test_label_likelihoods_equal_those_of_each_label_alone(method, most, monkeypatch):
    monkeypatch.setattr(likelihood, "MOST_BYTES", most)
    read = decoder(method, labels_task(LABELS))
    encoded = rows(LABELS)
    for row, answer in zip(encoded, read.answers(encoded), strict=True):
        expected = {
            label: by_hand(read.adapted.model, read.adapted.prompt_ids, row.input_ids, ids)
            for label, ids in zip(LABELS, target_ids(word_tokenizer(), [*LABELS.values()]), strict=True)
        }
        assert answer.log_likelihoods == pytest.approx(expected, rel=1e-4)
        assert answer.prediction == max(expected, key=expected.get)


def test_answers_depend_on_no_other_row_of_the_batch():
    encoded = rows(LABELS)
    read = decoder(METHODS["prefix"], labels_task(LABELS))
    alone = replace(read, batch_size=1).answers(encoded)
    for one, other in zip(read.answers(encoded), alone, strict=True):
        assert one.log_likelihoods == pytest.approx(other.log_likelihoods, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_run_trains_and_scores_labels(name, tmp_path: Path):
    overrides = ["model.id=builtin:random-llama", "training.max_steps=3", "methods.lora.targets=[q_proj]"]
    method_name = "lora" if name in TUNED else "zero_shot"
    runs = expand(small.spec(tmp_path, overrides))
    spec = next(run for run in runs if run.method_name == method_name)
    (tmp_path / "run").mkdir()
    record = train_run(spec.model_copy(update={"method": METHODS[name]}), tmp_path / "run")
    assert record.state == "complete", record.failure
    assert record.footprint.trainable == record.footprint.receiving_gradient
    assert (record.footprint.trainable > 0) == (name in TUNED)
    assert 0 <= record.scores["eval_accuracy"] <= 1


@pytest.mark.parametrize("site", ["encoder", "cross"])
def test_a_prefix_where_there_is_no_encoder_is_refused(site):
    with pytest.raises(StudyError, match=f"got {site}, and this one has decoder"):
        attach(
            tiny("llama"),
            PrefixSpec(kind="prefix", length=3, sites=(site,)),
            generator=torch.Generator(),
            tokenizer=None,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Llama as a checkpoint, without a token for padding."""
    tokenizer = random_tokenizer(ends_input=False)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        rope_theta=500.0,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@torch.no_grad()
@pytest.mark.parametrize("kind", DECODER_ONLY)
def test_a_checkpoint_of_each_family_gives_the_logits_that_transformers_gives(kind, tmp_path: Path):
    model = tiny(kind)
    model.save_pretrained(tmp_path)
    # a tokenizer of fewer tokens than the model has
    word_tokenizer().save_pretrained(tmp_path)
    ids = batch()["input_ids"][:1]
    torch.testing.assert_close(load(tmp_path).model(input_ids=ids).logits, model(input_ids=ids).logits)


@torch.no_grad()
def test_weights_saved_without_the_head_have_shorter_names(tmp_path: Path):
    model = tiny("gpt2")
    model.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    shorter = {name.removeprefix("transformer."): tensor for name, tensor in weights.items()}
    save_file(shorter, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ids = batch()["input_ids"][:1]
    torch.testing.assert_close(load(tmp_path).model(input_ids=ids).logits, model(input_ids=ids).logits)


@torch.no_grad()
def test_a_checkpoint_gives_the_logits_that_transformers_gives(folder):
    ids = torch.tensor([[5, 6, 7, 8]])
    expected = LlamaForCausalLM.from_pretrained(folder).eval()(input_ids=ids).logits
    torch.testing.assert_close(load(folder).model(input_ids=ids).logits, expected)


def test_a_tokenizer_without_padding_pads_with_its_end(folder):
    change(folder / "tokenizer_config.json", pad_token=None)
    tokenizer = load(folder).tokenizer
    assert tokenizer.pad_token_id == tokenizer.eos_token_id != PAD


def test_a_tokenizer_that_ends_inputs_is_refused(folder):
    random_tokenizer(ends_input=True).save_pretrained(folder)
    with pytest.raises(ModelError, match="must not end texts"):
        load(folder)


def test_heads_that_do_not_fit_are_refused(folder):
    change(folder / "config.json", num_key_value_heads=3)
    with pytest.raises(ModelError, match="num_key_value_heads must divide num_attention_heads"):
        load(folder)


def test_the_loss_is_that_of_transformers_with_the_input_ignored():
    model = tiny("llama")
    rows = batch()
    expected = []
    for ids, mask, labels in zip(rows["input_ids"], rows["attention_mask"], rows["labels"], strict=True):
        source, target = ids[mask > 0], labels[labels >= 0]
        whole = torch.cat([source, target])[None]
        counted = torch.cat([torch.full_like(source, -100), target])[None]
        expected.append(model(input_ids=whole, labels=counted).loss * len(target))
    loss = likelihood.Objective(family_of(model))(**rows, targets=10)
    torch.testing.assert_close(loss, sum(expected) / (rows["labels"] >= 0).sum())


def test_the_end_is_learned_where_padding_is_the_same_token():
    tokenizer = word_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    examples = [Example(0, "w10", "", "w5", None), Example(1, "w10 w11", "", "w5 w6 w7", None)]
    encoded = encode(examples, tokenizer, max_source_length=9, max_target_length=9)
    rows = collate(encoded, prompt_ids=(), pad_token_id=tokenizer.pad_token_id, device=torch.device("cpu"))
    assert rows["labels"].tolist() == [[5, 1, -100, -100], [5, 6, 7, 1]]
    model = tiny("llama")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    objective = likelihood.Objective(family_of(model))
    for _ in range(40):
        optimizer.zero_grad()
        objective(**rows, targets=6).backward()
        optimizer.step()
    with torch.no_grad():
        context = family_of(model).read(rows["input_ids"], rows["attention_mask"])
        texts = greedy(family_of(model), [context], rows=2, max_new_tokens=5, eos_token_id=1, pad_token_id=1)
    assert texts.tolist() == [[5, 1, 1, 1, 1], [5, 6, 7, 1, 1]]


def test_learned_positions_limit_the_tokens_and_computed_ones_do_not():
    assert family_of(tiny("gpt2")).most_tokens == 64
    assert family_of(tiny("llama")).most_tokens is None


@pytest.mark.parametrize("kind", DECODER_ONLY)
@torch.no_grad()
def test_dropout_is_that_of_the_study(kind):
    family, rows = family_of(tiny(kind)), batch()
    evaluated = family.read_and_predict(**rows)
    family.model.train()

    def varies() -> bool:
        return not torch.equal(family.read_and_predict(**rows), family.read_and_predict(**rows))

    for spec in (DropoutSpec(decoder=0.5), DropoutSpec(decoder=0.0, attention=0.5)):
        family.set_dropout(spec)
        assert varies()
    # of these, attention alone has dropout
    family.set_dropout(DropoutSpec(decoder=0.5, attention=0.0))
    assert varies() == (kind in ("gpt2", "gpt_neox", "opt", "phi"))
    family.set_dropout(DropoutSpec(decoder=0.0))
    torch.testing.assert_close(family.read_and_predict(**rows), evaluated)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "qwen2", "opt", "phi"])
def test_lora_on_every_linear_layer_gives_the_logits_of_peft(kind):
    ours = attach(tiny(kind), METHODS["lora"], generator=torch.Generator().manual_seed(0), tokenizer=None)
    peft = get_peft_model(
        tiny(kind), LoraConfig(r=2, lora_alpha=16, target_modules="all-linear", fan_in_fan_out=kind == "gpt2")
    )
    names = {
        name.removeprefix("base_model.model.").removesuffix(".default.weight"): parameter
        for name, parameter in peft.named_parameters()
        if "lora_" in name
    }
    stored = ours.parts[0].stored()
    assert names.keys() == stored.keys()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in names.items():
            stored[name].copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
            parameter.copy_(stored[name])
        ids = batch()["input_ids"][:1]
        expected = peft.eval()(input_ids=ids).logits
        torch.testing.assert_close(ours.model(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox"])
def test_a_prefix_gives_the_logits_of_peft_where_positions_count_it(kind):
    ours = attach(tiny(kind), METHODS["prefix"], generator=torch.Generator().manual_seed(0), tokenizer=None)
    peft = get_peft_model(tiny(kind), PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)).eval()
    ids = batch()["input_ids"][:1]
    places = torch.arange(ids.shape[1])[None]
    with torch.no_grad():
        pairs = [
            torch.stack([layer.keys[0], layer.values[0]]).transpose(1, 2)
            for layer in peft.get_prompt(1).layers
        ]
        ours.restore({"prefix.decoder": torch.stack(pairs)})
        expected = peft(input_ids=ids).logits
        torch.testing.assert_close(ours.model(input_ids=ids, position_ids=places + 3).logits, expected)


def test_a_saved_method_of_a_model_of_another_shape_is_refused_with_both(tmp_path: Path):
    adapted = attach(tiny("llama"), METHODS["lora"], generator=torch.Generator(), tokenizer=None)
    save(adapted, tmp_path / "adapter")
    message = r"for llama \(layers 3, .*kv_heads 2\), and this model is gpt2 \(layers 2, .*kv_heads 4\)"
    with pytest.raises(StoreError, match=message):
        load_method(tiny("gpt2"), tmp_path / "adapter")


def test_a_target_that_a_model_lacks_is_refused_with_those_that_it_has():
    method = LoraSpec(kind="lora", targets=("q", "v"))
    with pytest.raises(StudyError, match=r"'q' \(it has c_attn, c_fc, c_proj, lm_head"):
        attach(tiny("gpt2"), method, generator=torch.Generator(), tokenizer=None)
