"""Real pieces of the vocabulary that soft prompts and prefixes may start from."""

import torch
from transformers import PreTrainedTokenizerBase

from tuneoff.errors import StudyError

_FREQUENT = 5000
"""Lester et al. 2021 sample from the 5,000 most frequent pieces, which come first in T5's vocabulary."""


def sampled_pieces(tokenizer: PreTrainedTokenizerBase, length: int, generator: torch.Generator) -> list[int]:
    """Ids of frequent pieces, drawn without repeats as far as there are enough."""
    special = set(tokenizer.all_special_ids)
    ids = [token for token in range(min(_FREQUENT, len(tokenizer))) if token not in special]
    order = torch.randperm(len(ids), generator=generator).tolist()
    return [ids[order[position % len(order)]] for position in range(length)]


def pieces_of(text: str, tokenizer: PreTrainedTokenizerBase, length: int) -> list[int]:
    """Ids of the text's pieces, repeated from the start up to the length.

    Raises:
        StudyError: the text has no pieces.
    """
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise StudyError(f"init_text must hold at least one piece of the vocabulary, but got '{text}'")
    return [ids[position % len(ids)] for position in range(length)]
