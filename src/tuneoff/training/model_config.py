"""A checkpoint's config.json as a T5 config: only its sizes and ids, each of them checked."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator
from transformers import T5Config
from transformers.activations import ACT2FN

from tuneoff.errors import ModelError, shown
from tuneoff.training.model_folder import ADAPTER_CONFIG, CONFIG, json_object

_Size = Annotated[int, Field(gt=0, lt=2**31)]
_Id = Annotated[int, Field(ge=0, lt=2**31)]
_Share = Annotated[float, Field(ge=0, lt=1)]
_REFUSED = {
    "auto_map": "code of its own, which is not run",
    "quantization_config": "quantized weights, which are not read",
    "transformers_weights": "weights in another file than usual, which is not read",
}
_FEWEST_BUCKETS = 4
"""The encoder has half of the buckets for each direction, and half of these for exact distances."""


class _Fields(BaseModel):
    """The keys of a config that define the model; others, such as those that name code, are ignored."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    vocab_size: _Size = 32128
    d_model: _Size = Field(512, validation_alias=AliasChoices("d_model", "hidden_size"))
    d_kv: _Size = Field(64, validation_alias=AliasChoices("d_kv", "head_dim"))
    d_ff: _Size = 2048
    num_layers: _Size = Field(6, validation_alias=AliasChoices("num_layers", "num_hidden_layers"))
    num_decoder_layers: _Size | None = None
    num_heads: _Size = Field(8, validation_alias=AliasChoices("num_heads", "num_attention_heads"))
    relative_attention_num_buckets: Annotated[_Size, Field(ge=_FEWEST_BUCKETS)] = 32
    relative_attention_max_distance: _Size = 128
    dropout_rate: _Share = 0.1
    layer_norm_epsilon: Annotated[_Share, Field(gt=0)] = 1e-6
    feed_forward_proj: str = "relu"
    dense_act_fn: str | None = None
    is_gated_act: bool | None = None
    tie_word_embeddings: bool | None = None
    scale_decoder_outputs: bool | None = None
    pad_token_id: _Id | None = None
    decoder_start_token_id: _Id | None = None

    @model_validator(mode="after")
    def _computable(self) -> Self:
        if self.relative_attention_max_distance <= self.relative_attention_num_buckets // 2:
            raise ValueError(
                "relative_attention_max_distance must be more than half of relative_attention_num_buckets, "
                f"but got {self.relative_attention_max_distance} and {self.relative_attention_num_buckets}"
            )
        gate, _, activation = self.feed_forward_proj.rpartition("-")
        known = activation in ACT2FN and (self.dense_act_fn is None or self.dense_act_fn in ACT2FN)
        if gate not in ("", "gated") or not known:
            raise ValueError(
                "feed_forward_proj must be an activation or gated-ACTIVATION (relu, gated-gelu), "
                f"and dense_act_fn an activation, but got {shown(self.feed_forward_proj)} and "
                f"{shown(self.dense_act_fn)}"
            )
        for field in ("pad_token_id", "decoder_start_token_id"):
            token = getattr(self, field)
            if token is not None and token >= self.vocab_size:
                raise ValueError(f"{field} must be below vocab_size={self.vocab_size}, but got {token}")
        return self


def read_config(folder: Path) -> T5Config:
    """Read the config of a T5 in a folder; token ids that it does not have are None.

    Raises:
        ModelError: the config is missing, of another family, or impossible for a T5.
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
    _check_family(path, values)
    try:
        fields = _Fields.model_validate(values)
    except ValidationError as error:
        raise ModelError(
            f"{_message(path, error)}; give the config that the weights were saved with"
        ) from error
    sizes = fields.model_dump(exclude_none=True, exclude={"decoder_start_token_id", "pad_token_id"})
    return T5Config(
        **sizes, pad_token_id=fields.pad_token_id, decoder_start_token_id=fields.decoder_start_token_id
    )


def _check_family(path: Path, values: dict[str, Any]) -> None:
    kind = values.get("model_type")
    if kind != "t5":
        raise ModelError(
            f"a model must be of the T5 family (T5, T5 v1.1, Flan-T5, ByT5: model_type t5), but the "
            f"model_type in '{path}' is {shown(kind)}; give such a model, or model: {{id: builtin:tiny}}"
        )
    for key, meaning in _REFUSED.items():
        if values.get(key) is not None:
            raise ModelError(
                f"a model must be one of transformers' own T5, but {key} in '{path}' asks for {meaning}; "
                "give a model without it"
            )


def _message(path: Path, error: ValidationError) -> str:
    """Return the first broken rule: place, rule, value."""
    detail = error.errors()[0]
    if detail["type"] == "value_error":
        return f"{path}: {detail['ctx']['error']}"
    return f"{path}: {detail['loc'][0]}: {detail['msg']}, but got {shown(detail['input'])}"
