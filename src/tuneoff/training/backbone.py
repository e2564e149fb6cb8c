"""The pretrained model and its tokenizer: from the hub, from a folder, or one that comes with tuneoff."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    T5ForConditionalGeneration,
)

import tuneoff
from tuneoff.errors import ModelError, unknown_name
from tuneoff.kernels import quicken
from tuneoff.spec import BUILTIN, ModelIdentity, ModelSpec
from tuneoff.training.model_folder import folder_digest
from tuneoff.training.random_t5 import random_t5, random_tokenizer

_EMBEDDED = Path(tuneoff.__file__).parent / "embedded"
"""Models that come with tuneoff."""
_PATIENCE = 5
"""Seconds to wait for a hub's answer."""
_WAY_OUT = (
    "give a local folder (model: {id: ./folder}) or model: {id: builtin:tiny}; HF_ENDPOINT sets another hub"
)


@dataclass(frozen=True)
class Backbone:
    """An untouched model, in float32 and evaluation mode, with the faster parts and its tokenizer."""

    model: T5ForConditionalGeneration
    tokenizer: PreTrainedTokenizerBase
    revision: str | None
    """Commit of a hub model."""
    digest: str | None
    """Of weights, config and tokenizer: SHA-256 of a local or builtin model; None for a hub model."""

    def identity(self, spec: ModelSpec) -> ModelIdentity:
        """Return what the model is known by, under the name that a study gives it."""
        return ModelIdentity(id=spec.id, commit=self.revision, digest=self.digest)


def load_backbone(spec: ModelSpec) -> Backbone:
    """The model and tokenizer of a T5 family checkpoint.

    Raises:
        ModelError: it is not there, not reachable, incomplete, or not a T5.
    """
    if spec.id.startswith(BUILTIN):
        return _builtin(spec.id.removeprefix(BUILTIN))
    return _pretrained(spec)


def _builtin(name: str) -> Backbone:
    if name == "tiny":
        return _pretrained(ModelSpec(id=str(_EMBEDDED / name)))
    if name == "random":
        model, tokenizer = random_t5(), random_tokenizer()
        return Backbone(quicken(model), tokenizer, None, _digest_in_memory(model, tokenizer))
    raise ModelError(f"builtin models: {unknown_name(name, ['tiny', 'random'])}")


def _pretrained(spec: ModelSpec) -> Backbone:
    local = Path(spec.id).is_absolute()
    if local and not Path(spec.id).is_dir():
        raise ModelError(f"a local model is a folder, but there is none at '{spec.id}'; {_WAY_OUT}")
    revision = None if local else _commit(spec)
    digest = folder_digest(Path(spec.id)) if local else None
    with _quiet():
        _check_family(spec.id, revision)
        try:
            model, loading = T5ForConditionalGeneration.from_pretrained(
                spec.id,
                revision=revision or "main",
                dtype=torch.float32,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"a model must bring its weights as safetensors, but '{spec.id}' does not load: "
                f"{_first_line(error)}; {_WAY_OUT}"
            ) from error
        tokenizer = _tokenizer(spec.id, revision)
    _check_complete(spec, model, loading)
    return Backbone(quicken(model).eval(), tokenizer, revision, digest)


def _digest_in_memory(model: T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the SHA-256 of a tokenizer and weights that were made on the spot."""
    digest = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def _commit(spec: ModelSpec) -> str:
    """The commit of a hub model; where the hub does not answer, that of the copy in the cache."""
    try:
        return str(HfApi().model_info(spec.id, revision=spec.revision, timeout=_PATIENCE).sha)
    except Exception as error:  # which ones depends on the HTTP library below
        with suppress(HFValidationError):
            cached = try_to_load_from_cache(spec.id, "config.json", revision=spec.revision)
            if isinstance(cached, str):
                return Path(cached).parent.name
        raise ModelError(
            f"a model must be a folder or a reachable hub id with config.json, but '{spec.id}' "
            f"is not: {_first_line(error)}; {_WAY_OUT}"
        ) from error


def _check_family(name: str, revision: str | None) -> None:
    try:
        config = AutoConfig.from_pretrained(name, revision=revision or "main")
    except (OSError, ValueError) as error:
        raise ModelError(
            f"a model must come with its config.json, but that of '{name}' does not load: "
            f"{_first_line(error)}; {_WAY_OUT}"
        ) from error
    if config.model_type != "t5":
        raise ModelError(
            f"a model must be of the T5 family (T5, T5 v1.1, Flan-T5), but '{name}' is "
            f"'{config.model_type}'; {_WAY_OUT}"
        )


def _tokenizer(name: str, revision: str | None) -> PreTrainedTokenizerBase:
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision or "main")
        # where there are no tokenizer files, transformers makes a T5 tokenizer without pieces
        if not tokenizer.get_vocab().keys() - {*tokenizer.all_special_tokens, "\u2581"}:
            raise ValueError("it has no pieces")
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"a model must come with its tokenizer, but that of '{name}' does not load: "
            f"{_first_line(error)}; save the tokenizer beside the model (tokenizer.save_pretrained)"
        ) from error
    return tokenizer


def _check_complete(spec: ModelSpec, model: T5ForConditionalGeneration, loading: dict[str, object]) -> None:
    for kind in ("missing_keys", "mismatched_keys"):
        if names := loading[kind]:
            example = sorted(map(str, names))[0]  # type: ignore[call-overload]
            raise ModelError(
                f"a checkpoint must hold all weights of its config, but '{spec.id}' has {len(names)} "  # type: ignore[arg-type]
                f"{kind.replace('_', ' ')} (such as {example}); give the whole checkpoint"
            )
    tied = model.lm_head.weight.data_ptr() == model.shared.weight.data_ptr()
    if not tied and model.config.scale_decoder_outputs:
        raise ModelError(
            f"a T5 with its own output head does not scale the decoder's output, but the config of "
            f"'{spec.id}' says it does; set tie_word_embeddings to false in its config.json"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Loading bars and the note on Flan's separate head are no news to the user."""
    level = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
        if bars:
            transformers.logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
