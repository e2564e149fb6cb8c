"""A checkpoint's tokenizer, checked for what training and decoding need."""

import json
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

from tuneoff.errors import ModelError, shown
from tuneoff.families import architecture_of
from tuneoff.training.model_folder import TOKENIZER_CONFIG, json_object, reading

_SAVE = "save the tokenizer beside the model (tokenizer.save_pretrained)"


def read_tokenizer(folder: Path, config: PreTrainedConfig) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model in a folder.

    Raises:
        ModelError: it is missing, unreadable, needs code of its own, or does not fit the model.
    """
    if (folder / TOKENIZER_CONFIG).exists():
        _check_class(folder / TOKENIZER_CONFIG)
    with reading(folder, remedy=_SAVE):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, config=config, trust_remote_code=False, local_files_only=True
        )
        vocabulary = tokenizer.get_vocab()
        probe = tokenizer("a", verbose=False)["input_ids"]
        special = {*tokenizer.all_special_tokens, "\u2581"}
    # where there are no tokenizer files, transformers makes a tokenizer without tokens
    if not vocabulary.keys() - special:
        raise ModelError(
            f"a model must come with its tokenizer, but that of '{folder}' has no tokens; {_SAVE}"
        )
    if tokenizer.pad_token is None and not architecture_of(config.model_type).ends_input:
        # decoder-only models often have none; it may be any token, as masks hide padding by its place
        tokenizer.pad_token = tokenizer.eos_token
    for name in ("pad_token", "eos_token"):
        if not isinstance(getattr(tokenizer, f"{name}_id"), int):
            raise ModelError(
                f"a tokenizer must have a {name}, but that of '{folder}' has none; name it in "
                f"{TOKENIZER_CONFIG}"
            )
    ends_texts = probe[-1:] == [tokenizer.eos_token_id]
    made = f"makes {probe} of 'a' (eos_token_id is {tokenizer.eos_token_id})"
    if architecture_of(config.model_type).ends_input and not ends_texts:
        raise ModelError(
            f"a tokenizer must end each text with its eos_token, but that of '{folder}' {made}; add a "
            "post-processor that does"
        )
    if not architecture_of(config.model_type).ends_input and ends_texts:
        raise ModelError(
            f"a decoder-only model's tokenizer must not end texts, but that of '{folder}' {made}; set "
            f"add_eos_token to false in {TOKENIZER_CONFIG}"
        )
    _check_fits(folder, config, vocabulary | {shown(token): token for token in probe})
    return tokenizer


def _check_class(path: Path) -> None:
    """Refuse a tokenizer class that is not one of transformers' own tokenizers."""
    settings = json_object(path)
    if settings.get("auto_map") is not None:
        raise ModelError(
            f"a tokenizer must be one of transformers' own, but auto_map in '{path}' asks for code of its "
            "own, which is not run; save it as a fast tokenizer (PreTrainedTokenizerFast)"
        )
    name = settings.get("tokenizer_class")
    if name is None:
        return
    found = None
    with reading(path, remedy=_SAVE):
        if isinstance(name, str):
            found = tokenizer_class_from_name(name) or tokenizer_class_from_name(name.removesuffix("Fast"))
    if not (isinstance(found, type) and issubclass(found, PreTrainedTokenizerBase)):
        raise ModelError(
            f"a tokenizer_class must be a tokenizer of transformers, but '{path}' names {shown(name)}; "
            "if tokenizer.json is complete, write PreTrainedTokenizerFast"
        )


def _check_fits(folder: Path, config: PreTrainedConfig, vocabulary: dict[str, int]) -> None:
    """Refuse a tokenizer with ids that the model has no embedding for."""
    outside = sorted((id_, token) for token, id_ in vocabulary.items() if id_ >= config.vocab_size)
    if outside:
        id_, token = outside[0]
        raise ModelError(
            f"a model must have an embedding for each of its tokenizer's ids, but that of '{folder}' has "
            f"{config.vocab_size:,} and the tokenizer goes to id {outside[-1][0]:,} ({len(outside):,} too "
            f"many, such as {id_} for {shown(token)}); call model.resize_token_embeddings after adding "
            "tokens, or give the model's own tokenizer"
        )


def input_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Return the ids of inputs, with the tokenizer's own special tokens."""
    # verbose=False: the limit of the study holds, not the one a tokenizer's config names
    ids: list[list[int]] = tokenizer(texts, verbose=False)["input_ids"]
    return ids


def target_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Return the ids of targets, which always end with the end of sequence."""
    end = tokenizer.eos_token_id
    if input_ids(tokenizer, ["a"])[0][-1:] == [end]:
        first = first_target_id(tokenizer)
        return [ids if first is None else ids[1:] for ids in _whole_targets(tokenizer, texts)]
    # the tokenizer of a decoder-only model: the target continues the input after a space. Tokenizers differ
    # in what they make of a space at the start of a text, so a word stands in front and is taken off again
    before = tokenizer("a", add_special_tokens=False)["input_ids"]
    joined = tokenizer([f"a {text}" for text in texts], add_special_tokens=False, verbose=False)["input_ids"]
    return [[*ids[len(before) :], end] for ids in joined]


def first_target_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the token that a tokenizer puts in front of every target: BART's <s>, or a language; or None.

    A decoder is given it, so that it is no part of the target.
    """
    empty, (word,) = _whole_targets(tokenizer, [""])[0], _whole_targets(tokenizer, ["a"])
    return empty[0] if len(empty) == 2 and word[:1] == empty[:1] else None


def _whole_targets(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Return the ids of targets with all that the tokenizer adds."""
    # a translation model may have another vocabulary or another language for targets; without one it is None
    if getattr(tokenizer, "tgt_lang", "") is None:
        return input_ids(tokenizer, texts)
    ids: list[list[int]] = tokenizer(text_target=texts, verbose=False)["input_ids"]
    return ids


def unknown_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Return the ids of a tokenizer's unknown token; none for a tokenizer of bytes."""
    # each kind of backend names its unknown token in another place
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    token = getattr(model, "unk_token", None)
    named = None if token is None else tokenizer.convert_tokens_to_ids(token)
    found = {tokenizer.unk_token_id, named, getattr(model, "unk_id", None)}
    return tuple(sorted(found - {None, tokenizer.eos_token_id, tokenizer.pad_token_id}))


def tokenizer_key(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a cache key: tokenizers with the same key tokenize every text alike."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return str(backend.to_str())
    # written in Python, such as ByT5's: its class and its tokens decide
    return json.dumps([type(tokenizer).__name__, tokenizer.get_vocab(), tokenizer.all_special_tokens])
