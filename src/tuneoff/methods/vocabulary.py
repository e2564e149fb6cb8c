"""Real tokens of the vocabulary that soft prompts and prefixes may start from."""

import torch
from transformers import PreTrainedTokenizerBase

from tuneoff.errors import StudyError

_FREQUENT = 5000
"""Lester et al. 2021 sample from the 5,000 most frequent tokens, which come first in the vocabulary of T5."""


def sampled_tokens(tokenizer: PreTrainedTokenizerBase, length: int, generator: torch.Generator) -> list[int]:
    """Draw ids of frequent tokens, without repeats as long as there are enough."""
    special = set(tokenizer.all_special_ids)
    ids = [token for token in range(min(_FREQUENT, len(tokenizer))) if token not in special]
    order = torch.randperm(len(ids), generator=generator).tolist()
    return [ids[order[position % len(order)]] for position in range(length)]


def repeated_tokens(text: str, tokenizer: PreTrainedTokenizerBase, length: int) -> list[int]:
    """Return the ids of the text's tokens, repeated from the start up to the length.

    Raises:
        StudyError: the text has no tokens.
    """
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise StudyError(f"init_text must hold at least one token, but got '{text}'; write some words")
    return [ids[position % len(ids)] for position in range(length)]
