"""Decoder-only models: what they read, how they are scored, and which checkpoints are taken."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from helpers import small
from helpers.models import PAD, word_tokenizer
from tuneoff.errors import ModelError, StudyError
from tuneoff.methods import attach
from tuneoff.spec import (
    ClassificationSpec,
    FullSpec,
    LoraSpec,
    ModelSpec,
    NoneSpec,
    PrefixSpec,
    PromptSpec,
    expand,
)
from tuneoff.tasks import Example
from tuneoff.training import Backbone, Decoder, encode, likelihood, load_backbone, train_run
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
@pytest.mark.parametrize("part", [1, likelihood.PART])
def test_label_likelihoods_equal_those_of_each_label_alone(method, part, monkeypatch):
    monkeypatch.setattr(likelihood, "PART", part)
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


def load(folder: Path) -> Backbone:
    return load_backbone(ModelSpec(id=str(folder)))


def change(path: Path, **values: object) -> None:
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(settings | values), encoding="utf-8")


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
