"""The packages that only training needs (`pip install 'tuneoff[train]'`); a report needs none of them."""

from importlib.util import find_spec

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


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that holds it
        return False
