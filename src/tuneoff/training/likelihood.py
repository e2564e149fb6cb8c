"""How likely a model finds targets: the loss of training and the scores of evaluation."""

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache, T5ForConditionalGeneration

from tuneoff.training.batches import IGNORED


class Objective(nn.Module):
    """The mean loss over the target tokens of a batch, as a module that accelerate can prepare."""

    def __init__(self, model: T5ForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        """`input_ids` and `attention_mask`: [B, S], `labels`: [B, T], padded with -100 -> scalar."""
        states = self.model.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return token_losses(self.model, states, attention_mask, labels).mean()


def token_losses(model: T5ForConditionalGeneration, states: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood, in nats, of each label that is not -100, row by row: [labels].

    `states`: [B, S, H] of the encoder, `mask`: [B, S], `labels`: [B, T]. No logits are computed
    for padding.
    """
    hidden = model.decoder(
        input_ids=model.prepare_decoder_input_ids_from_labels(labels),
        encoder_hidden_states=states,
        encoder_attention_mask=mask,
        use_cache=False,
    ).last_hidden_state
    counted = labels != IGNORED
    return F.cross_entropy(logits(model, hidden[counted]), labels[counted], reduction="none")


def label_losses(model: T5ForConditionalGeneration, states: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of each of C texts for each row: [B, C].

    `states`: [B, S, H] of the encoder, `mask`: [B, S], `labels`: [C, T], padded with -100. What the
    texts share is computed once for a row: the first step, and keys and values of the encoder.
    """
    rows, texts = len(states), len(labels)
    cache = empty_cache()
    start = labels.new_full((rows, 1), model.config.decoder_start_token_id)
    hidden = decode(model, start, states, mask, cache)[:, 0]
    losses = -logits(model, hidden).log_softmax(dim=1)[:, labels[:, 0]]  # [B, C]
    later = labels[:, 1:].repeat(rows, 1)  # [B * C, T - 1]
    counted = later != IGNORED
    if counted.any():
        cache.batch_repeat_interleave(texts)
        given = labels[:, :-1].masked_fill(labels[:, :-1] == IGNORED, 0).repeat(rows, 1)
        states, mask = (tensor.repeat_interleave(texts, dim=0) for tensor in (states, mask))
        hidden = decode(model, given, states, mask, cache)[counted]
        rest = losses.new_zeros(later.shape)
        rest[counted] = F.cross_entropy(logits(model, hidden), later[counted], reduction="none")
        losses = losses + rest.sum(dim=1).view(rows, texts)
    return losses


def empty_cache() -> EncoderDecoderCache:
    """What `decode` fills: keys and values of tokens so far, and of the encoder's states."""
    return EncoderDecoderCache(DynamicCache(), DynamicCache())


def decode(
    model: T5ForConditionalGeneration,
    tokens: Tensor,
    states: Tensor,
    mask: Tensor,
    cache: EncoderDecoderCache,
) -> Tensor:
    """The decoder's output for tokens [N, T] behind those in the cache: [N, T, H]."""
    hidden: Tensor = model.decoder(
        input_ids=tokens,
        encoder_hidden_states=states,
        encoder_attention_mask=mask,
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    return hidden


def logits(model: T5ForConditionalGeneration, hidden: Tensor) -> Tensor:
    """Of the next token, in float32, from the decoder's output [..., H]: [..., V]."""
    if model.config.scale_decoder_outputs:
        hidden = hidden * model.model_dim**-0.5
    scores: Tensor = model.lm_head(hidden)
    return scores.float()
