"""Likelihoods of targets: the loss of training and the label scores of evaluation."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuneoff.families import Context, Family
from tuneoff.training.batches import IGNORED

MOST_BYTES = 2**29
"""What labels that are scored at the same time may take, besides the rows themselves (one label at least)."""
MOST_LOGITS_BYTES = 2**27
"""What the logits of targets may take at the same time; more of them are not faster."""


class Objective(nn.Module):
    """The mean loss over the target tokens of a batch, as a module that accelerate can prepare."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.model = family.model
        self._family = family

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        frozen_outputs: Tensor | None = None,
        *,
        targets: int,
    ) -> Tensor:
        """Compute the loss, a scalar, of `labels` [B, T]; all but `targets` of them are padding, -100.

        `input_ids` and `attention_mask`: [B, S]. With `frozen_outputs` [B, S, H] the frozen part is not run.
        """
        hidden = self._family.read_and_predict(input_ids, attention_mask, labels, frozen_outputs)
        # select before projecting to the vocabulary: no logits of padding. Sorted to the front and not chosen
        # by a mask, whose number of tokens a GPU would be waited for
        places = (labels == IGNORED).flatten().int().argsort(stable=True)[:targets]
        logits = self._family.logits(hidden.flatten(0, 1)[places])
        return F.cross_entropy(logits, labels.flatten()[places])


def token_losses(family: Family, context: Context, labels: Tensor) -> Tensor:
    """Compute the negative log-likelihood, in nats, of each label: [N, T]; of padding, -100, it is 0.

    `labels`: [N, T], the first tokens after the context, which they are appended to.
    """
    return _losses_in_parts(family, context.predict(labels), labels)


def target_losses(family: Family, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
    """Compute each row's loss in nats, the sum over its `labels` [B, T], which are padded with -100: [B].

    `input_ids` and `attention_mask`: [B, S].
    """
    hidden = family.read_and_predict(input_ids, attention_mask, labels)
    return _losses_in_parts(family, hidden, labels).sum(dim=1)


def _losses_in_parts(family: Family, hidden: Tensor, labels: Tensor, *, at_once: int | None = None) -> Tensor:
    """Compute the loss of each of `labels` [N, T] from its state [N, T, H]: [N, T]; of -100 it is 0.

    There are logits of `at_once` tokens at a time; by default as many as take `MOST_LOGITS_BYTES`.
    """
    counted = labels != IGNORED
    states, targets = hidden[counted], labels[counted]
    if at_once is None:  # a token takes twice its logits (for the softmax)
        at_once = max(1, MOST_LOGITS_BYTES // (2 * family.logits(states[:1]).nbytes))
    pairs = zip(torch.split(states, at_once), torch.split(targets, at_once), strict=True)
    losses = torch.zeros(labels.shape, device=labels.device)
    losses[counted] = torch.cat(
        [F.cross_entropy(family.logits(part), ids, reduction="none") for part, ids in pairs]
    )
    return losses


def label_losses(family: Family, context: Context, labels: Tensor) -> Tensor:
    """Compute the negative log-likelihood of each of C label texts for each of N rows: [N, C].

    `labels`: [C, T], padded with -100. Memory is bounded by `MOST_BYTES`, however many labels there are.
    """
    first, later = _text_losses(family, context, labels.expand(context.rows, -1, -1))
    return first + later.sum(dim=2)


class OptionLosses(NamedTuple):
    """The negative log-likelihood of the texts that each of N rows chooses from, C at most."""

    text: Tensor
    """Of the text alone, [N, C]; 0 for what a row does not have."""
    with_end: Tensor
    """The same with the end of sequence, which training has, too."""


def option_losses(family: Family, context: Context, options: Tensor) -> OptionLosses:
    """Compute the losses of C option texts of each of N rows.

    `options`: [N, C, T], which end with the end of sequence and are padded with -100, as are missing options.
    Memory is bounded as in `label_losses`: beyond `MOST_BYTES` by a copy of what has been read at most.
    """
    first, later = _text_losses(family, context, options)
    with_end = first + later.sum(dim=2)
    # the last token of a text is its end of sequence; of a missing option, the place does not matter
    ends = ((options != IGNORED).sum(dim=2) - 2).clamp(min=0)  # [N, C]
    return OptionLosses(with_end - later.gather(2, ends[:, :, None])[:, :, 0], with_end)


def _text_losses(family: Family, context: Context, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the losses of the first token of each text, [N, C], and of the others, [N, C, T - 1].

    `texts`: [N, C, T], padded with -100, whose losses are 0.
    """
    # one distribution scores the first token of all texts of a row
    log_likelihoods = family.logits(context.first()).log_softmax(dim=1)  # [N, V]
    first = texts[:, :, 0]
    first_losses = -log_likelihoods.gather(1, first.clamp(min=0)).masked_fill(first == IGNORED, 0.0)

    # a text takes a copy of what has been read, and twice the logits of its later tokens (for the softmax)
    logits_bytes = 2 * log_likelihoods.nbytes * (texts.shape[2] - 1)
    parts = torch.split(texts, max(1, MOST_BYTES // (context.kept_bytes + logits_bytes)), dim=1)
    # and one long text of many rows may have too many of them
    tokens = max(1, MOST_BYTES // (2 * log_likelihoods[0].nbytes))
    later_losses = [_later_losses(family, context, part, at_once=tokens) for part in parts]
    return first_losses, torch.cat(later_losses, dim=1)


def _later_losses(family: Family, context: Context, texts: Tensor, *, at_once: int) -> Tensor:
    """Compute the loss of all but the first token of C texts for each row of a context: [N, C, T - 1].

    There are logits of at most `at_once` tokens at a time.
    """
    rows, count, length = texts.shape
    # in the order of `repeat`: row 0 with all of its texts, row 1 with all of its own
    texts = texts.reshape(rows * count, length)
    later = texts[:, 1:]
    if (later == IGNORED).all():
        return torch.zeros(rows, count, length - 1, device=texts.device)
    # teacher forcing; padding may be any token, as its losses do not count
    given = texts[:, :-1].masked_fill(texts[:, :-1] == IGNORED, 0)
    losses = _losses_in_parts(family, context.repeat(count).follow(given), later, at_once=at_once)
    return losses.view(rows, count, length - 1)
