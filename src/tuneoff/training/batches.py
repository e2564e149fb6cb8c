"""From examples to padded batches, in an order that depends on the seed and the data alone."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat
from typing import TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tuneoff.tasks import Example
from tuneoff.training.tokenizer import closing_ids, input_ids, target_ids

Row = TypeVar("Row")
IGNORED = -100
"""Label of padding, which no loss counts (torch's and transformers' convention)."""
_MEGABATCH = 50
"""Batches whose rows are sorted together, as in transformers' LengthGroupedSampler."""
_TOKENIZED = 1000
"""Texts tokenized at a time: a tokenizer's result takes many times the memory of the ids."""
BATCH_TOKENS = 100
"""Cost of a batch beside its tokens: this many tokens take as long to encode as starting one more batch."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example as token ids, end of sequence included."""

    input_ids: Sequence[int]
    labels: Sequence[int]
    label: str | None
    """The label's value or the option's letter; None where the answer is a text."""
    truncated_input: bool
    truncated_target: bool
    frozen_output: Tensor | None = field(default=None, compare=False, repr=False)
    """The output of the frozen part of the model for this row: [S, H], of a part that reads the target, too,
    [S + T - 1, H]."""
    options: Sequence[Sequence[int]] = ()
    """The texts to choose from, whole and with end of sequence; empty where a row has none of its own."""
    option_lengths: Sequence[int] = ()
    """Characters of each."""


def encode(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_source_length: int,
    max_target_length: int,
) -> list[Encoded]:
    """Tokenize examples; cut their texts at the end to the limits (in tokens, with what closes a text)."""
    sources = _in_parts(input_ids, tokenizer, [example.source for example in examples])
    targets = _in_parts(target_ids, tokenizer, [example.target for example in examples])
    options = _in_parts(target_ids, tokenizer, [option for example in examples for option in example.options])
    closing = len(closing_ids(tokenizer))
    return [
        Encoded(
            input_ids=_cut(source, max_source_length, kept=closing),
            labels=_cut(target, max_target_length, kept=1),
            label=example.label,
            truncated_input=len(source) > max_source_length,
            truncated_target=len(target) > max_target_length,
            options=tuple(array("i", ids) for ids in islice(options, len(example.options))),
            option_lengths=tuple(map(len, example.options)),
        )
        for example, source, target in zip(examples, sources, targets, strict=True)
    ]


def _in_parts(
    tokenize: Callable[[PreTrainedTokenizerBase, list[str]], list[list[int]]],
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
) -> Iterator[list[int]]:
    for part in chunks(texts, _TOKENIZED):
        yield from tokenize(tokenizer, part)


def _cut(ids: list[int], limit: int, *, kept: int) -> Sequence[int]:
    """Return at most `limit` ids, the last `kept` of them as they were; an array takes four bytes an id."""
    if len(ids) > limit:
        ids = [*ids[: limit - kept], *ids[len(ids) - kept :]]
    return array("i", ids)


def collate(
    batch: Sequence[Encoded], *, prompt_ids: Sequence[int], pad_token_id: int, device: torch.device
) -> dict[str, Tensor]:
    """Return input_ids and attention_mask [B, P + S] and labels [B, T], padded on the right.

    Rows with an output of a frozen part also give `frozen_outputs` [B, S, H].
    """
    # on the right, so that a soft prompt is first and positions are those of the row alone
    inputs = [torch.tensor([*prompt_ids, *encoded.input_ids]) for encoded in batch]
    masks = [torch.ones(len(ids), dtype=torch.long) for ids in inputs]
    labels = [torch.tensor([*encoded.labels]) for encoded in batch]
    padded = {
        "input_ids": _padded(inputs, pad_token_id),
        "attention_mask": _padded(masks, 0),
        "labels": _padded(labels, IGNORED),
    }
    outputs = [encoded.frozen_output for encoded in batch if encoded.frozen_output is not None]
    if outputs:
        padded["frozen_outputs"] = torch.nn.utils.rnn.pad_sequence(outputs, batch_first=True)
    if device.type == "cuda":  # from pinned memory it is copied while the device computes
        return {name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in padded.items()}
    return {name: tensor.to(device) for name, tensor in padded.items()}


def _padded(rows: list[Tensor], value: int) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)


def epochs(
    lengths: Sequence[int],
    *,
    batch_size: int,
    group_by_length: bool,
    order: torch.Generator,
    rows_by_epoch: Iterator[Sequence[int]] | None = None,
) -> Iterator[list[list[int]]]:
    """Yield endless epochs, each a list of batches of row numbers.

    An epoch has every row once, or those that `rows_by_epoch` gives for it. With `group_by_length`, a batch
    holds rows of similar length, and batches come in random order.
    """
    for chosen in rows_by_epoch or repeat(range(len(lengths))):
        rows = [chosen[index] for index in torch.randperm(len(chosen), generator=order).tolist()]
        if not group_by_length:
            yield chunks(rows, batch_size)
            continue
        # sort within megabatches only: batches have little padding and still differ from epoch to epoch
        batches: list[list[int]] = []
        for megabatch in chunks(rows, batch_size * _MEGABATCH):
            batches += chunks(sorted(megabatch, key=lengths.__getitem__), batch_size)
        yield [batches[index] for index in torch.randperm(len(batches), generator=order).tolist()]


def length_sorted_batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Return batches of row numbers, longest rows first; all batches but the last are full."""
    return chunks(_longest_first(lengths), batch_size)


def filled_batches(lengths: Sequence[int], batch_size: int, *, written: int) -> list[list[int]]:
    """Return batches of row numbers, longest rows first, that take as much memory as the first of them.

    That has `batch_size` rows; where rows are shorter, there are more of them. A row takes the length of the
    longest in its batch, and `written` tokens.
    """
    rows = _longest_first(lengths)
    most = batch_size * (max(lengths, default=0) + written)
    batches, start = list[list[int]](), 0
    while start < len(rows):
        end = start + most // (lengths[rows[start]] + written)
        batches.append(rows[start:end])
        start = end
    return batches


def min_padding_batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Return batches of at most `batch_size` row numbers, longest rows first, with the least cost to encode.

    The cost of a batch is its number of tokens, padding included, plus `BATCH_TOKENS`.
    """
    rows = _longest_first(lengths)
    # dynamic program over the sorted rows, with len[s] the longest length of a batch that starts at row s:
    #     cost[n] = min over n - batch_size <= s < n of  cost[s] + (n - s) * len[s] + BATCH_TOKENS
    # start[n] is the s of the minimum: where the last batch of the first n rows starts
    costs, starts = [0], [0]
    for end in range(1, len(rows) + 1):
        options = {
            start: costs[start] + (end - start) * lengths[rows[start]] + BATCH_TOKENS
            for start in range(max(0, end - batch_size), end)
        }
        starts.append(min(options, key=options.__getitem__))
        costs.append(options[starts[end]])
    # read the batches off from the last to the first
    batches, end = list[list[int]](), len(rows)
    while end:
        batches.insert(0, rows[starts[end] : end])
        end = starts[end]
    return batches


def _longest_first(lengths: Sequence[int]) -> list[int]:
    return sorted(range(len(lengths)), key=lambda row: -lengths[row])


def chunks(rows: list[Row], size: int) -> list[list[Row]]:
    """Split rows into consecutive parts of a size; the last may be shorter."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]
