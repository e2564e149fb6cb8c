"""A tuned method on disk: `adapter.json` (the method) and `adapter.safetensors` (its tensors)."""

import json
from pathlib import Path

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
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
    tensors = {name: tensor.cpu().contiguous() for name, tensor in adapted.stored().items()}
    with writing(folder):
        folder.mkdir(parents=True)
        try:
            save_file(tensors, folder / _TENSOR_FILE)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        saved = SavedMethod(
            method=adapted.method,
            model=_geometry(adapted.model),
            tensors=file_checksum(folder / _TENSOR_FILE),
        )
        (folder / _SPEC_FILE).write_text(dump_json(saved), encoding="utf-8")


def load(model: PreTrainedModel, folder: Path) -> AdaptedModel:
    """Attach a saved method to its base model, folded, ready for inference.

    Raises:
        StoreError: the folder holds no saved method, or that of a model of another shape.
        DamagedError: a file is not as it was written.
    """
    if not (folder / _SPEC_FILE).is_file() or not (folder / _TENSOR_FILE).is_file():
        raise StoreError(
            f"a saved method is {_SPEC_FILE} and {_TENSOR_FILE}, but '{folder}' lacks one or both; "
            "give the adapter/ folder of a run"
        )
    method = _read_method(folder, _geometry(model))
    if not isinstance(method, NoneSpec):
        method = method.for_inference()
    adapted = attach(model, method, generator=torch.Generator(), tokenizer=None)
    adapted.restore(load_file(folder / _TENSOR_FILE))
    return adapted


def _geometry(model: PreTrainedModel) -> Geometry:
    config = model.config
    return Geometry(
        model_type=config.model_type,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=family_of(model).kv_heads,
    )


def _read_method(folder: Path, geometry: Geometry) -> Method:
    path = folder / _SPEC_FILE
    with damaged_if_unreadable(path, ValueError):
        text = path.read_text(encoding="utf-8")
        if "method" not in json.loads(text):
            return _METHOD.validate_json(text)  # written by an older version, without checksums
    saved, _ = read_json(SavedMethod, path)
    if file_checksum(folder / _TENSOR_FILE) != saved.tensors:
        raise DamagedError(f"{folder / _TENSOR_FILE} was changed after it was written; train the run again")
    if saved.model is not None and saved.model != geometry:
        raise StoreError(
            f"a saved method fits the model that it was trained on alone, but that of '{folder}' is for "
            f"{_words(saved.model)}, and this model is {_words(geometry)}; give its own model"
        )
    return saved.method


def _words(geometry: Geometry) -> str:
    """Return the model type and the sizes: llama (layers 3, width 32, heads 4, kv_heads 2)."""
    sizes = geometry.model_dump(exclude={"model_type"})
    return f"{geometry.model_type} ({', '.join(f'{name} {size}' for name, size in sizes.items())})"
