"""Methods on BART and its kin, and on T5's kin that are classes of their own."""

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
from torch.nn.functional import cross_entropy

from helpers.encoder_decoders import END, KINDS, PAD, START, tiny_encoder_decoder
from helpers.method_contract import MethodContract
from helpers.models import batch, tiny, word_tokenizer
from tuneoff.families import family_of
from tuneoff.methods import AdaptedModel, attach, load, save
from tuneoff.spec import DropoutSpec, FullSpec, LoraSpec, Method, PrefixSpec, PromptSpec, StackSpec
from tuneoff.training.likelihood import Objective, label_losses

LORA = LoraSpec(kind="lora", rank=3, targets=("q_proj", "v_proj"))
T5_LORA = LoraSpec(kind="lora", rank=3, targets=("q", "v"))
PREFIX = PrefixSpec(kind="prefix", length=4)
PROMPT = PromptSpec(kind="prompt", length=4)
STACK = StackSpec(kind="stack", parts=(LORA, PREFIX, PROMPT))
BIASED = ("mt5", "umt5")
"""Kinds with a position bias, and T5's names."""


def adapt(kind: str, method: Method) -> AdaptedModel:
    generator = torch.Generator().manual_seed(0)
    return attach(tiny_encoder_decoder(kind), method, generator=generator, tokenizer=word_tokenizer())


class OnBart(MethodContract):
    """The whole contract on one of BART's kin, whose targets begin with a given token."""

    kinds = ("bart",)
    tokenizer = word_tokenizer()

    @pytest.fixture
    def dtype(self):
        return torch.float32

    def adapt(self, model, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return attach(
            model, self.method, generator=generator, tokenizer=self.tokenizer, removable=True
        )



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
