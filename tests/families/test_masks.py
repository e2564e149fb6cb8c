"""A training step has nothing to ask its device for, so that a GPU is waited for at the end of it alone."""

import pytest
import torch

from helpers.encoder_decoders import KINDS
from helpers.models import DECODER_ONLY, batch, tiny
from tuneoff.families import causal, family_of, masks
from tuneoff.methods import attach
from tuneoff.spec import BottleneckSpec, FullSpec, LoraSpec, PrefixSpec, PromptSpec
from tuneoff.training.likelihood import Objective

METHODS = [
    FullSpec(kind="full"),
    LoraSpec(kind="lora", rank=2),
    PrefixSpec(kind="prefix", length=2),
    PromptSpec(kind="prompt", length=2, init="random"),
    BottleneckSpec(kind="adapter"),
]


@pytest.fixture(autouse=True)
def _nothing_asked_of_positions(monkeypatch):
    """transformers asks whether several texts are packed into a row, before it computes anything."""
    monkeypatch.setattr("transformers.masking_utils.find_packed_sequence_indices", lambda positions: None)


def step_without_values(model, prompt_ids=()):
    """Take the loss and its gradients on a device whose tensors have no values; to ask for one raises."""
    rows = {name: tensor.to("meta") for name, tensor in batch(prompt_ids=prompt_ids).items()}
    model = model.to("meta")
    Objective(family_of(model)).train()(**rows, targets=10).backward()
    return model


@pytest.mark.parametrize("kind", ["flan", "t5", *KINDS, *DECODER_ONLY])
def test_models_need_no_value(kind):
    model = step_without_values(tiny(kind))
    assert all(p.grad.shape == p.shape for p in model.parameters() if p.grad is not None)
    assert any(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("kind", ["flan", "bart", "llama"])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.kind)
def test_methods_need_no_value(kind, method):
    adapted = attach(tiny(kind), method, generator=torch.Generator().manual_seed(0), tokenizer=None)
    model = step_without_values(adapted.model, adapted.prompt_ids)
    assert any(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_the_frozen_layers_of_a_decoder_need_no_value():
    spec = LoraSpec(kind="lora", rank=2, layers_to_transform=(2,))
    adapted = attach(tiny("llama"), spec, generator=torch.Generator().manual_seed(0), tokenizer=None)
    rows = batch()
    rows["labels"] = rows["labels"].flip(0)  # the longest target with a shorter input
    part = adapted.family.frozen_part()
    with torch.no_grad():
        longest = int(((rows["attention_mask"] > 0).sum(1) + (rows["labels"] >= 0).sum(1)).max()) - 1
        outputs = part.encode(torch.full((3, longest), 5), torch.ones(3, longest))
    adapted.model.to("meta")
    given = {name: tensor.to("meta") for name, tensor in (rows | {"frozen_outputs": outputs}).items()}
    hidden = adapted.family.read_and_predict(**given)
    assert hidden.shape == (*rows["labels"].shape, outputs.shape[2])


@pytest.mark.parametrize("method", METHODS[:3], ids=lambda method: method.kind)
@pytest.mark.parametrize("kind", ["flan", "bart", "m2m", "llama", "gemma3_text"])
def test_where_a_device_is_waited_for_the_outputs_are_the_same(kind, method, monkeypatch):
    adapted = attach(tiny(kind), method, generator=torch.Generator().manual_seed(0), tokenizer=None)
    with torch.no_grad():
        for parameter in adapted.parameters():
            parameter += 0.1
        expected = outputs(adapted)
        for module in (masks, causal):
            monkeypatch.setattr(module, "is_waited_for", lambda tensor: True)
        torch.testing.assert_close(outputs(adapted), expected)


def outputs(adapted):
    """Return the states that predict what is no padding."""
    rows = batch()
    rows["labels"] = rows["labels"].flip(0)
    return adapted.family.read_and_predict(**rows)[rows["labels"] >= 0]


def test_asking_for_a_value_is_noticed():
    with pytest.raises(RuntimeError, match="meta"):
        (torch.ones(2, device="meta") > 0).all().item()
