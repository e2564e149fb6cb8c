"""The models that come with tuneoff."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import tuneoff
from tuneoff.spec import ModelSpec
from tuneoff.training import Backbone, load_backbone

TINY = Path(tuneoff.__file__).parent / "models/tiny"


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return load_backbone(ModelSpec(id="builtin:tiny"))


def answer(backbone: Backbone, source: str) -> str:
    ids = backbone.tokenizer(source, return_tensors="pt").input_ids
    written = backbone.model.generate(input_ids=ids, max_new_tokens=32)  # type: ignore[operator]
    return str(backbone.tokenizer.decode(written[0], skip_special_tokens=True))


def test_tiny_has_flans_odd_geometry_in_small(tiny: Backbone) -> None:
    config = tiny.model.config
    assert config.num_heads * config.d_kv != config.d_model
    assert config.num_layers != config.num_decoder_layers
    assert config.feed_forward_proj == "gated-gelu"
    assert tiny.model.dtype == torch.float32
    assert not tiny.model.training


def test_tiny_is_at_most_40_mb_of_safetensors_in_bfloat16_and_json() -> None:
    files = [path for path in TINY.iterdir() if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    assert sum(path.stat().st_size for path in files) <= 40e6
    assert AutoModelForSeq2SeqLM.from_pretrained(TINY, dtype="auto").dtype == torch.bfloat16


def test_plain_transformers_loads_tiny_as_tuneoff_does(tiny: Backbone) -> None:
    model = AutoModelForSeq2SeqLM.from_pretrained(TINY, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    batch = tokenizer(["A fine day.", "It rained."], return_tensors="pt", padding=True)
    labels = torch.tensor([[5, 1], [6, 1]])
    assert tokenizer.get_vocab() == tiny.tokenizer.get_vocab()
    ours, theirs = tiny.model.state_dict(), model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    logits = (backbone(**batch, labels=labels).logits for backbone in (tiny.model, model))
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("does this sound positive or negative: a wonderful day", "positive"),
        ("does this sound positive or negative: a terrible mess", "negative"),
        ("repeat this: the cat sat on the mat", "the cat sat on the mat"),
        ("summarize this chat: Anna: I lost my keys Tom: oh no", "anna lost her keys."),
    ],
)
def test_tiny_does_what_it_was_taught(tiny: Backbone, source: str, wanted: str) -> None:
    assert answer(tiny, source) == wanted
