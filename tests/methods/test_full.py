import torch

from helpers.method_contract import MethodContract
from helpers.models import tiny, tiny_t5
from tuneoff.methods import attach
from tuneoff.spec import FullSpec


class TestFull(MethodContract):
    method = FullSpec(kind="full")

    def test_training_leaves_the_weights_of_the_base_as_they_are(self, kind):
        """Full fine-tuning changes them, and restores them when it is detached."""
        model = tiny(kind)
        adapted = self.trained(model)
        embedding = model.get_input_embeddings().weight
        assert not torch.equal(embedding, tiny(kind).get_input_embeddings().weight)
        adapted.detach()
        pairs = zip(model.parameters(), tiny(kind).parameters(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)

    def test_another_seed_gives_other_first_weights_and_an_equal_one_the_same(self, kind):
        """Full fine-tuning starts from the base, whatever the seed."""
        for seed in (0, 1):
            pairs = zip(self.adapt(tiny(kind), seed).parameters(), tiny(kind).parameters(), strict=True)
            assert all(torch.equal(one, base) for one, base in pairs)

    def test_no_copy_of_the_base_is_kept_unless_it_is_asked_for(self):
        model, generator = tiny_t5(), torch.Generator()
        adapted = attach(model, self.method, generator=generator, tokenizer=None)
        assert adapted.base is None
        assert not any(isinstance(value, dict | list) for value in vars(adapted.parts[0]).values())
        with torch.no_grad():
            model.shared.weight.add_(1)
        adapted.detach()
        assert torch.equal(model.shared.weight, tiny_t5().shared.weight + 1)
