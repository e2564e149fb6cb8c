"""Likelihoods of targets: the loss of training and the label scores of evaluation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuneoff.families import Context, Family
from tuneoff.training.batches import IGNORED

MOST_BYTES = 2**29
"""What labels that are scored at the same time may take, besides the rows themselves (one label at least)."""


class Objective(nn.Module):
    """The mean loss over the target tokens of a batch, as a module that accelerate can prepare."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.model = family.model
        self._family = family

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, encoder_outputs: Tensor | None = None
    ) -> Tensor:
        """Compute the loss, a scalar, of `labels` [B, T], which are padded with -100.

        `input_ids` and `attention_mask`: [B, S]. With `encoder_outputs` [B, S, H] the encoder is not run.
        """
        hidden = self._family.read_and_predict(input_ids, attention_mask, labels, encoder_outputs)
        return _losses(self._family, hidden, labels).mean()


def token_losses(family: Family, context: Context, labels: Tensor) -> Tensor:
    """Compute the negative log-likelihood, in nats, of each label that is not -100, row by row: [labels].

    `labels`: [N, T], the first tokens after the context, which they are appended to.
    """
    return _losses(family, context.predict(labels), labels)


def target_losses(family: Family, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
    """Compute each row's loss in nats, the sum over its `labels` [B, T], which are padded with -100: [B].

    `input_ids` and `attention_mask`: [B, S]. The logits are computed in parts of `MOST_BYTES`.
    """
    hidden, counted = family.read_and_predict(input_ids, attention_mask, labels), labels != IGNORED
    states, targets = hidden[counted], labels[counted]
    # a token takes twice its logits (for the softmax)
    size = max(1, MOST_BYTES // (2 * family.logits(states[:1]).nbytes))
    parts = zip(torch.split(states, size), torch.split(targets, size), strict=True)
    losses = torch.zeros(labels.shape, device=labels.device)
    losses[counted] = torch.cat(
        [F.cross_entropy(family.logits(part), ids, reduction="none") for part, ids in parts]
    )
    return losses.sum(dim=1)


def _losses(family: Family, hidden: Tensor, labels: Tensor) -> Tensor:
    """Compute the losses of `token_losses` from the states that predict them, `hidden`: [N, T, H]."""
    # select before projecting to the vocabulary: no logits of padding
    counted = labels != IGNORED
    return F.cross_entropy(family.logits(hidden[counted]), labels[counted], reduction="none")


def label_losses(family: Family, context: Context, labels: Tensor) -> Tensor:
    """Compute the negative log-likelihood of each of C label texts for each of N rows: [N, C].

    `labels`: [C, T], padded with -100. Memory is bounded by `MOST_BYTES`, however many labels there are.
    """
    # one distribution scores every label's first token
    log_likelihoods = family.logits(context.first()).log_softmax(dim=1)  # [N, V]
    first_losses = -log_likelihoods[:, labels[:, 0]]  # [N, C]

    # a label takes a copy of what has been read, and twice the logits of its later tokens (for the softmax)
    logits_bytes = 2 * log_likelihoods.nbytes * (labels.shape[1] - 1)
    parts = torch.split(labels, max(1, MOST_BYTES // (context.kept_bytes + logits_bytes)))
    later_losses = [_later_losses(family, context, part) for part in parts]
    return first_losses + torch.cat(later_losses, dim=1)


def _later_losses(family: Family, context: Context, labels: Tensor) -> Tensor:
    """Compute the loss of all but the first token of C labels for each row of a context: [N, C]."""
    rows, texts = context.rows, len(labels)
    # every row meets every label, in the order of `repeat`: row 0 with all labels, row 1 with all
    later = labels[:, 1:].repeat(rows, 1)  # [N * C, T - 1]
    counted = later != IGNORED
    losses = torch.zeros(later.shape, device=labels.device)
    if counted.any():
        # teacher forcing; padding may be any token, as its losses do not count
        given = labels[:, :-1].masked_fill(labels[:, :-1] == IGNORED, 0).repeat(rows, 1)
        hidden = context.repeat(texts).follow(given)[counted]
        losses[counted] = F.cross_entropy(family.logits(hidden), later[counted], reduction="none")
    return losses.sum(dim=1).view(rows, texts)
