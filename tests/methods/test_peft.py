import pytest
import torch

from helpers.method_contract import MethodContract
from helpers.models import batch, tiny
from helpers.peft_types import TYPES, spec_of


class TestEveryType(MethodContract):
    kinds = ("flan", "llama")

    def pytest_generate_tests(self, metafunc):
        super().pytest_generate_tests(metafunc)
        metafunc.parametrize("peft_type", TYPES)

    @pytest.fixture(autouse=True)
    def _method_of_the_type(self, peft_type):
        self.method = spec_of(peft_type)

    def test_another_seed_gives_other_first_weights_and_an_equal_one_the_same(self, kind, peft_type):
        first, again, other = (self.adapt(tiny(kind), seed=s).parameters() for s in (0, 0, 1))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        differs = any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))
        assert differs == TYPES[peft_type].random_start

    def test_it_starts_as_the_base_or_not_as_the_table_says(self, kind, peft_type):
        with torch.no_grad():
            before = self.logits_of(tiny(kind), batch(seed=9))
        same = torch.allclose(self.logits(self.adapt(tiny(kind))), before, rtol=1e-4, atol=1e-4)
        assert same == TYPES[peft_type].starts_as_base
