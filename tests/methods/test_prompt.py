import pytest
import torch
from peft import PromptTuningConfig, TaskType, get_peft_model

from helpers.method_contract import MethodContract
from helpers.models import VOCABULARY, batch, tiny_t5, word_tokenizer
from tuneoff.errors import StudyError
from tuneoff.methods import attach
from tuneoff.spec import PromptSpec


class TestRandomPrompt(MethodContract):
    method = PromptSpec(kind="prompt", length=4, init="random")


class TestVocabularyPrompt(MethodContract):
    method = PromptSpec(kind="prompt", length=4)
    tokenizer = word_tokenizer()


def adapt(model, spec):
    return attach(model, spec, generator=torch.Generator().manual_seed(0), tokenizer=word_tokenizer())


def test_logits_equal_those_of_peft_with_the_same_weights():
    ours = adapt(tiny_t5(), PromptSpec(kind="prompt", length=4, init="random"))
    config = PromptTuningConfig(
        task_type=TaskType.SEQ_2_SEQ_LM, num_virtual_tokens=4, num_transformer_submodules=1
    )
    peft = get_peft_model(tiny_t5(), config).eval()
    with torch.no_grad():
        peft.prompt_encoder.default.embedding.weight.copy_(ours.stored()["prompt.prompt"])
        expected = peft(**batch()).logits
        actual = ours.model(**batch(prompt_ids=ours.prompt_ids)).logits
    torch.testing.assert_close(actual, expected)


def test_a_prompt_of_real_tokens_gives_the_logits_of_those_tokens():
    ours = adapt(tiny_t5(), PromptSpec(kind="prompt", length=3, init="text", init_text="w7 w9"))
    tokens = batch(prompt_ids=(7, 9, 7))
    actual = ours.model(**batch(prompt_ids=ours.prompt_ids)).logits
    torch.testing.assert_close(actual, tiny_t5()(**tokens).logits)


def test_vocabulary_rows_are_distinct_rows_of_the_embedding_and_not_special():
    model = tiny_t5()
    prompt = adapt(model, PromptSpec(kind="prompt", length=30)).stored()["prompt.prompt"]
    rows = [(model.shared.weight == vector).all(1).nonzero().item() for vector in prompt]
    assert len(set(rows)) == 30
    assert min(rows) > 2


def test_text_without_tokens_is_refused():
    with pytest.raises(StudyError, match="init_text"):
        adapt(tiny_t5(), PromptSpec(kind="prompt", init="text", init_text="  "))


def test_a_prompt_leaves_the_decoder_and_the_embedding_alone():
    model = tiny_t5()
    adapt(model, PromptSpec(kind="prompt", init="random"))
    assert model.decoder.get_input_embeddings().weight is model.shared.weight
    assert model.shared.num_embeddings == VOCABULARY
