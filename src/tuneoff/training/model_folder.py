"""A model's folder on disk: the files that define the model, and their digest."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuneoff.errors import ModelError, shown

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TOKENIZER_CONFIG, ADAPTER_CONFIG = "tokenizer_config.json", "adapter_config.json"
_TOKENIZER = (
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
    "vocab.*",
    "merges.txt",
    "chat_template.jinja",
)
"""Patterns of the files that transformers reads a tokenizer from."""
READ = (CONFIG, WEIGHTS, INDEX, "model-*-of-*.safetensors", ADAPTER_CONFIG, *_TOKENIZER)
"""Patterns of all files that are read: no code, no pickles."""


def folder_digest(folder: Path) -> str:
    """Return the SHA-256, in hexadecimal, of a model's weights, config and tokenizer, by name and content.

    It is the `sha256sum` of what `sha256sum` prints for these files in the order of their names. A copy of
    the folder has the same digest; a README or a `.git` changes nothing.

    Raises:
        ModelError: the weights are missing, or a file cannot be read.
    """
    digest = hashlib.sha256()
    for name in sorted(path.relative_to(folder).as_posix() for path in deciding_files(folder)):
        with reading(folder / name), (folder / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{content}  {name}\n".encode())
    return digest.hexdigest()


def deciding_files(folder: Path) -> set[Path]:
    """Return the files of a folder that define its model.

    Raises:
        ModelError: the weights are missing, or their index is not readable.
    """
    found = {path for pattern in (CONFIG, *_TOKENIZER) for path in folder.glob(pattern) if path.is_file()}
    return found | set(weight_files(folder))


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that hold a model's weights: one, or an index and its shards.

    Raises:
        ModelError: there are none, or the index names a file that is missing.
    """
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    index = folder / INDEX
    if not index.is_file():
        raise ModelError(
            f"a model must have its weights as safetensors, but '{folder}' has neither {WEIGHTS} nor "
            f"{INDEX}; pytorch_model.bin and other pickles are not read, since they can run code: where you "
            'trust them, convert them with python -c "from transformers import AutoTokenizer as A, '
            f"AutoModelForSeq2SeqLM as T; T.from_pretrained('{folder}').save_pretrained('./converted'); "
            f"A.from_pretrained('{folder}').save_pretrained('./converted')\" and give ./converted"
        )
    shards = json_object(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise ModelError(
            f"the index of a model's weights must map each weight's name to a file in 'weight_map', but "
            f"'{index}' has {shown(shards)} there; save the model again"
        )
    for shard in shards.values():
        beside = isinstance(shard, str) and Path(shard).name == shard
        if not beside or not (folder / shard).is_file():
            raise ModelError(
                f"the index of a model's weights must name files beside it, but '{index}' names "
                f"{shown(shard)}; give the whole checkpoint"
            )
    return (index, *(folder / shard for shard in sorted(set(shards.values()))))


def json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Raises:
        ModelError: the file is missing or holds something else.
    """
    with reading(path):
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError(f"it holds {shown(value)}, not an object")
    return value


@contextmanager
def reading(path: Path, remedy: str = "save the model again, or give another copy of it") -> Iterator[None]:
    """Turn any failure in this context into a `ModelError` about a file or folder of a model.

    Many libraries take part in loading, each with exceptions of its own. `MemoryError` passes unchanged.
    """
    try:
        yield
    except BaseException as error:
        # a panic in the tokenizers library, which is written in Rust, is no Exception
        failed = isinstance(error, Exception) or type(error).__name__ == "PanicException"
        if isinstance(error, ModelError | MemoryError) or not failed:
            raise
        raise ModelError(
            f"a model's files must be whole and readable, but '{path}' does not load: {_message(error)}; "
            f"{remedy}"
        ) from error


def _message(error: BaseException) -> str:
    """Return the first line of an error's message, with its type unless the message is plain."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    text = line if isinstance(error, OSError | ValueError) and line else f"{type(error).__name__}: {line}"
    return shown(text)[1:-1]
