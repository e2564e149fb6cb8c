"""Checkpoints of BART and its kin, and of T5's that are classes of their own."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import processors
from transformers import AutoModelForSeq2SeqLM, PreTrainedTokenizerFast

from helpers.encoder_decoders import KINDS, tiny_encoder_decoder
from helpers.model_files import change, load
from helpers.models import END, PAD, word_tokenizer
from tuneoff.errors import ModelError
from tuneoff.training.tokenizer import first_target_id, input_ids, target_ids

FIRST = 3


def tokenizer_with_a_first_token() -> PreTrainedTokenizerFast:
    """Return a tokenizer that writes w3 in front of each text, as BART's writes <s>."""
    tokenizer = word_tokenizer(ends_input=True)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="w3 $A </s>", special_tokens=[("w3", FIRST), ("</s>", END)]
    )
    return tokenizer


@pytest.fixture(params=KINDS)
def folder(request, tmp_path: Path) -> Path:
    return saved(request.param, tmp_path)


def saved(kind: str, folder: Path) -> Path:
    model = tiny_encoder_decoder(kind)
    model.config.first_target_token_id = None
    model.save_pretrained(folder)
    word_tokenizer(ends_input=True).save_pretrained(folder)
    return folder


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(input_ids=torch.tensor([[5, 6, 7, END]]), decoder_input_ids=torch.tensor([[2, 8, 9]])).logits


def test_a_checkpoint_gives_the_logits_that_transformers_gives(folder):
    found = load(folder).model
    assert not found.training
    assert all(parameter.dtype == torch.float32 for parameter in found.parameters())
    torch.testing.assert_close(logits(found), logits(AutoModelForSeq2SeqLM.from_pretrained(folder).eval()))


@pytest.mark.parametrize("kind", ["bart", "pegasus", "marian"])
def test_what_transformers_computes_may_be_left_out(kind, tmp_path):
    folder = saved(kind, tmp_path)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    fixed = () if kind == "bart" else ("embed_positions",)
    kept = {
        name: tensor
        for name, tensor in tensors.items()
        if not name.endswith("final_logits_bias") and not any(part in name for part in fixed)
    }
    save_file(kept, path, metadata={"format": "pt"})
    torch.testing.assert_close(
        logits(load(folder).model), logits(AutoModelForSeq2SeqLM.from_pretrained(folder).eval())
    )


def test_learned_positions_may_not_be_left_out(tmp_path):
    folder = saved("bart", tmp_path)
    path = folder / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(path).items() if "embed_positions" not in name}
    save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="missing keys"):
        load(folder)


def test_a_umt5_with_a_head_of_its_own_does_not_scale_for_one_that_is_tied(tmp_path):
    folder = saved("umt5", tmp_path)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["lm_head.weight"] = torch.randn(60, 32, generator=torch.Generator().manual_seed(0))
    save_file(tensors, path, metadata={"format": "pt"})
    model = load(folder).model
    ids = torch.tensor([[5, 6, END]])
    with torch.no_grad():
        hidden = model.get_decoder()(
            input_ids=torch.tensor([[PAD, 8]]), encoder_hidden_states=model.encoder(ids).last_hidden_state
        ).last_hidden_state
        expected = hidden @ tensors["lm_head.weight"].T
        found = model(input_ids=ids, decoder_input_ids=torch.tensor([[PAD, 8]])).logits
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encoder_attention_heads": 5}, "must be one divisor of d_model"),
        ({"decoder_attention_heads": 2}, "must be one divisor of d_model"),
        ({"activation_function": "none"}, "activation_function must be an activation"),
        ({"decoder_start_token_id": 60}, "decoder_start_token_id must be below the vocabulary's size, 60"),
        ({"d_model": "32"}, "d_model: Input should be a valid integer"),
        ({"encoder_layers": 4}, "missing keys"),
    ],
)
def test_an_impossible_config_is_refused(values, message, tmp_path):
    folder = saved("bart", tmp_path)
    change(folder / "config.json", **values)
    with pytest.raises(ModelError, match=message):
        load(folder)


def test_the_first_token_of_every_target_is_given_and_no_part_of_it():
    tokenizer = tokenizer_with_a_first_token()
    assert first_target_id(tokenizer) == FIRST
    assert target_ids(tokenizer, ["w5 w6", ""]) == [[5, 6, END], [END]]
    assert input_ids(tokenizer, ["w5"]) == [[FIRST, 5, END]]
    plain = word_tokenizer(ends_input=True)
    assert first_target_id(plain) is None
    assert target_ids(plain, ["w5"]) == [[5, END]]


@pytest.mark.parametrize(("forced", "expected"), [(None, FIRST), (4, 4)])
def test_a_decoder_is_given_the_token_of_its_config_or_else_that_of_its_tokenizer(forced, expected, tmp_path):
    folder = saved("bart", tmp_path)
    tokenizer_with_a_first_token().save_pretrained(folder)
    change(folder / "config.json", forced_bos_token_id=forced)
    assert load(folder).model.config.first_target_token_id == expected
