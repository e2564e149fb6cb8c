"""Greedy generation; rows that have ended leave the batch, and others take their places."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from tuneoff.families import Context, Family


def greedy(
    family: Family,
    contexts: Iterable[Context],
    *,
    rows: int,
    max_new_tokens: int,
    eos_token_id: int,
    pad_token_id: int,
    lengths: Tensor | None = None,
    joins: bool = False,
) -> Tensor:
    """Generate the most probable token, one after another, until the end of sequence: [N, max_new_tokens].

    The N `rows` are those of all contexts, which are asked for one after the other. With `joins`, the next
    context's rows join those that have not ended as soon as these are no more than the last context had; the
    family must allow that. Texts are padded after their end. With `lengths` [N], a text ends after that many
    tokens instead. Tokens that a context holds after its input are forgotten, and it is changed.
    """
    texts = torch.full((rows, max_new_tokens), pad_token_id, device=family.model.device)
    writer = _Writer(family, texts, eos_token_id, lengths)
    written: _Rows | None = None
    first = 0
    for context in contexts:
        count = context.rows
        started = writer.start(context, first)
        first += count
        if written is not None and written.unfinished.any():
            written.join(started)
        else:
            written = started
        writer.go_on(written, until=count if joins else 0)
    if written is not None:
        writer.go_on(written, until=0)
    return texts


@dataclass
class _Rows:
    """N rows that are continued together; some may have ended."""

    context: Context
    numbers: Tensor
    """Their numbers among all rows."""
    last: Tensor
    """Their last tokens."""
    written: Tensor
    """How many tokens each has."""
    unfinished: Tensor
    """Which have not ended."""
    idle: int = 0
    """Tokens computed for rows that have ended, since such rows were last dropped."""

    def drop_ended(self) -> None:
        kept = self.unfinished
        self.context.keep(kept)
        self.numbers, self.last, self.written = self.numbers[kept], self.last[kept], self.written[kept]
        self.unfinished = kept[kept]
        self.idle = 0

    def join(self, other: "_Rows") -> None:
        self.drop_ended()
        self.context.join(other.context)
        self.numbers = torch.cat([self.numbers, other.numbers])
        self.last = torch.cat([self.last, other.last])
        self.written = torch.cat([self.written, other.written])
        self.unfinished = torch.cat([self.unfinished, other.unfinished])


@dataclass
class _Writer:
    """Continues rows, and writes their texts."""

    family: Family
    texts: Tensor
    """Of all rows: [N, max_new_tokens]"""
    eos_token_id: int
    lengths: Tensor | None

    def start(self, context: Context, first: int) -> _Rows:
        """Write the first tokens of rows, which are numbered from `first` on."""
        context.rewind()
        last = self.family.argmax_token(context.first())
        numbers = torch.arange(first, first + context.rows, device=last.device)
        all_rows = torch.ones_like(last, dtype=torch.bool)
        rows = _Rows(context, numbers, last, written=torch.zeros_like(last), unfinished=all_rows)
        self._write(rows)
        return rows

    def go_on(self, rows: _Rows, *, until: int) -> None:
        """Continue the rows until no more than so many have not ended."""
        while (unfinished := int(rows.unfinished.sum())) > until:
            # to drop rows costs about as much as a token for each that stays, since their caches are copied
            if rows.idle >= unfinished:
                rows.drop_ended()
            rows.idle += len(rows.last) - unfinished
            rows.last = self.family.argmax_token(rows.context.follow(rows.last[:, None])[:, 0])
            self._write(rows)

    def _write(self, rows: _Rows) -> None:
        # ended rows still get tokens while they are in the batch; these are not written
        unfinished = rows.unfinished
        self.texts[rows.numbers[unfinished], rows.written[unfinished]] = rows.last[unfinished]
        rows.written += 1
        if self.lengths is None:
            ended = rows.last == self.eos_token_id
        else:
            ended = rows.written >= self.lengths[rows.numbers]
        rows.unfinished = unfinished & ~ended & (rows.written < self.texts.shape[1])
