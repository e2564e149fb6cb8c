import pytest
import torch

from tuneoff.training.precision import resolve_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_dtype_that_is_named_stays(dtype):
    assert resolve_dtype(dtype, CPU) == dtype


@pytest.mark.parametrize(("capable", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_bfloat16_where_the_processor_multiplies_it(capable, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": capable}, raising=False)
    assert resolve_dtype("auto", CPU) == expected


def test_auto_is_float32_where_torch_cannot_say(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert resolve_dtype("auto", CPU) == "float32"
