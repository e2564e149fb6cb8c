"""A tuned method on disk: `adapter.json` (the method) and `adapter.safetensors` (its tensors)."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from tuneoff.errors import DamagedError, StoreError, writing
from tuneoff.families import family_of
from tuneoff.methods.adapter import AdaptedModel
from tuneoff.methods.attach import attach
from tuneoff.results import FileChecksum
from tuneoff.results.format import damaged_if_unreadable, dump_json, file_checksum, read_json
from tuneoff.spec import Method, NoneSpec, Spec

_METHOD = TypeAdapter[Method](Method)
_SPEC_FILE, _TENSOR_FILE = "adapter.json", "adapter.safetensors"


class Geometry(Spec):
    """The shape of the model that a method was trained on."""

    model_type: str
    layers: int
    width: int
    heads: int
    kv_heads: int


class SavedMethod(Spec):
    """The content of adapter.json."""

    method: Method
    model: Geometry | None = None
    """None in files of older versions."""
    tensors: FileChecksum
    """Of adapter.safetensors."""


def save(adapted: AdaptedModel, folder: Path) -> None:
    """Write the method and the tensors of `AdaptedModel.stored` into a new folder.

    Raises:
        StoreError: the folder exists, or cannot be written.
    """
    write(folder, adapted.method, _geometry(adapted.model), adapted.stored())


def write(folder: Path, method: Method, geometry: Geometry | None, tensors: Mapping[str, Tensor]) -> None:
    """Write a method and its tensors into a new folder.

    Raises:
        StoreError: the folder exists, or cannot be written.
    """
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    with writing(folder):
        folder.mkdir(parents=True)
        try:
            save_file(tensors, folder / _TENSOR_FILE)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        saved = SavedMethod(
            method=method,
            model=geometry,
            tensors=file_checksum(folder / _TENSOR_FILE),
        )
        (folder / _SPEC_FILE).write_text(dump_json(saved), encoding="utf-8")


def load(model: PreTrainedModel, folder: Path) -> AdaptedModel:
    """Attach a saved method to its base model, folded, ready for inference.

    Raises:
        StoreError: the folder holds no saved method, or that of a model of another shape.
        DamagedError: a file is not as it was written.
    """
    saved, tensors = read(folder)
    geometry = _geometry(model)
    if saved.model is not None and saved.model != geometry:
        raise StoreError(
            f"a saved method fits the model that it was trained on alone, but that of '{folder}' is for "
            f"{_words(saved.model)}, and this model is {_words(geometry)}; give its own model"
        )
    method = saved.method
    if not isinstance(method, NoneSpec):
        method = method.for_inference()
    adapted = attach(model, method, generator=torch.Generator(), tokenizer=None)
    adapted.restore(tensors)
    return adapted


def read(folder: Path) -> tuple[SavedMethod, dict[str, Tensor]]:
    """Return a saved method and its tensors, which are those of `AdaptedModel.stored`.

    Raises:
        StoreError: the folder holds no saved method.
        DamagedError: a file is not as it was written.
    """
    spec_file, tensor_file = folder / _SPEC_FILE, folder / _TENSOR_FILE
    if not spec_file.is_file() or not tensor_file.is_file():
        raise StoreError(
            f"a saved method is {_SPEC_FILE} and {_TENSOR_FILE}, but '{folder}' lacks one or both; "
            "give the adapter/ folder of a run"
        )
    checksum = file_checksum(tensor_file)
    with damaged_if_unreadable(spec_file, ValueError):
        text = spec_file.read_text(encoding="utf-8")
        if "method" not in json.loads(text):  # written by an older version, without checksums
            return SavedMethod(method=_METHOD.validate_json(text), tensors=checksum), load_file(tensor_file)
    saved, _ = read_json(SavedMethod, spec_file)
    if checksum != saved.tensors:
        raise DamagedError(f"{tensor_file} was changed after it was written; train the run again")
    return saved, load_file(tensor_file)


def copy(folder: Path, to: Path) -> None:
    """Copy the files of a saved method, and no others beside them, into an existing folder.

    Raises:
        OSError: that cannot be done.
    """
    for name in (_SPEC_FILE, _TENSOR_FILE):
        shutil.copyfile(folder / name, to / name)


def _geometry(model: PreTrainedModel) -> Geometry:
    # some encoder-decoders, such as T5Gemma, have a config for each stack
    config = getattr(model.config, "decoder", model.config)
    return Geometry(
        model_type=model.config.model_type,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=family_of(model).kv_heads,
    )


def _words(geometry: Geometry) -> str:
    """Return the model type and the sizes: llama (layers 3, width 32, heads 4, kv_heads 2)."""
    sizes = geometry.model_dump(exclude={"model_type"})
    return f"{geometry.model_type} ({', '.join(f'{name} {size}' for name, size in sizes.items())})"
