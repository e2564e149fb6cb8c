"""Malformed model folders: configs, tokenizers and weights."""

import functools
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from case import Case, Change, both, with_value

WRONG_CONFIG_VALUES: tuple[object, ...] = (None, -1, 0, 1.5, "x", "", [], {}, True, 10**9, 10**30)
CONFIG_KEYS = [
    "d_model",
    "d_kv",
    "d_ff",
    "num_layers",
    "num_decoder_layers",
    "num_heads",
    "vocab_size",
    "relative_attention_num_buckets",
    "relative_attention_max_distance",
    "dropout_rate",
    "layer_norm_epsilon",
    "initializer_factor",
    "feed_forward_proj",
    "is_encoder_decoder",
    "tie_word_embeddings",
    "scale_decoder_outputs",
    "pad_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    "model_type",
    "architectures",
    "dtype",
    "torch_dtype",
    "attn_implementation",
    "_attn_implementation",
    "quantization_config",
    "auto_map",
    "task_specific_params",
    "output_attentions",
    "return_dict",
    "use_cache",
    "chunk_size_feed_forward",
    "pruned_heads",
    "transformers_version",
    "id2label",
    "num_labels",
    "problem_type",
    "tokenizer_class",
]
WRONG_CONFIG_CASES = 75
"""So many pairs of a key and a wrong value, drawn from all."""
TEXTS: Mapping[str, bytes] = {
    "nothing": b"",
    "a brace": b"{",
    "null": b"null",
    "a list": b"[]",
    "a number": b"7",
    "a text": b'"t5"',
    "an empty object": b"{}",
    "bytes that are no text": b"\xff\xfe\x00",
    "NUL bytes": bytes(50),
    "lists 100,000 deep": b"[" * 100_000,
    "an integer of 5,000 digits": b'{"vocab_size": ' + b"9" * 5000 + b"}",
    "half a surrogate": b'{"model_type": "\\ud800"}',
    "HTML": b"<!doctype html><html></html>",
}
"""What can stand in a file that should hold a JSON object."""
JSON_FILES = ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json")
WEIGHT_MUTATIONS = 10
Damage = Callable[[Path], None]


def _config(**changes: object) -> Damage:
    return _edited("config.json", changes)


def _edited(name: str, changes: Mapping[str, object]) -> Damage:
    """Change keys of a JSON file; `...` removes one."""

    def damage(model: Path) -> None:
        path = model / name
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        kept = {key: value for key, value in {**content, **changes}.items() if value is not ...}
        path.write_text(json.dumps(kept), encoding="utf-8")

    return damage


def _weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def damage(model: Path) -> None:
        tensors = load_file(model / "model.safetensors")
        change(tensors)
        save_file(
            {name: one.contiguous() for name, one in tensors.items()},
            model / "model.safetensors",
            {"format": "pt"},
        )

    return damage


def _without(*patterns: str) -> Damage:
    def damage(model: Path) -> None:
        for pattern in patterns:
            for path in model.glob(pattern):
                path.unlink()

    return damage


def _pickled(model: Path) -> None:
    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()


def _code(model: Path) -> None:
    """Make a folder with Python code that leaves a mark if anyone runs it."""
    (model / "code.py").write_text(
        "from pathlib import Path\nPath('executed').touch()\n"
        "from transformers import T5Config as Mine, T5ForConditionalGeneration as Model\n",
        encoding="utf-8",
    )
    _config(auto_map={"AutoConfig": "code.Mine", "AutoModelForSeq2SeqLM": "code.Model"}, model_type="mine")(
        model
    )


def _code_of_tokenizer(model: Path) -> None:
    (model / "code.py").write_text(
        "from pathlib import Path\nPath('executed').touch()\nclass Mine: ...\n", encoding="utf-8"
    )
    changes = {"auto_map": {"AutoTokenizer": ["code.Mine", None]}, "tokenizer_class": "Mine"}
    _edited("tokenizer_config.json", changes)(model)


def _pickle_that_runs(model: Path) -> None:
    """Make a pickled checkpoint whose reading would leave a mark."""
    (model / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")
    (model / "model.safetensors").unlink()


def _added_tokens(count: int) -> Damage:
    """Make a tokenizer with more tokens than the embedding has rows."""

    def damage(model: Path) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(model)
        tokenizer.add_tokens([f"added{number}" for number in range(count)] + ["bad", "good"])
        tokenizer.save_pretrained(model)

    return damage


def _linked(model: Path) -> None:
    path = model / "config.json"
    path.unlink()
    path.symlink_to("config.json")


def _folder_for(name: str) -> Damage:
    def damage(model: Path) -> None:
        (model / name).unlink(missing_ok=True)
        (model / name).mkdir()

    return damage


def _nan(tensors: dict[str, torch.Tensor]) -> None:
    tensors["shared.weight"][:] = float("nan")


def _huge(tensors: dict[str, torch.Tensor]) -> None:
    tensors["shared.weight"][:] = 1e38


DAMAGES: Mapping[str, tuple[Damage, str]] = {
    "sound": (lambda model: None, "fine"),
    "no config": (_without("config.json"), "refused"),
    "no tokenizer": (_without("*token*"), "refused"),
    "no weights": (_without("*.safetensors"), "refused"),
    "nothing": (_without("*"), "refused"),
    "no generation config": (_without("generation_config.json"), "fine"),
    "weights in pickle": (_pickled, "refused"),
    "a pickle that runs a command": (_pickle_that_runs, "refused"),
    "Python for a config": (_code, "refused"),
    "Python for a tokenizer": (_code_of_tokenizer, "any"),
    "another family": (_config(model_type="bert"), "refused"),
    "a family that is not there": (_config(model_type="t7"), "refused"),
    "mT5": (_config(model_type="mt5"), "any"),
    "no decoder start": (_config(decoder_start_token_id=...), "fine"),
    "a decoder start beyond the vocabulary": (_config(decoder_start_token_id=10**6), "refused"),
    "no padding token": (_config(pad_token_id=...), "any"),
    "a padding token beyond the vocabulary": (_config(pad_token_id=10**6), "refused"),
    "more layers than weights": (_config(num_layers=4), "refused"),
    "fewer layers than weights": (_config(num_layers=1, num_decoder_layers=1), "refused"),
    "more decoder layers than weights": (_config(num_decoder_layers=4), "refused"),
    "a million layers": (_config(num_layers=10**6), "refused"),
    "a width of 10**9": (_config(d_model=10**9), "refused"),
    "a vocabulary of 10**9": (_config(vocab_size=10**9), "refused"),
    "another activation": (_config(feed_forward_proj="gated-silu", dense_act_fn="silu"), "any"),
    "an activation that is not there": (_config(feed_forward_proj="gated-nope"), "refused"),
    "attention that is not there": (_config(_attn_implementation="nope"), "any"),
    "attention of a hub's kernel": (_config(_attn_implementation="org/kernel"), "any"),
    "attention of Flash": (_config(attn_implementation="flash_attention_2"), "any"),
    "a quantization": (
        _config(quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True}),
        "any",
    ),
    "a quantization that is not there": (_config(quantization_config={"quant_method": "nope"}), "any"),
    "a head of its own, and scaled outputs": (_config(tie_word_embeddings=False), "any"),
    "one bucket": (_config(relative_attention_num_buckets=1), "refused"),
    "dropout of 2": (_config(dropout_rate=2.0), "refused"),
    "dropout below 0": (_config(dropout_rate=-0.5), "refused"),
    "a config that links to itself": (_linked, "refused"),
    "a folder for a config": (_folder_for("config.json"), "refused"),
    "a folder for the weights": (_folder_for("model.safetensors"), "refused"),
    "a folder for the tokenizer": (_folder_for("tokenizer.json"), "any"),
    "generation: beams of -1": (_edited("generation_config.json", {"num_beams": -1}), "any"),
    "generation: beams of a word": (_edited("generation_config.json", {"num_beams": "x"}), "any"),
    "generation: a temperature of 0": (
        _edited("generation_config.json", {"temperature": 0.0, "do_sample": True}),
        "any",
    ),
    "generation: length of 0": (
        _edited("generation_config.json", {"max_length": 0, "max_new_tokens": 0}),
        "any",
    ),
    "generation: an end beyond the vocabulary": (
        _edited("generation_config.json", {"eos_token_id": [10**9]}),
        "any",
    ),
    "generation: suppressed tokens of words": (
        _edited("generation_config.json", {"suppress_tokens": ["x"]}),
        "any",
    ),
    "generation: forced tokens beyond the vocabulary": (
        _edited("generation_config.json", {"forced_bos_token_id": 10**6}),
        "any",
    ),
    "generation: an unknown key": (_edited("generation_config.json", {"nope": {"a": 1}}), "any"),
    "tokenizer: another class": (
        _edited("tokenizer_config.json", {"tokenizer_class": "BertTokenizer"}),
        "any",
    ),
    "tokenizer: a class that is not there": (
        _edited("tokenizer_config.json", {"tokenizer_class": "NopeTokenizer"}),
        "any",
    ),
    "tokenizer: bytes (ByT5)": (
        _edited("tokenizer_config.json", {"tokenizer_class": "ByT5Tokenizer"}),
        "any",
    ),
    "tokenizer: no padding token": (_edited("tokenizer_config.json", {"pad_token": ...}), "refused"),
    "tokenizer: no end token": (_edited("tokenizer_config.json", {"eos_token": ...}), "any"),
    "tokenizer: a padding token that is a number": (
        _edited("tokenizer_config.json", {"pad_token": 7}),
        "refused",
    ),
    "tokenizer: a longest input of 0": (_edited("tokenizer_config.json", {"model_max_length": 0}), "any"),
    "tokenizer: a longest input of a word": (
        _edited("tokenizer_config.json", {"model_max_length": "x"}),
        "any",
    ),
    "tokenizer: padding on the left": (_edited("tokenizer_config.json", {"padding_side": "left"}), "any"),
    "tokenizer: padding on no side": (_edited("tokenizer_config.json", {"padding_side": "up"}), "any"),
    "tokenizer: a chat template that is broken": (
        _edited("tokenizer_config.json", {"chat_template": "{{ x"}),
        "any",
    ),
    "tokenizer: extra ids of a word": (_edited("tokenizer_config.json", {"extra_ids": "x"}), "any"),
    "tokenizer: no model": (_edited("tokenizer.json", {"model": ...}), "refused"),
    "tokenizer: an empty vocabulary": (
        _edited("tokenizer.json", {"model": {"type": "BPE", "vocab": {}, "merges": []}}),
        "refused",
    ),
    "tokenizer: no end is put behind texts": (_edited("tokenizer.json", {"post_processor": None}), "any"),
    "tokenizer: another version": (_edited("tokenizer.json", {"version": "9.9"}), "refused"),
    "tokenizer: three tokens more than the embedding": (_added_tokens(1), "refused"),
    "tokenizer: 2,000 tokens more than the embedding": (_added_tokens(2000), "refused"),
    "weights: not a number": (_weights(_nan), "any"),
    "weights: 1e38": (_weights(_huge), "any"),
    "weights: one missing": (
        _weights(lambda tensors: tensors.pop("decoder.final_layer_norm.weight")),
        "refused",
    ),
    "weights: the embedding missing": (_weights(lambda tensors: tensors.pop("shared.weight")), "refused"),
    "weights: one too many": (_weights(lambda tensors: tensors.update(extra=torch.zeros(2))), "refused"),
    "weights: whole numbers": (
        _weights(
            lambda tensors: tensors.update({name: one.to(torch.int32) for name, one in tensors.items()})
        ),
        "any",
    ),
    "weights: 8 bits": (
        _weights(
            lambda tensors: tensors.update(
                {name: one.to(torch.float8_e4m3fn) for name, one in tensors.items()}
            )
        ),
        "any",
    ),
    "weights: bfloat16": (
        _weights(
            lambda tensors: tensors.update({name: one.to(torch.bfloat16) for name, one in tensors.items()})
        ),
        "fine",
    ),
    "weights: one transposed": (
        _weights(lambda tensors: tensors.update({"shared.weight": tensors["shared.weight"].T})),
        "refused",
    ),
    "weights: an empty tensor": (
        _weights(lambda tensors: tensors.update({"shared.weight": torch.zeros(0, 16)})),
        "refused",
    ),
    "weights: an index of parts that are not there": (
        _edited(
            "model.safetensors.index.json",
            {"metadata": {}, "weight_map": {"shared.weight": "part.safetensors"}},
        ),
        "any",
    ),
    "an adapter's config": (
        _edited("adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "./model"}),
        "any",
    ),
}
PLACES: Mapping[str, str] = {
    "a file": "study.yaml",
    "a folder of nothing": "empty",
    "a folder that is not there": "./absent",
    "the root": "/",
    "a device": "/dev/null",
    "a NUL": "./a\0b",
    "half a surrogate": "./\ud800",
    "a link to itself": "./loop",
    "5,000 characters": "./" + "x" * 5000,
    "a path up": "org/../../x",
    "an unknown packaged model": "builtin:",
    "an unknown packaged model of control characters": "builtin:\x1b[31m",
    "a name of the hub with a space": "a b/c",
    "a name of the hub with a line break": "a\nb",
    "a name of the hub, 200 characters long": "o" * 100 + "/" + "m" * 100,
}


@functools.cache
def _sound() -> Path:
    """Return a folder with a T5 of one layer, made once."""
    from transformers import T5Config, T5ForConditionalGeneration
    from transformers.utils import logging

    from tuneoff.training.random_tokenizer import random_tokenizer

    logging.disable_progress_bar()
    folder = Path(tempfile.mkdtemp())
    tokenizer = random_tokenizer()
    torch.manual_seed(0)
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    ids = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **sizes, **ids)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    logging.enable_progress_bar()
    return folder


def cases() -> Iterator[Case]:
    """Return all cases of this file."""
    for name, (damage, want) in DAMAGES.items():
        yield _case(name, damage, want)
    for file in JSON_FILES:
        for name, content in TEXTS.items():
            yield _case(
                f"{file}: {name}", _text(file, content), "any" if file.startswith("gen") else "refused"
            )
    keys = [(key, value) for key in CONFIG_KEYS for value in WRONG_CONFIG_VALUES]
    for key, value in random.Random(4).sample(keys, WRONG_CONFIG_CASES):
        yield _case(f"config.json: {key}: {str(value)[:30]}", _config(**{key: value}), "any")
    for number in range(WEIGHT_MUTATIONS):
        yield _case(f"weights damaged ({number})", functools.partial(_mutate, number=number), "any")
    for name, place in PLACES.items():
        change = both(_odd_places, with_value(("model", "id"), place))
        yield Case(kind="model place", name=name, change=change, want="refused")


def _case(name: str, damage: Damage, want: Any) -> Case:
    def change(folder: Path) -> None:
        damage(Path(shutil.copytree(_sound(), folder / "model")))
        with_value(("model", "id"), "./model")(folder)

    return Case(kind="model", name=name, change=change, want=want)


def _text(name: str, content: bytes) -> Change:
    return lambda model: (model / name).write_bytes(content)


def _mutate(model: Path, *, number: int) -> None:
    """Cut the weights' file short, or change bytes in its header, at a seeded place."""
    path, draw = model / "model.safetensors", random.Random(number)
    data = bytearray(path.read_bytes())
    if number % 2:
        del data[draw.randrange(len(data)) :]
    else:
        data[draw.randrange(8 + 2000)] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def _odd_places(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "loop").symlink_to("loop")
