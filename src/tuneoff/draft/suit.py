"""Settings that suit a model and the data: prompt, lengths in tokens, methods."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tuneoff.draft.guess import Guess
from tuneoff.tasks import Example
from tuneoff.training import Backbone, input_ids, target_ids

_MOST_NAMED = 8
"""Labels that a question names."""
_SAMPLE = 2000
"""Rows whose tokens are counted."""
_LARGEST_FULL = 1_000_000_000
"""Parameters up to which full fine-tuning is proposed."""
_ROOM = 8
"""Limits in tokens are multiples of this."""
_LONGEST = 1024
"""Tokens that an input may have, unless the model has fewer positions."""


class Tokens(NamedTuple):
    """Limits in tokens, and what the tokenizer makes of the texts."""

    source: int
    """The limit of an input: 99% of them are shorter, or it is the most that the model takes."""
    target: int
    longest_source: int
    longest_target: int
    unknown: float
    """Share of the inputs' tokens that stand for characters which the tokenizer does not know."""
    per_character: float
    """Tokens that a character of the inputs takes; above 1 they are split into bytes."""
    letters: str
    """The script of most letters, such as LATIN or HAN."""


def suggested_prompt(guess: Guess, *, instructed: bool, labels: Mapping[str, str]) -> str:
    """Return a prompt: a question for a model that follows instructions, else a text to be continued."""
    names = [column.name for column in guess.inputs]
    texts = "\n".join(f"{_titled(name)}: {{{name}}}" for name in names)
    if len(names) == 1:
        texts = f"{{{names[0]}}}"
    if guess.kind == "classification":
        if instructed:
            *others, last = labels.values()
            question = f"{', '.join(others)} or {last}? "
            if len(labels) > _MOST_NAMED:
                question = f"What is the {guess.target.name}? "
            return _braced(question[:1].upper() + question[1:]) + texts
        if len(names) == 1:
            texts = f"{_titled(names[0])}: {texts}"
        return f"{texts}\n{_titled(guess.target.name)}:"
    verb = "Summarize" if guess.kind == "summarization" else f"Write the {_braced(guess.target.name)}"
    return f"{verb}: {texts}" if instructed else f"{texts}\n\n{_titled(guess.target.name)}:"


def _titled(name: str) -> str:
    plain = _braced(name.replace("_", " ").strip())
    return plain[:1].upper() + plain[1:]


def _braced(text: str) -> str:
    """Return the text as it stands in a prompt, where braces are doubled."""
    return text.replace("{", "{{").replace("}", "}}")


def count_tokens(backbone: Backbone, examples: Sequence[Example]) -> Tokens:
    """Count the tokens of filled prompts, of targets, and of the texts alone, in the first 2,000 rows."""
    rows, tokenizer = examples[:_SAMPLE], backbone.tokenizer
    read = sorted(map(len, input_ids(tokenizer, [row.source for row in rows])))
    answered = sorted(map(len, target_ids(tokenizer, [row.target for row in rows])))
    most = min(_LONGEST, backbone.family.most_tokens or _LONGEST)
    texts = [row.text for row in rows]
    tokens = Counter(token for ids in input_ids(tokenizer, texts) for token in ids)
    letters = (letter for text in texts for letter in text if letter.isalpha())
    scripts = Counter(unicodedata.name(letter, "UNKNOWN").split()[0] for letter in letters)
    return Tokens(
        source=min(most, _rounded(_percentile(read, 0.99))),
        target=min(most, _rounded(_percentile(answered, 0.99))),
        longest_source=read[-1],
        longest_target=answered[-1],
        unknown=0.0 if tokenizer.unk_token_id is None else tokens[tokenizer.unk_token_id] / tokens.total(),
        per_character=tokens.total() / max(1, sum(map(len, texts))),
        letters=scripts.most_common(1)[0][0] if scripts else "",
    )


def _percentile(lengths: Sequence[int], share: float) -> int:
    return lengths[min(len(lengths) - 1, int(share * len(lengths)))]


def _rounded(length: int) -> int:
    return -(-length // _ROOM) * _ROOM


def suited_methods(backbone: Backbone) -> dict[str, dict[str, Any]]:
    """Return methods with rates that are usual for the model's family.

    Rates of T5 and its kin: Raffel et al. 2020 (full), Lester et al. 2021 (prompt).
    """
    methods: dict[str, dict[str, Any]] = {"zero_shot": {"kind": "none"}}
    small = backbone.model.num_parameters() <= _LARGEST_FULL
    if backbone.family.encoder is None:
        if small:
            methods["full"] = {"kind": "full", "learning_rate": 5e-5}
        methods["lora"] = {"kind": "lora", "rank": 8, "learning_rate": 1e-3}
        methods["prefix"] = {"kind": "prefix", "length": 10, "init": "vocabulary", "learning_rate": 1e-2}
        methods["prompt"] = {"kind": "prompt", "length": 20, "learning_rate": 1e-2}
        return methods
    if small:
        methods["full"] = {"kind": "full", "learning_rate": 1e-4}
    methods["lora"] = {"kind": "lora", "rank": 8, "targets": "all-linear", "learning_rate": 1e-3}
    methods["prefix"] = {"kind": "prefix", "length": 20, "init": "vocabulary", "learning_rate": 1e-2}
    methods["prompt"] = {"kind": "prompt", "length": 20, "optim": "adafactor", "learning_rate": 0.3}
    return methods
