import pytest
import torch

from tuneoff.kernels import argmax, argmax_of_product


@pytest.mark.parametrize("part", [1, 7, 64, 1000])
def test_the_row_with_the_highest_product_is_found_in_any_parts(part, monkeypatch):
    monkeypatch.setattr(argmax, "PART", part)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 8, generator=generator)
    x = torch.randn(33, 8, generator=generator)
    found = argmax_of_product(weight, x)
    assert found.tolist() == [max(range(64), key=(weight @ row).tolist().__getitem__) for row in x]
