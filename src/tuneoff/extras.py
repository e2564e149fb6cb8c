"""The packages of the extras: `tuneoff[train]`, which reports do not need, and those of single settings."""

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType

from tuneoff.errors import InputError

TRAIN = (
    "accelerate",
    "datasets",
    "google.protobuf",
    "huggingface_hub",
    "optuna",
    "peft",
    "rouge_score",
    "sacrebleu",
    "safetensors",
    "sentencepiece",
    "sklearn",
    "tokenizers",
    "torch",
    "transformers",
)
"""Modules of the packages of the extra `train`."""
QUANTIZED: Mapping[str, str] = MappingProxyType({"int8": "torchao", "nf4": "bitsandbytes"})
"""From `model.quantization` to the module of its package in the extra `quantized`."""


def require_train(command: str) -> None:
    """Check that the packages of the extra `train` are installed, importing none of them.

    Raises:
        InputError: one is missing.
    """
    if missing := [name for name in TRAIN if not _is_installed(name)]:
        raise InputError(
            f"`{command}` needs the packages of tuneoff[train]: pip install 'tuneoff[train]' "
            f"(missing: {', '.join(missing)})"
        )


def require_quantized(quantization: str) -> None:
    """Check that the package is installed that quantizes a model in this way, without importing it.

    Raises:
        InputError: it is missing.
    """
    if not _is_installed(QUANTIZED[quantization]):
        raise InputError(
            f"model.quantization: {quantization} needs a package of tuneoff[quantized]: "
            f"pip install 'tuneoff[quantized]' (missing: {QUANTIZED[quantization]})"
        )


def require_tracker(name: str) -> None:
    """Check that the module of a tracker is installed, without importing it; its extra has the same name.

    Raises:
        InputError: it is missing.
    """
    if not _is_installed(name):
        raise InputError(
            f"training.report_to: {name} needs a package of tuneoff[{name}]: pip install 'tuneoff[{name}]' "
            f"(missing: {name})"
        )


def require_ray() -> None:
    """Check that Ray is installed, without importing it.

    Raises:
        InputError: it is missing.
    """
    if not _is_installed("ray"):
        raise InputError(
            "--executor ray needs the package of tuneoff[ray]: pip install 'tuneoff[ray]' (missing: ray)"
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that holds it
        return False
