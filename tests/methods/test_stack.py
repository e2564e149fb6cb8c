import pytest
import torch

from helpers.method_contract import MethodContract
from helpers.models import batch, tiny_t5, word_tokenizer
from tuneoff.methods import attach
from tuneoff.spec import LoraSpec, PrefixSpec, PromptSpec, StackSpec

LORA = LoraSpec(kind="lora", rank=2, targets="all-linear")
PREFIX = PrefixSpec(kind="prefix", length=3, projection=8)
PROMPT = PromptSpec(kind="prompt", length=4)


@pytest.mark.slow
class TestLoraWithPrefix(MethodContract):
    method = StackSpec(kind="stack", parts=(PREFIX, LORA))
    kinds = ("flan", "llama")


class TestAllThree(MethodContract):
    quick = ("flan", "llama")
    learning_rate = 0.1  # at a higher one their weights grow to 11, and rounding with them
    method = StackSpec(kind="stack", parts=(PROMPT, PREFIX, LORA))
    tokenizer = word_tokenizer()


def adapt(method):
    return attach(tiny_t5(), method, generator=torch.Generator().manual_seed(0), tokenizer=word_tokenizer())


def test_all_linear_lora_leaves_a_projection_alone():
    stack = adapt(StackSpec(kind="stack", parts=(PREFIX, LORA)))
    assert not [name for name in stack.stored() if name.startswith("lora.prefixes")]


def test_the_order_in_which_parts_are_listed_does_not_matter():
    one = adapt(StackSpec(kind="stack", parts=(PROMPT, PREFIX, LORA)))
    other = adapt(StackSpec(kind="stack", parts=(LORA, PROMPT, PREFIX)))
    data = batch(prompt_ids=one.prompt_ids)
    assert torch.equal(one.model(**data).logits, other.model(**data).logits)
