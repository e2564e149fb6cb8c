"""A checkpoint's weights, read from safetensors into a model that transformers builds from a config alone."""

from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from tuneoff.errors import ModelError, shown
from tuneoff.families import architecture_of
from tuneoff.training.model_folder import CONFIG, INDEX, reading, weight_files

_FLOATS = ("F64", "F32", "F16", "BF16")
"""The data types, by their names in safetensors, of weights that are not quantized."""


def read_model(folder: Path, config: PreTrainedConfig) -> PreTrainedModel:
    """Load the model of a folder, in float32 and evaluation mode.

    Only tensors are read: no code, no pickle, no adapter, no generation settings.

    Raises:
        ModelError: the weights are missing, damaged, or not those of the config.
    """
    files = [path for path in weight_files(folder) if path.name != INDEX]
    shapes = _shapes(files)
    # a damaged config may ask for a billion layers, which take long to build even without weights
    architecture = architecture_of(config.model_type)
    layers = architecture.layers(config)
    if layers > len(shapes):
        raise ModelError(
            f"a model's config and weights must belong together, but '{folder / CONFIG}' has "
            f"{layers:,} layers and the weights {len(shapes):,} "
            "tensors; give the config that the weights were saved with"
        )
    with reading(folder / CONFIG), torch.device("meta"):
        model = architecture.model(config)
    expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    unused = architecture.unused_weights
    known = {name: _own_name(name, model, expected, architecture.former_names) for name in shapes}
    shapes = {known[name]: shape for name, shape in shapes.items()}
    unexpected = [name for name in shapes if name not in expected and not unused.fullmatch(name)]
    mismatched = [name for name in shapes if name in expected and shapes[name] != expected[name]]
    _check_none(folder, "unexpected", unexpected)
    _check_none(folder, "mismatched", mismatched)
    # not strict, since a checkpoint may hold tied weights under one name: `tie_weights` fills in the others,
    # and takes them off `missing`
    model.load_state_dict(_tensors(files, known, expected), strict=False, assign=True)
    missing = expected.keys() - shapes.keys()
    model.tie_weights(missing_keys=missing, recompute_mapping=False)
    _check_none(folder, "missing", [name for name in missing if not architecture.computed.fullmatch(name)])
    if missing or any(buffer.is_meta for buffer in model.buffers()):
        # what a model computes of its config alone, such as the frequencies of its positions, transformers
        # fills in where it loads weights
        known = {name: tensor for name, tensor in model.state_dict().items() if not tensor.is_meta}
        model = architecture.model.from_pretrained(None, config=config, state_dict=known)
    return model.eval()


def _own_name(
    name: str, model: PreTrainedModel, expected: Container[str], former_names: Mapping[str, str]
) -> str:
    """Return what the model calls a tensor of a checkpoint."""
    # weights that were saved without the head lack the name of the part that they are in
    whole = f"{model.base_model_prefix}.{name}"
    return whole if name not in expected and whole in expected else former_names.get(name, name)


def _check_none(folder: Path, kind: str, names: Iterable[str]) -> None:
    names = sorted(names)
    if names:
        raise ModelError(
            f"a checkpoint must hold the weights of its config, all and no others, but '{folder}' has "
            f"{len(names)} {kind} keys (such as {shown(names[0])}); give the whole checkpoint with the "
            "config that it was saved with"
        )


def _shapes(files: Iterable[Path]) -> dict[str, list[int]]:
    """Return the shape of each tensor, without reading the tensor."""
    shapes: dict[str, list[int]] = {}
    for path in files:
        with reading(path), safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                stored = file.get_slice(name)
                if stored.get_dtype() not in _FLOATS:
                    raise ModelError(
                        f"a model's weights must be floating-point numbers, but {shown(name)} in '{path}' is "
                        f"{stored.get_dtype()}; give the model as it was before quantization"
                    )
                shapes[name] = stored.get_shape()
    return shapes


def _tensors(files: Iterable[Path], known: Mapping[str, str], wanted: Container[str]) -> dict[str, Tensor]:
    """Read tensors, in float32 and in memory of their own: not mapped from the file.

    `known` has the model's name of each name in the files.
    """
    tensors: dict[str, Tensor] = {}
    for path in files:
        with reading(path):
            file: Any = safe_open(path, framework="pt")
            names = [name for name in file.keys() if known[name] in wanted]  # noqa: SIM118
        for name in names:
            with reading(path):
                stored = file.get_tensor(name)
            tensors[known[name]] = stored.to(torch.float32, copy=True)
    return tensors
