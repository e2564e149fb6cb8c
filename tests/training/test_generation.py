import pytest
import torch
from transformers import GenerationConfig
from transformers.modeling_outputs import BaseModelOutput

from helpers.models import PAD, VOCABULARY, tiny_t5
from tuneoff.kernels import argmax
from tuneoff.methods import attach
from tuneoff.spec import LoraSpec, NoneSpec, PrefixSpec
from tuneoff.training import likelihood
from tuneoff.training.generation import greedy

ROWS, LIMIT, NEVER = 48, 12, VOCABULARY + 1
METHODS = {
    "none": NoneSpec(kind="none"),
    "lora": LoraSpec(kind="lora"),
    "lora at the output": LoraSpec(kind="lora", targets=("lm_head",)),
    "prefix": PrefixSpec(kind="prefix", length=3),
}


def inputs():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, VOCABULARY, (ROWS, 9), generator=generator)
    mask = (torch.arange(9) < torch.randint(2, 10, (ROWS, 1), generator=generator)).long()
    return ids * mask, mask


def first_places(texts, token):
    """Where in its text a token stands first, for the texts that have it."""
    found = texts == token
    return found.float().argmax(dim=1)[found.any(dim=1)]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("part", [7, pytest.param(VOCABULARY, marks=pytest.mark.slow)])
@torch.no_grad()
def test_texts_equal_those_of_transformers(method, part, monkeypatch):
    monkeypatch.setattr(argmax, "PART", part)
    generator = torch.Generator().manual_seed(0)
    adapted = attach(tiny_t5(), method, generator=generator, tokenizer=None)
    for parameter in adapted.parameters():
        parameter.normal_(std=0.3, generator=generator)
    model, family = adapted.model, adapted.family
    ids, mask = inputs()
    encoder_outputs = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state

    def ours(end, context=None):
        context = context or family.encoder.context(encoder_outputs, mask)
        return greedy(family, context, max_new_tokens=LIMIT, eos_token_id=end, pad_token_id=PAD)

    def theirs(end):
        config = GenerationConfig(
            max_new_tokens=LIMIT,
            do_sample=False,
            pad_token_id=PAD,
            eos_token_id=end,
            decoder_start_token_id=PAD,
        )
        wrapped = BaseModelOutput(last_hidden_state=encoder_outputs)
        texts = model.generate(encoder_outputs=wrapped, attention_mask=mask, generation_config=config)
        return torch.nn.functional.pad(texts[:, 1:], (0, LIMIT + 1 - texts.shape[1]), value=PAD)

    endless = ours(NEVER)
    assert torch.equal(endless, theirs(NEVER))
    # the token that ends texts at the most different places
    end = max(range(1, VOCABULARY), key=lambda token: len(first_places(endless, token).unique()))
    assert len(first_places(endless, end).unique()) > 2
    assert torch.equal(ours(end), theirs(end))
    # the keys and values that a loss has left
    context = family.encoder.context(encoder_outputs, mask)
    likelihood.token_losses(family, context, ids)
    assert torch.equal(ours(end, context), theirs(end))
