"""A checkpoint's tokenizer, checked for what training and decoding need."""

import json
from itertools import takewhile
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

from tuneoff.errors import ModelError, first_line, shown
from tuneoff.families import architecture_of
from tuneoff.spec import ModelSpec
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


def choose_template(tokenizer: PreTrainedTokenizerBase, spec: ModelSpec) -> None:
    """Leave a tokenizer its chat template where inputs are to be written with it, and none elsewhere.

    With the template, the tokenizer's end of sequence becomes the token that ends an answer.

    Raises:
        ModelError: the study asks for a template, but the tokenizer has none that can be used.
    """
    if spec.template == "plain":
        tokenizer.chat_template = None
        return
    if tokenizer.chat_template is None:
        raise ModelError(
            f"template: chat needs a tokenizer with a chat template, but that of {shown(spec.id)} has none; "
            "take template: plain, or a model that was tuned for chat"
        )
    try:
        after_answer = _common_end(*(_chat(tokenizer, "a", answer) for answer in ("a", "b")))
        added = tokenizer.added_tokens_decoder
        ids = tokenizer(after_answer, add_special_tokens=False)["input_ids"]
        ends = [id_ for id_ in ids if id_ in added and added[id_].special]
    except Exception as error:  # a template is a program, which can fail in any way
        raise ModelError(
            f"the chat template of {shown(spec.id)} cannot be used: {first_line(error)}; take template: plain"
        ) from error
    if ends:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ends[0])


def _chat(tokenizer: PreTrainedTokenizerBase, question: str, answer: str | None = None) -> str:
    """Return a question with its answer, or up to where the answer begins, in the chat template."""
    messages = [{"role": "user", "content": question}]
    if answer is not None:
        messages.append({"role": "assistant", "content": answer})
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answer is None)
    return text


def _before_answer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what the chat template puts between a question and its answer."""
    return _common_end(*(_chat(tokenizer, question) for question in ("a", "b")))


def _start_of_answer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what the chat template puts between the point where an answer begins and its text: a space."""
    begun = _chat(tokenizer, "a")
    chats = [_chat(tokenizer, "a", answer) for answer in ("a", "b")]
    if not all(chat.startswith(begun) for chat in chats):
        return ""
    return _common_end(*(chat.removeprefix(begun)[::-1] for chat in chats))[::-1]


def _common_end(one: str, other: str) -> str:
    pairs = zip(reversed(one), reversed(other), strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return one[len(one) - shared :]


def input_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Return the ids of inputs, in the tokenizer's chat template if it has one, with its special tokens."""
    if tokenizer.chat_template is not None:
        chats = [_chat(tokenizer, text) for text in texts]
        # the template has written the special tokens
        return tokenizer(chats, add_special_tokens=False, verbose=False)["input_ids"]
    # verbose=False: the limit of the study holds, not the one a tokenizer's config names
    ids: list[list[int]] = tokenizer(texts, verbose=False)["input_ids"]
    return ids


def closing_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids that every input ends with: those of the chat template, the end of sequence, or none."""
    if tokenizer.chat_template is not None:
        ids: list[int] = tokenizer(_before_answer(tokenizer), add_special_tokens=False)["input_ids"]
        return ids
    return [tokenizer.eos_token_id] if _ends_texts(tokenizer) else []


def _ends_texts(tokenizer: PreTrainedTokenizerBase) -> bool:
    return bool(tokenizer("a")["input_ids"][-1:] == [tokenizer.eos_token_id])


def target_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Return the ids of targets, which always end with the end of sequence."""
    if tokenizer.chat_template is not None:
        before, start = _before_answer(tokenizer), _start_of_answer(tokenizer)
        texts = [f"{start}{text.lstrip()}" for text in texts]
    elif _ends_texts(tokenizer):
        first = first_target_id(tokenizer)
        return [ids if first is None else ids[1:] for ids in _whole_targets(tokenizer, texts)]
    else:
        # the tokenizer of a decoder-only model: the target continues the input after a space
        before, texts = "a", [f" {text}" for text in texts]
    # tokenizers differ in what they make of the start of a text, so what stands before it is taken off again
    count = len(tokenizer(before, add_special_tokens=False)["input_ids"])
    joined = tokenizer([before + text for text in texts], add_special_tokens=False, verbose=False)
    return [[*ids[count:], tokenizer.eos_token_id] for ids in joined["input_ids"]]


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
        return f"{backend.to_str()}{tokenizer.chat_template or ''}"
    # written in Python, such as ByT5's: its class and its tokens decide
    return json.dumps([type(tokenizer).__name__, tokenizer.get_vocab(), tokenizer.all_special_tokens])
