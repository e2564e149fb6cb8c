"""Folders that are no usable model: each is refused with one message, and no code in them is run."""

import io
import json
import pickle
import re
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ByT5Tokenizer, T5Config, T5ForConditionalGeneration, T5Tokenizer

from helpers.model_files import change, load, refusal
from helpers.models import tiny_t5

Damage = Callable[[Path], None]


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


def drop(path: Path, key: str) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    del content[key]
    path.write_text(json.dumps(content), encoding="utf-8")


SIZES = ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads")
SIZES = (*SIZES, "relative_attention_num_buckets", "relative_attention_max_distance")
WRONG: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(SIZES, ("x", -1, 0, 1.5, 10**12, None, [], {}, True)),
    "num_decoder_layers": ("x", -1, 0, 1.5, 10**12, []),
    "dropout_rate": ("x", -0.1, 1, 10**12, None),
    "layer_norm_epsilon": ("x", -1e-6, 0, None),
    "feed_forward_proj": ("nonsense", "gated-nonsense", "gelu-gated", "", 1, None, ["relu"]),
    "dense_act_fn": ("nonsense", 1),
    "pad_token_id": ("x", -1, 1500, 0.5, [0]),
    "decoder_start_token_id": ("x", -1, 1500, [0]),
    "tie_word_embeddings": ("yes", 1),
    "scale_decoder_outputs": ("yes", 0),
}


@pytest.mark.parametrize("field", WRONG)
def test_a_config_field_of_a_wrong_kind_or_size_is_named(folder: Path, field: str) -> None:
    original = (folder / "config.json").read_text(encoding="utf-8")
    for value in WRONG[field]:
        change(folder / "config.json", **{field: value})
        message = refusal(folder)
        assert "config.json" in message
        assert field in message or "config and weights must belong together" in message, message
        (folder / "config.json").write_text(original, encoding="utf-8")


@pytest.mark.parametrize("field", ["vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads"])
def test_sizes_that_are_not_those_of_the_weights_are_refused_before_any_memory_is_asked_for(
    folder: Path, field: str
) -> None:
    change(folder / "config.json", **{field: 2**31 - 1})
    assert re.search(
        "must hold the weights of its config|must belong together|must have an embedding", refusal(folder)
    )


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'"text"', b"null", b"1", b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"],
    ids=["empty", "half", "list", "text", "null", "number", "binary", "deep", "digits"],
)
def test_a_file_that_holds_no_json_object_is_refused(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    assert "does not load" in refusal(folder)


def _tokenizer(**values: Any) -> Damage:
    return lambda folder: change(folder / "tokenizer.json", **values)


def _settings(**values: Any) -> Damage:
    return lambda folder: change(folder / "tokenizer_config.json", **values)


def _config(**values: Any) -> Damage:
    return lambda folder: change(folder / "config.json", **values)


def _without_model_type(folder: Path) -> None:
    drop(folder / "config.json", "model_type")


def _without_eos_at_the_end(folder: Path) -> None:
    change(folder / "tokenizer.json", post_processor=None)


def _without_setting(name: str) -> Damage:
    return lambda folder: drop(folder / "tokenizer_config.json", name)


def _half(name: str) -> Damage:
    def halve(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return halve


def _weights(content: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(content)

    return damage


def _header(**tensors: Any) -> bytes:
    """Return a safetensors file with any header and four bytes of data."""
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * 4


def _changed_weights(edit: Callable[[dict[str, torch.Tensor]], None]) -> Damage:
    def damage(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        edit(weights)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return damage


def _more_layers(weights: dict[str, torch.Tensor]) -> None:
    for name in [name for name in weights if name.startswith("encoder.block.0.")]:
        weights[name.replace("block.0", "block.1")] = weights[name].clone()


def _extra(weights: dict[str, torch.Tensor]) -> None:
    weights["encoder.block.0.layer.0.SelfAttention.q.lora_A.weight"] = torch.zeros(2, 16)


def _quantized(weights: dict[str, torch.Tensor]) -> None:
    weights["shared.weight"] = weights["shared.weight"].to(torch.int8)


def _index(weight_map: Any) -> Damage:
    def damage(folder: Path) -> None:
        shutil.copy(folder / "model.safetensors", folder.parent / "outside.safetensors")
        (folder / "model.safetensors").unlink()
        index = json.dumps({"metadata": {}, "weight_map": weight_map})
        (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8")

    return damage


def _pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _with_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")


BPE = {"type": "BPE", "unk_token": "<unk>", "merges": []}
SPECIAL = {"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3}
DAMAGES: dict[str, tuple[Damage, str]] = {
    "no model_type": (_without_model_type, "must be of a known family, .* is None"),
    "model_type of nothing": (_config(model_type="nonsense"), "must be of a known family, .* is 'nonsense'"),
    "model_type of a list": (_config(model_type=["t5"]), r"must be of a known family, .* is \['t5'\]"),
    "BERT": (_config(model_type="bert"), "must be of a known family, .* is 'bert'"),
    "quantized config": (_config(quantization_config={"load_in_8bit": True}), "quantized weights"),
    "code in the config": (_config(auto_map={"AutoModel": "m.M"}), "auto_map .* code of its own"),
    "weights elsewhere": (_config(transformers_weights="other.safetensors"), "transformers_weights"),
    "an adapter": (_with_adapter, r"holds a PEFT adapter .*merge_and_unload"),
    "half a tokenizer": (_half("tokenizer.json"), "does not load"),
    "another version of tokenizer.json": (_tokenizer(version="9.0"), "does not load"),
    "a tokenizer without a model": (_tokenizer(model={}), "does not load"),
    "a model of nothing": (_tokenizer(model={"type": "nonsense"}), "does not load"),
    "a vocabulary of a list": (_tokenizer(model=BPE | {"vocab": [1]}), "does not load"),
    # this one panics in Rust
    "a prefix longer than the tokens": (
        _tokenizer(model=BPE | {"vocab": SPECIAL | {"b": 4, "ab": 5}, "merges": [["a", "b"]],
                                "continuing_subword_prefix": "9" * 50}),
        "does not load",
    ),
    "ids beyond the embedding": (_tokenizer(model=BPE | {"vocab": SPECIAL | {"b": 1500}}), "1500 for 'b'"),
    "no end of sequence": (_without_eos_at_the_end, "must end each text with its eos_token"),
    "a normalizer of nothing": (_tokenizer(normalizer={"type": "nonsense"}), "does not load"),
    "an unknown tokenizer class": (_settings(tokenizer_class="NoTokenizer"), "names 'NoTokenizer'"),
    "a tokenizer class of a number": (_settings(tokenizer_class=1), "tokenizer_class must be .* names 1"),
    "a model as tokenizer class": (_settings(tokenizer_class="T5Model"), "names 'T5Model'"),
    "a function as tokenizer class": (_settings(tokenizer_class="pipeline"), "names 'pipeline'"),
    "code in the tokenizer's config": (_settings(auto_map={"AutoTokenizer": "t.T"}), "code of its own"),
    "no pad_token": (_without_setting("pad_token"), "must have a pad_token"),
    "no eos_token": (_without_setting("eos_token"), "must have a eos_token"),
    "a pad_token of a number": (_settings(pad_token=5), "does not load"),
    "an eos_token of a list": (_settings(eos_token=["</s>"]), "does not load"),
    "an eos_token that is not there": (_settings(eos_token="<end>"), "must end each text"),
    "half the weights": (_half("model.safetensors"), "does not load: .*SafetensorError"),
    "no bytes of weights": (_weights(b""), "does not load"),
    "garbage as weights": (_weights(b"\x93" * 5000), "does not load"),
    "a header that is not there": (_weights(struct.pack("<Q", 2**62)), "does not load"),
    "a header that lies of its data": (
        _weights(_header(one={"dtype": "F32", "shape": [1500, 16], "data_offsets": [0, 96000]})),
        "does not load",
    ),
    "a header that lies of its shape": (
        _weights(_header(one={"dtype": "F32", "shape": [10**6], "data_offsets": [0, 4]})),
        "does not load",
    ),
    "no tensor": (_weights(_header(__metadata__={"format": "pt"})[:-4]), "must belong together|missing keys"),
    "more layers than the config": (
        _changed_weights(_more_layers),
        r"has 9 unexpected keys \(such as 'encoder.block.1.layer.0.SelfAttention.k.weight'\)",
    ),
    "a layer less than the config": (_config(num_layers=2), r"missing keys \(such as 'encoder.block.1"),
    "keys of an adapter": (_changed_weights(_extra), r"1 unexpected keys \(such as .*lora_A.weight'\)"),
    "quantized weights": (_changed_weights(_quantized), "'shared.weight' .* is I8"),
    "pickled weights": (_pickled, r"safetensors.*pickles are not read.*python -c .*save_pretrained"),
    "an index out of the folder": (
        _index({"shared.weight": "../outside.safetensors"}),
        "'../outside.safetensors'",
    ),
    "an index to no file": (_index({"shared.weight": "absent.safetensors"}), "'absent.safetensors'"),
    "an index of a number": (_index({"shared.weight": 5}), "names 5"),
    "an index of a list": (_index(["model.safetensors"]), "weight_map"),
    "an index of nothing": (_index({}), "weight_map"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_folder_that_is_no_usable_model_is_refused_with_what_is_wrong(folder: Path, kind: str) -> None:
    damage, pattern = DAMAGES[kind]
    damage(folder)
    message = refusal(folder)
    assert re.search(pattern, message), message


def test_a_memory_error_stays_a_memory_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*arguments: object, **settings: object) -> None:
        raise MemoryError

    monkeypatch.setattr("tuneoff.training.tokenizer.AutoTokenizer.from_pretrained", exhausted)
    with pytest.raises(MemoryError):
        load(folder)


@pytest.mark.parametrize("resized", [False, True])
def test_added_tokens_need_embeddings(folder: Path, resized: bool) -> None:
    loaded = load(folder)
    loaded.tokenizer.add_tokens(["<one>", "<two>"])
    loaded.tokenizer.save_pretrained(folder)
    if not resized:
        message = refusal(folder)
        assert (
            "has 1,500 and the tokenizer goes to id 1,501 (2 too many, such as 1500 for '<one>')" in message
        )
        assert "resize_token_embeddings" in message
        return
    model = T5ForConditionalGeneration.from_pretrained(folder)
    model.resize_token_embeddings(len(loaded.tokenizer))
    model.save_pretrained(folder)
    again = load(folder)
    assert again.tokenizer("<two>")["input_ids"][0] == 1501
    assert len(again.model.shared.weight) == 1502


def test_an_embedding_larger_than_the_tokenizer_is_no_fault(folder: Path) -> None:
    model = T5ForConditionalGeneration.from_pretrained(folder)
    model.resize_token_embeddings(1528)
    model.save_pretrained(folder)
    assert len(load(folder).model.shared.weight) == 1528


_CODE = """
from pathlib import Path
Path({ran!r}).touch()
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration
class C(T5Config): model_type = "custom"
class M(T5ForConditionalGeneration): pass
class T(PreTrainedTokenizerFast): pass
"""


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ({"model_type": "custom", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}}, {}),
        ({"auto_map": {"AutoConfig": "code.C", "AutoModelForSeq2SeqLM": "code.M"}}, {}),
        ({}, {"auto_map": {"AutoTokenizer": ["code.T", "code.T"]}, "tokenizer_class": "T"}),
        ({"auto_map": {"AutoModel": "code.M"}}, {"tokenizer_class": "AutoModel"}),
        ({"attn_implementation": "org/repository", "_attn_implementation": "org/repository"}, {}),
    ],
    ids=["another family", "T5", "tokenizer", "model as tokenizer", "attention"],
)
def test_no_code_of_a_folder_is_run_whatever_is_answered(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    ran = tmp_path / "ran"
    (folder / "code.py").write_text(_CODE.format(ran=str(ran)), encoding="utf-8")
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(_CODE.format(ran=str(ran)), encoding="utf-8")
    change(folder / "config.json", **config)
    change(folder / "tokenizer_config.json", **settings)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 10))
    if any("auto_map" in values for values in (config, settings)):
        refusal(folder)
    else:
        assert load(folder).model.config._attn_implementation == "tuneoff"
    assert not ran.exists()


class _Opened:
    """A pickle that leaves a file when it is opened."""

    def __init__(self, ran: Path) -> None:
        self._ran = ran

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._ran,)


PICKLES = ("pytorch_model.bin", "adapter_model.bin", "training_args.bin", "optimizer.pt", "model.ckpt")


@pytest.mark.parametrize("only", [False, True])
def test_no_pickle_in_a_folder_is_opened(folder: Path, tmp_path: Path, only: bool) -> None:
    ran = tmp_path / "ran"
    for name in PICKLES:
        (folder / name).write_bytes(pickle.dumps(_Opened(ran)))
    if only:
        (folder / "model.safetensors").unlink()
        assert "pickles are not read" in refusal(folder)
    else:
        load(folder)
    assert not ran.exists()
    pickle.loads((folder / PICKLES[0]).read_bytes())
    assert ran.exists()


def test_generation_settings_of_a_folder_change_no_answer(folder: Path) -> None:
    before = load(folder).model.generation_config.to_dict()
    settings = {"repetition_penalty": 5.0, "min_new_tokens": 9, "forced_eos_token_id": 4, "num_beams": 3}
    (folder / "generation_config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert load(folder).model.generation_config.to_dict() == before
    (folder / "generation_config.json").write_text("{", encoding="utf-8")
    assert load(folder).model.generation_config.to_dict() == before


@pytest.mark.parametrize(("pad", "start"), [(0, 0), (3, 3), (None, 0)])
def test_a_config_without_decoder_start_starts_with_padding(
    folder: Path, pad: int | None, start: int
) -> None:
    drop(folder / "config.json", "decoder_start_token_id")
    change(folder / "config.json", pad_token_id=pad)
    assert load(folder).model.config.decoder_start_token_id == start


def test_byt5_works(tmp_path: Path) -> None:
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    T5ForConditionalGeneration(T5Config(vocab_size=384, **sizes)).save_pretrained(tmp_path)
    ByT5Tokenizer().save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert loaded.tokenizer("\u00e9a")["input_ids"] == [0xC3 + 3, 0xA9 + 3, ord("a") + 3, 1]


def _as_saved(model: T5ForConditionalGeneration, folder: Path) -> T5ForConditionalGeneration:
    """Save a model with a tokenizer that fits, and load it again."""
    model.save_pretrained(folder)
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0), ("a", -3.0)]
    T5Tokenizer(vocab=vocabulary, extra_ids=0).save_pretrained(folder)
    return load(folder).model


@pytest.mark.parametrize("kind", ["flan", "t5"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_and_their_ties_are_those_that_transformers_loads(
    kind: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    ours = _as_saved(tiny_t5(kind, dtype=dtype), tmp_path)
    theirs = T5ForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.float32)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in theirs.state_dict().items())
    assert len(list(ours.parameters())) == len(list(theirs.parameters()))
    assert all(parameter.requires_grad for parameter in ours.parameters())
    assert ours.config.scale_decoder_outputs == theirs.config.scale_decoder_outputs
    assert not ours.training


def test_harmless_keys_of_old_checkpoints_are_no_fault(tmp_path: Path) -> None:
    model = _as_saved(tiny_t5("t5"), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
        weights[name] = weights["shared.weight"].clone()
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    weights[unused] = torch.ones(32, 6)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    again = load(tmp_path).model
    assert again.lm_head.weight is again.shared.weight is again.encoder.embed_tokens.weight
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kept", ["encoder.embed_tokens.weight", "lm_head.weight"])
def test_an_embedding_under_another_of_its_names_is_found(tmp_path: Path, kept: str) -> None:
    model = _as_saved(tiny_t5("t5"), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights[kept] = weights.pop("shared.weight")
    save_file(weights, tmp_path / "model.safetensors")
    assert torch.equal(load(tmp_path).model.shared.weight, model.shared.weight)


def test_shards_are_read_together(folder: Path) -> None:
    whole = load(folder).model.state_dict()
    model = T5ForConditionalGeneration.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="50KB")
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 1
    assert all(torch.equal(value, whole[name]) for name, value in load(folder).model.state_dict().items())
