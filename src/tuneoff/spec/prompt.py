"""Prompt templates: text with the names of columns in braces."""

import re
from typing import NamedTuple

from tuneoff.errors import shown


class PromptPiece(NamedTuple):
    """A column in braces, or the text between columns."""

    text: str
    is_column: bool


# a doubled brace is tried first, so that {{text}} is literal and no column
_PIECE = re.compile(r"(?P<double>\{\{|\}\})|\{(?P<column>[^{}]*)\}|(?P<brace>[{}])|[^{}]+")


def prompt_pieces(prompt: str) -> tuple[PromptPiece, ...]:
    """Split a prompt template into its columns and literal texts, in order.

    The text between braces is a column's name as it is; `{{` and `}}` are literal braces.

    Raises:
        ValueError: a brace has no partner, or there is no name between two.
    """
    pieces = []
    for match in _PIECE.finditer(prompt):
        if match["brace"]:
            raise ValueError(
                f"a prompt must have matching braces, but got {shown(prompt)} with a single "
                f"'{match['brace']}' at character {match.start() + 1}; "
                "double braces that are meant literally: {{ and }}"
            )
        if match["column"] == "":
            raise ValueError(
                f"braces in a prompt must hold a column name, but got '{{}}' in {shown(prompt)}; "
                "double braces that are meant literally: {{}}"
            )
        text = match["column"] or (match[0][0] if match["double"] else match[0])
        pieces.append(PromptPiece(text, is_column=match["column"] is not None))
    return tuple(pieces)


def prompt_columns(prompt: str) -> tuple[str, ...]:
    """Return the columns that a prompt template names, in order.

    Raises:
        ValueError: as for `prompt_pieces`.
    """
    return tuple(piece.text for piece in prompt_pieces(prompt) if piece.is_column)
