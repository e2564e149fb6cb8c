"""The config.json of a model without a family of its own: what its config class in transformers declares."""

from dataclasses import fields
from typing import Any, Self

from pydantic import ConfigDict, model_validator
from transformers import AutoConfig, PreTrainedConfig

from tuneoff.errors import first_line
from tuneoff.families.family import ConfigKeys

_SHARED = ("is_encoder_decoder", "tie_word_embeddings")
"""Of the keys that all models have, those that define one; others say how it is loaded or what it returns."""
_IDS = ("pad_token_id", "eos_token_id", "bos_token_id", "decoder_start_token_id")


class OtherKeys(ConfigKeys):
    """The keys that a model's own config class declares, checked by that class."""

    model_config = ConfigDict(extra="allow")

    model_type: str
    forced_bos_token_id: int | None = None

    @model_validator(mode="after")
    def _computable(self) -> Self:
        try:
            self.config()
        except Exception as error:  # their types depend on the config class
            raise ValueError(f"transformers refuses it: {first_line(error)}") from error
        return self

    def config(self) -> PreTrainedConfig:  # noqa: D102
        default: Any = AutoConfig.for_model(self.model_type)
        shared = {field.name for field in fields(PreTrainedConfig)} - {*_SHARED, *_IDS}
        own = {field.name for field in fields(type(default))} - shared
        known = own | set(type(default).attribute_map) | {*_SHARED, *_IDS}
        given = {name: value for name, value in (self.model_extra or {}).items() if name in known}
        config: PreTrainedConfig = AutoConfig.for_model(
            self.model_type, **given | {"forced_eos_token_id": None}
        )
        config.first_target_token_id = self.forced_bos_token_id
        return config
