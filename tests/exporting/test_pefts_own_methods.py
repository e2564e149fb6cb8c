"""PEFT's own methods, written for PEFT: it loads each of them onto a plain model and computes the same."""

import warnings

import peft
import pytest
import torch

from helpers.method_contract import MethodContract
from helpers.models import batch, tiny
from helpers.peft_types import TYPES, spec_of
from tuneoff.exporting.to_peft import write_peft
from tuneoff.methods import AdaptedModel
from tuneoff.spec import AdaloraSpec, DoraSpec, LnTuningSpec, OftSpec, PissaSpec, RsloraSpec, TunedSpec

METHODS: dict[str, TunedSpec] = {
    "dora": DoraSpec(kind="dora", rank=3, learning_rate=1e-2),
    "rslora": RsloraSpec(kind="rslora", rank=3),
    "pissa": PissaSpec(kind="pissa", rank=3, alpha=6, iterations=None),
    "oft": OftSpec(kind="oft", block_size=4),
    "ln_tuning": LnTuningSpec(kind="ln_tuning"),
    **{name: spec_of(name) for name in TYPES},
}


def with_pefts_logits(adapted: AdaptedModel, folder, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits that a method gives, and those that PEFT gives with its files."""
    suite = MethodContract()
    adapted.fold()
    expected = suite.logits(adapted)
    write_peft(adapted, "base", folder)
    with warnings.catch_warnings():
        # of PEFT, about norms, biases and extensions for GPUs; and about what its layers share, stored once
        warnings.simplefilter("ignore")
        loaded = peft.PeftModel.from_pretrained(tiny(kind), str(folder)).eval()
    with torch.no_grad():
        return suite.logits_of(loaded.get_base_model(), batch(seed=9)), expected


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch's, of FROD
@pytest.mark.parametrize("kind", ["flan", "llama"])
@pytest.mark.parametrize("name", METHODS)
def test_peft_loads_its_own_methods_with_equal_logits(name, kind, tmp_path):
    suite = MethodContract()
    suite.method = METHODS[name]
    found, expected = with_pefts_logits(suite.trained(tiny(kind)), tmp_path, kind)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["flan", "llama"])
def test_ranks_that_adalora_has_chosen_are_those_of_a_lora_in_peft(kind, tmp_path):
    suite = MethodContract()
    suite.method = AdaloraSpec(kind="adalora", rank=2, initial_rank=4, warmup=0.0, final=0.2)
    adapted = suite.adapt(tiny(kind))
    optimizer = torch.optim.SGD(adapted.parameters(), lr=0.5)
    for step in range(1, 11):
        suite.loss(adapted, seed=step).backward()
        optimizer.step()
        adapted.after_step(step, 10)
        optimizer.zero_grad()
    assert len(set(adapted.ranks().values())) > 1
    found, expected = with_pefts_logits(adapted, tmp_path, kind)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
