"""A checkpoint's config.json as a config of its family: only its sizes and ids, each of them checked."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from transformers import PreTrainedConfig

from tuneoff.errors import ModelError, shown
from tuneoff.families import Architecture, architecture_of
from tuneoff.training.model_folder import ADAPTER_CONFIG, CONFIG, json_object

_REFUSED = {
    "auto_map": "code of its own, which is not run",
    "quantization_config": "quantized weights, which are not read",
    "transformers_weights": "weights in another file than usual, which is not read",
}


def read_config(folder: Path) -> PreTrainedConfig:
    """Read the config of a model in a folder; token ids that it does not have are None.

    Raises:
        ModelError: the config is missing, of no known family, or impossible for its family.
    """
    path = folder / CONFIG
    if (folder / ADAPTER_CONFIG).exists():
        raise ModelError(
            f"a model must be a whole one, but '{folder}' holds a PEFT adapter ({ADAPTER_CONFIG}), which "
            "would be ignored; merge it into its base (merge_and_unload) and save that, or remove it"
        )
    if not path.is_file():
        raise ModelError(
            f"a model must come with its {CONFIG}, but '{folder}' has none; give the whole model"
        )
    values = json_object(path)
    architecture = architecture_of(values.get("model_type"), place=path)
    _check_own(path, values, architecture)
    try:
        return architecture.keys.model_validate(values).config()
    except ValidationError as error:
        raise ModelError(
            f"{_message(path, error)}; give the config that the weights were saved with"
        ) from error


def _check_own(path: Path, values: dict[str, Any], architecture: Architecture) -> None:
    """Refuse a model that transformers alone cannot build."""
    for key, meaning in _REFUSED.items():
        if values.get(key) is not None:
            raise ModelError(
                f"a model must be one of transformers' own {architecture.name}, but {key} in '{path}' asks "
                f"for {meaning}; give a model without it"
            )


def _message(path: Path, error: ValidationError) -> str:
    """Return the first broken rule: place, rule, value."""
    detail = error.errors()[0]
    if detail["type"] == "value_error":
        return f"{path}: {detail['ctx']['error']}"
    return f"{path}: {detail['loc'][0]}: {detail['msg']}, but got {shown(detail['input'])}"
