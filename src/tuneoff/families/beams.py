"""Beam search as every family does it: transformers' own, on what has been read."""

from typing import Any

from transformers import GenerationConfig


def beam_settings(
    *, max_new_tokens: int, beams: int, eos_token_id: int, pad_token_id: int, **of_family: Any
) -> GenerationConfig:
    """Return the settings of a beam search by mean log-likelihood, with what a family adds to them."""
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        num_beams=beams,
        do_sample=False,
        early_stopping=False,
        length_penalty=1.0,
        pad_token_id=pad_token_id,
        eos_token_id=eos_token_id,
        **of_family,
    )
