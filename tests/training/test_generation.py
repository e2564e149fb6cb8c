from functools import partial
from itertools import product

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig
from transformers.modeling_outputs import BaseModelOutput

from helpers.models import DECODER_ONLY, PAD, VOCABULARY, tiny, tiny_t5
from tuneoff.kernels import argmax
from tuneoff.methods import attach
from tuneoff.spec import LoraSpec, NoneSpec, PrefixSpec, PromptSpec
from tuneoff.training import likelihood
from tuneoff.training.generation import greedy

ROWS, LIMIT, NEVER = 48, 12, VOCABULARY + 1
METHODS = {
    "none": NoneSpec(kind="none"),
    "lora": LoraSpec(kind="lora"),
    "lora at the output": LoraSpec(kind="lora", targets=("lm_head",)),
    "prefix": PrefixSpec(kind="prefix", length=3),
    "prompt": PromptSpec(kind="prompt", length=3, init="random"),
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
    ids = torch.cat([torch.tensor([adapted.prompt_ids] * ROWS, dtype=torch.long), ids], dim=1)
    mask = torch.cat([mask.new_ones(ROWS, len(adapted.prompt_ids)), mask], dim=1)
    encoder_outputs = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state

    def ours(end, context=None):
        context = context or family.encoder.context(encoder_outputs, mask)
        return greedy(
            family, [context], rows=context.rows, max_new_tokens=LIMIT, eos_token_id=end, pad_token_id=PAD
        )

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
    likelihood.token_losses(family, context, inputs()[0])
    assert torch.equal(ours(end, context), theirs(end))


INPUTS = [
    torch.randint(2, VOCABULARY, (length,), generator=torch.Generator().manual_seed(length + 20 * number))
    for number, length in enumerate([12, 11, 11, 10, 10, 9, 9, 8, 8, 7, 7, 4, 2, 1])
]


@torch.no_grad()
def texts_of(adapted, parts, end, *, joins):
    """The texts of parts of `INPUTS`, and how many tokens have followed."""
    family, steps = adapted.family, []

    def counted(follow, tokens):
        steps.append(len(tokens))
        return follow(tokens)

    def contexts():
        for part in parts:
            inputs = [torch.cat([torch.tensor([*adapted.prompt_ids], dtype=torch.long), row]) for row in part]
            ids = pad_sequence(inputs, batch_first=True, padding_value=PAD)
            mask = pad_sequence([torch.ones_like(row) for row in inputs], batch_first=True)
            context = family.read(ids, mask)
            given = pad_sequence(part, batch_first=True, padding_value=-100)[:, :3]
            likelihood.token_losses(family, context, given)  # which is forgotten
            context.follow = partial(counted, context.follow)
            yield context

    limits = {"max_new_tokens": LIMIT, "eos_token_id": end, "pad_token_id": PAD}
    texts = greedy(family, contexts(), rows=sum(map(len, parts)), joins=joins, **limits)
    return texts, len(steps)


JOINING = ("flan", "t5", "mt5", "umt5", *DECODER_ONLY)


@pytest.mark.parametrize(
    ("kind", "method"),
    [*product(JOINING, ["none"]), *product(("flan", "llama"), ["lora", "prefix", "prompt"])],
)
def test_rows_that_are_continued_together_have_the_texts_that_they_have_alone(kind, method):
    generator = torch.Generator().manual_seed(0)
    adapted = attach(tiny(kind), METHODS[method], generator=generator, tokenizer=None)
    for parameter in adapted.parameters():
        parameter.data.normal_(std=0.3, generator=generator)
    endless, _ = texts_of(adapted, [[row] for row in INPUTS], NEVER, joins=False)
    end = max(range(2, VOCABULARY), key=lambda token: len(first_places(endless, token).unique()))
    # a text ends with its first `end`
    lengths = ((endless == end).cumsum(dim=1) == 0).sum(dim=1).add(1).clamp(max=LIMIT)
    expected = endless.masked_fill(torch.arange(LIMIT) >= lengths[:, None], PAD)
    parts = [INPUTS[:3], INPUTS[3:6], INPUTS[6:10], INPUTS[10:13], INPUTS[13:]]
    texts, steps = texts_of(adapted, parts, end, joins=True)
    assert torch.equal(texts, expected)
    # an encoder-decoder takes a step for the first token, too
    longest = [int(part.max()) for part in lengths.split([len(part) for part in parts])]
    assert steps < sum(longest) - (0 if adapted.family.encoder else len(parts))
