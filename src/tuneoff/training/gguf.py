"""GGUF files: dequantized once into a folder of the user's cache, which is then read like any other model."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock
from huggingface_hub import constants
from transformers import AutoConfig, AutoTokenizer, GgufConfig, PreTrainedConfig

from tuneoff.errors import ModelError, shown
from tuneoff.families import architecture_of
from tuneoff.training.model_folder import folder_digest, json_object, reading

SUFFIX = ".gguf"
_MAGIC = b"GGUF"
_RECORD = "conversion.json"
"""In the folder: what it was made of, by what, and its own digest."""
_LINK = f"model{SUFFIX}"
_COPY = "give another copy of the file"

OnConversion = Callable[[Path, Path], None]
"""Called with a file that is about to be dequantized, and the folder for the result."""


def ignore_conversion(file: Path, folder: Path) -> None:
    """Do nothing with a conversion."""


class Dequantized(NamedTuple):
    """A GGUF file as a model's folder."""

    folder: Path
    digest: str
    """SHA-256 of the GGUF file, which identifies the model: the folder also depends on who wrote it."""


def dequantized(file: Path, on_conversion: OnConversion = ignore_conversion) -> Dequantized:
    """Return the folder of a GGUF file's model in float32; make it, if the cache has none that is whole.

    Processes that need the same folder wait for the one that makes it. One that ends midway leaves a part
    that the next one removes.

    Raises:
        ModelError: the package gguf is missing, the file is no GGUF of a known family or not whole, or the
            cache cannot be written.
    """
    _check(file)
    with reading(file, _COPY), file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    cache = cache_folder()
    folder = cache / f"{file.stem}-{digest[:16]}"
    made_by = {"source": digest} | {name: version(name) for name in ("transformers", "gguf")}
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not _is_whole(folder, made_by):
                on_conversion(file, folder)
                _convert(file, folder, made_by)
    except OSError as error:
        raise ModelError(
            f"a GGUF file is dequantized into a cache, but '{folder}' cannot be written: "
            f"{error.strerror or error}; free space, or set HF_HOME to a folder that can be written"
        ) from error
    return Dequantized(folder, digest)


def cache_folder() -> Path:
    """Return the folder of dequantized models, beside the cache of the hub (`HF_HOME`)."""
    return Path(constants.HF_HOME) / "tuneoff" / "gguf"


def _check(file: Path) -> None:
    """Refuse what needs no reader to be refused."""
    if not file.is_file():
        raise ModelError(f"a GGUF model must be a file, but there is none at '{file}'; give its path")
    with reading(file, _COPY), file.open("rb") as opened:
        start = opened.read(len(_MAGIC))
    if start != _MAGIC:
        raise ModelError(
            f"a GGUF file must begin with the bytes {_MAGIC!r}, but '{file}' begins with {shown(start)}; "
            "give a GGUF file, or a model's folder"
        )
    if find_spec("gguf") is None:
        raise ModelError(f"'{file}' needs the package gguf to be read: pip install 'tuneoff[gguf]'")


def _is_whole(folder: Path, made_by: dict[str, str]) -> bool:
    """Return whether a folder is the result of this very conversion, unchanged since."""
    if not (folder / _RECORD).is_file():
        return False
    try:
        return json_object(folder / _RECORD) == made_by | {"folder": folder_digest(folder)}
    except ModelError:
        return False


def _convert(file: Path, folder: Path, made_by: dict[str, str]) -> None:
    """Dequantize a file into a folder, which appears as a whole or not at all."""
    part = folder.with_name(f"{folder.name}.part")
    for old in (part, folder):
        shutil.rmtree(old, ignore_errors=True)
    part.mkdir()
    try:
        _write(file, part)
        record = made_by | {"folder": folder_digest(part)}
        (part / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(file: Path, folder: Path) -> None:
    """Write what a GGUF file holds as config, tokenizer and float32 weights."""
    # transformers takes a folder and a name, and would also read other files that lie beside it
    source = folder / "source"
    source.mkdir()
    (source / _LINK).symlink_to(file.resolve())
    where: dict[str, Any] = {"gguf_file": _LINK, "local_files_only": True, "trust_remote_code": False}
    with reading(file, _COPY):
        config: PreTrainedConfig = AutoConfig.from_pretrained(source, **where)
    architecture = architecture_of(config.model_type, place=file)
    # a progress bar of the reader, which transformers' settings do not hide
    with reading(file, _COPY), redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(source, **where)
        model, loading = architecture.model.from_pretrained(
            source,
            gguf_file=_LINK,
            local_files_only=True,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
        )
    # transformers would give a weight that is not in the file random values
    if missing := sorted(loading["missing_keys"]):
        raise ModelError(
            f"a GGUF file must hold all weights of its model, but '{file}' lacks {len(missing)} (such as "
            f"{shown(missing[0])}); give the whole model as one file"
        )
    shutil.rmtree(source)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
