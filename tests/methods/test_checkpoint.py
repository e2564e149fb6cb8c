"""Saved methods that are not as they were written."""

import json
from pathlib import Path

import pytest
import torch

from helpers.models import tiny_t5
from tuneoff.errors import DamagedError
from tuneoff.methods import attach, load, save
from tuneoff.spec import PromptSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a saved soft prompt."""
    method = PromptSpec(kind="prompt", length=3, init="random")
    save(attach(tiny_t5(), method, generator=torch.Generator(), tokenizer=None), tmp_path / "adapter")
    return tmp_path / "adapter"


def test_a_flipped_bit_in_the_weights_is_found(folder: Path) -> None:
    path = folder / "adapter.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"adapter\.safetensors was changed after it was written"):
        load(tiny_t5(), folder)


def test_another_setting_in_the_method_is_found(folder: Path) -> None:
    path = folder / "adapter.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"length": 3', '"length": 4'), encoding="utf-8")
    with pytest.raises(DamagedError, match=r"adapter\.json cannot be read: it was changed after"):
        load(tiny_t5(), folder)


def test_a_method_that_an_older_version_saved_is_loaded(folder: Path) -> None:
    path = folder / "adapter.json"
    method = json.loads(path.read_text(encoding="utf-8"))["method"]
    before = load(tiny_t5(), folder).stored()
    path.write_text(json.dumps(method), encoding="utf-8")
    after = load(tiny_t5(), folder).stored()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
