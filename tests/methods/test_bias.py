import pytest
import torch

from helpers.method_contract import MethodContract
from helpers.models import tiny
from tuneoff.errors import UnfitError
from tuneoff.methods import attach
from tuneoff.spec import BiasSpec, LoraSpec, StackSpec


class TestBias(MethodContract):
    method = BiasSpec(kind="bias")
    kinds = ("bart", "gpt2", "opt", "qwen2")
    halved = ("bart",)

    def test_training_leaves_the_weights_of_the_base_as_they_are(self, kind):
        """It changes the biases alone, and restores them when it is detached."""
        model = tiny(kind)
        adapted = self.trained(model)
        base = dict(tiny(kind).named_parameters())
        changed = {name for name, one in model.named_parameters() if not torch.equal(one, base[name])}
        assert changed
        assert changed <= {name for name in base if name.endswith(".bias")}
        adapted.detach()
        assert all(torch.equal(one, base[name]) for name, one in model.named_parameters())

    def test_another_seed_gives_other_first_weights_and_an_equal_one_the_same(self, kind):
        """It starts from the base, whatever the seed."""
        base = dict(tiny(kind).named_parameters())
        for seed in (0, 1):
            stored = self.adapt(tiny(kind), seed).parts[0].stored()
            assert all(torch.equal(tensor, base[name]) for name, tensor in stored.items())


@pytest.mark.slow
class TestLoraBesideBias(MethodContract):
    method = StackSpec(kind="stack", parts=(BiasSpec(kind="bias"), LoraSpec(kind="lora", rank=2)))
    kinds = ("bart",)
    test_training_leaves_the_weights_of_the_base_as_they_are = None


@pytest.mark.parametrize("kind", ["flan", "llama"])
def test_a_model_without_biases_is_unfit_with_what_to_use_instead(kind):
    with pytest.raises(UnfitError, match=r"has none; kind: ln_tuning trains its normalization layers"):
        attach(tiny(kind), BiasSpec(kind="bias"), generator=torch.Generator(), tokenizer=None)
