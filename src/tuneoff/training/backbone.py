"""The pretrained model and its tokenizer, from the hub, a folder, or made on the spot."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import transformers
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.decoders import Metaspace
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from tuneoff.errors import ModelError, unknown_name
from tuneoff.spec import BUILTIN, ModelSpec
from tuneoff.tasks.builtin import builtin_tables

_PATIENCE = 5
"""Seconds to wait for a hub's answer."""
_TOKENIZER_ROWS = 1500
"""Rows of each builtin task that suffice to learn its words."""
_WAY_OUT = (
    "give a local folder (model: {id: ./folder}) or model: {id: builtin:random}; HF_ENDPOINT sets another hub"
)


@dataclass(frozen=True)
class Backbone:
    """An untouched model, in float32 and evaluation mode, with its tokenizer."""

    model: T5ForConditionalGeneration
    tokenizer: PreTrainedTokenizerBase
    revision: str | None
    """Commit of a hub model."""


def load_backbone(spec: ModelSpec) -> Backbone:
    """The model and tokenizer of a T5 family checkpoint.

    Raises:
        ModelError: it is not there, not reachable, incomplete, or not a T5.
    """
    if spec.id.startswith(BUILTIN):
        return _builtin(spec.id.removeprefix(BUILTIN))
    local = Path(spec.id).is_absolute()
    if local and not Path(spec.id).is_dir():
        raise ModelError(f"a local model is a folder, but there is none at '{spec.id}'; {_WAY_OUT}")
    revision = None if local else _commit(spec)
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
    return Backbone(model.eval(), tokenizer, revision)


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


def _builtin(name: str) -> Backbone:
    if name != "random":
        raise ModelError(f"builtin models: {unknown_name(name, ['random'])}")
    tokenizer = _builtin_tokenizer()
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=128,
        d_kv=16,
        d_ff=256,
        num_layers=3,
        num_decoder_layers=2,
        num_heads=6,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=tokenizer.pad_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = T5ForConditionalGeneration(config)
    return Backbone(model.eval(), tokenizer, None)


@cache
def _builtin_tokenizer() -> PreTrainedTokenizerFast:
    """Lower-case words of the builtin data sets, with pieces for what is not among them."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=["<pad>", "</s>", "<unk>"], show_progress=False
    )
    tokenizer.train_from_iterator(_builtin_texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _builtin_texts() -> list[str]:
    """Texts of the builtin training splits, and the words of the quickstart's prompts."""
    records = [
        record
        for name in ("reviews", "dialogues")
        for record in builtin_tables(name)["train"].records[:_TOKENIZER_ROWS]
    ]
    return [str(cell) for record in records for cell in record.cells.values()]
