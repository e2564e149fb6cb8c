"""A model's folder on disk: which of its files decide what the model is, and their digest."""

import hashlib
import json
from pathlib import Path

from tuneoff.errors import ModelError, shown

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_CONFIG = ("config.json", "generation_config.json")
_TOKENIZER = (
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
    "vocab.*",
    "merges.txt",
)
"""Patterns of what transformers reads a tokenizer from."""


def folder_digest(folder: Path) -> str:
    """Return the SHA-256, in hexadecimal, that stands for a model in a folder.

    It covers weights, configs and tokenizer, by content and name relative to the folder: what `sha256sum`
    makes of the lines that `sha256sum` prints for these files in the order of their names. A copy has the
    same digest; a README or a `.git` changes nothing.

    Raises:
        ModelError: the weights are not there, or a file cannot be read.
    """
    digest = hashlib.sha256()
    for name in sorted(path.relative_to(folder).as_posix() for path in deciding_files(folder)):
        try:
            with (folder / name).open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"a model's files must be readable, but '{folder / name}': {error}") from error
        digest.update(f"{content}  {name}\n".encode())
    return digest.hexdigest()


def deciding_files(folder: Path) -> set[Path]:
    """Return the files of a folder that decide what its model is.

    Raises:
        ModelError: the weights are not there, or their index is not readable.
    """
    found = {path for pattern in (*_CONFIG, *_TOKENIZER) for path in folder.glob(pattern) if path.is_file()}
    return found | set(weight_files(folder))


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that transformers reads weights from: one, or an index and its shards.

    Raises:
        ModelError: there are none, or the index names what is not a file of the folder.
    """
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    index = folder / INDEX
    if not index.is_file():
        raise ModelError(
            f"a model must bring its weights as safetensors, but '{folder}' has neither {WEIGHTS} nor {INDEX}"
        )
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"the index of a model's weights must map each weight's name to a file, but '{index}' does not "
            f"({type(error).__name__}: {error}); save the model again"
        ) from error
    for shard in shards:
        inside = isinstance(shard, str) and Path(shard).name == shard
        if not inside or not (folder / shard).is_file():
            raise ModelError(
                f"the index of a model's weights must name files beside it, but '{index}' names "
                f"{shown(shard)}; give the whole checkpoint"
            )
    return (index, *(folder / shard for shard in sorted(shards)))
