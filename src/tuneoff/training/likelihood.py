"""How likely a model finds targets: the loss of training and the scores of evaluation."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache, T5ForConditionalGeneration

from tuneoff.training.batches import IGNORED

PART = 2**14
"""Tokens of sources that the decoder attends to at a time where labels are scored; one text at least."""
_TOKEN_COST = 8
"""A token of a label takes the memory of so many tokens of a source: its logits are over the vocabulary."""
VOCABULARY_PART = 1024
"""Tokens whose logits are computed at a time where only the highest is asked for."""


class Objective(nn.Module):
    """The mean loss over the target tokens of a batch, as a module that accelerate can prepare."""

    def __init__(self, model: T5ForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, encoder_outputs: Tensor | None = None
    ) -> Tensor:
        """`input_ids` and `attention_mask`: [B, S], `labels`: [B, T], padded with -100 -> scalar.

        With `encoder_outputs` [B, S, H] the encoder has nothing left to do.
        """
        model = self.model
        if encoder_outputs is not None:
            return token_losses(model, encoder_outputs, attention_mask, labels).mean()
        given = model.prepare_decoder_input_ids_from_labels(labels)
        inputs, targets = _embedded(model, input_ids, given)
        encoder_outputs = model.encoder(inputs_embeds=inputs, attention_mask=attention_mask).last_hidden_state
        hidden = model.decoder(
            inputs_embeds=targets,
            encoder_hidden_states=encoder_outputs,
            encoder_attention_mask=attention_mask,
            use_cache=False,
        ).last_hidden_state
        return _losses(model, hidden, labels).mean()


def _embedded(model: T5ForConditionalGeneration, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The embeddings of both sides: [B, S, H] and [B, T, H].

    Where one embedding serves both, it is asked once: its gradient, as large as the vocabulary, is
    then made once and not twice.
    """
    encoder, decoder = model.encoder.embed_tokens, model.decoder.embed_tokens
    if getattr(encoder, "weight", None) is not decoder.weight:
        return encoder(inputs), decoder(targets)
    both = encoder(torch.cat([inputs.flatten(), targets.flatten()]))
    parts = both.split([inputs.numel(), targets.numel()])
    return parts[0].view(*inputs.shape, -1), parts[1].view(*targets.shape, -1)


def token_losses(
    model: T5ForConditionalGeneration,
    encoder_outputs: Tensor,
    mask: Tensor,
    labels: Tensor,
    cache: EncoderDecoderCache | None = None,
) -> Tensor:
    """Negative log-likelihood, in nats, of each label that is not -100, row by row: [labels].

    `encoder_outputs`: [B, S, H], `mask`: [B, S], `labels`: [B, T]. No logits are computed
    for padding. A cache that is given gets keys and values.
    """
    given = model.prepare_decoder_input_ids_from_labels(labels)
    return _losses(model, decode(model, given, encoder_outputs, mask, cache), labels)


def _losses(model: T5ForConditionalGeneration, hidden: Tensor, labels: Tensor) -> Tensor:
    """`hidden`: [B, T, H] of the decoder."""
    counted = labels != IGNORED
    return F.cross_entropy(logits(model, hidden[counted]), labels[counted], reduction="none")


def label_losses(
    model: T5ForConditionalGeneration, encoder_outputs: Tensor, mask: Tensor, labels: Tensor
) -> Tensor:
    """Negative log-likelihood of each of C texts for each row: [B, C].

    `encoder_outputs`: [B, S, H], `mask`: [B, S], `labels`: [C, T], padded with -100. What the
    texts share is computed once for a row: the first step, and keys and values of the encoder. The rest is
    done for so many texts at a time that memory stays bounded by `PART`, however many texts there are.
    """
    rows, length = mask.shape
    cache = empty_cache()
    start = labels.new_full((rows, 1), model.config.decoder_start_token_id)
    hidden = decode(model, start, encoder_outputs, mask, cache)[:, 0]
    losses = -logits(model, hidden).log_softmax(dim=1)[:, labels[:, 0]]  # [B, C]
    size = max(1, PART // (rows * max(length, _TOKEN_COST * labels.shape[1])))
    parts = torch.split(labels, size)
    rest = []
    for part in parts:
        # a decoder's call adds to its cache: all parts but a single one need a copy
        own = copy.deepcopy(cache) if len(parts) > 1 else cache
        rest.append(_later_losses(model, encoder_outputs, mask, part, own))
    return losses + torch.cat(rest, dim=1)


def _later_losses(
    model: T5ForConditionalGeneration,
    encoder_outputs: Tensor,
    mask: Tensor,
    labels: Tensor,
    cache: EncoderDecoderCache,
) -> Tensor:
    """The loss of all but the first token of C texts, behind a cache of the first step: [B, C]."""
    rows, texts = len(encoder_outputs), len(labels)
    later = labels[:, 1:].repeat(rows, 1)  # [B * C, T - 1]
    counted = later != IGNORED
    losses = torch.zeros(later.shape, device=encoder_outputs.device)
    if counted.any():
        cache.batch_repeat_interleave(texts)
        given = labels[:, :-1].masked_fill(labels[:, :-1] == IGNORED, 0).repeat(rows, 1)
        encoder_outputs, mask = (tensor.repeat_interleave(texts, dim=0) for tensor in (encoder_outputs, mask))
        hidden = decode(model, given, encoder_outputs, mask, cache)[counted]
        losses[counted] = F.cross_entropy(logits(model, hidden), later[counted], reduction="none")
    return losses.sum(dim=1).view(rows, texts)


def empty_cache() -> EncoderDecoderCache:
    """What `decode` fills: keys and values of tokens so far, and of the encoder outputs."""
    return EncoderDecoderCache(DynamicCache(), DynamicCache())


def without_tokens(cache: EncoderDecoderCache) -> EncoderDecoderCache:
    """A cache with the keys and values of the encoder outputs alone."""
    return EncoderDecoderCache(DynamicCache(), cache.cross_attention_cache)


def decode(
    model: T5ForConditionalGeneration,
    tokens: Tensor,
    encoder_outputs: Tensor,
    mask: Tensor,
    cache: EncoderDecoderCache | None = None,
) -> Tensor:
    """The decoder's output for tokens [N, T], behind those in a cache that is given: [N, T, H]."""
    hidden: Tensor = model.decoder(
        input_ids=tokens,
        encoder_hidden_states=encoder_outputs,
        encoder_attention_mask=mask,
        past_key_values=cache,
        use_cache=cache is not None,
    ).last_hidden_state
    return hidden


def logits(model: T5ForConditionalGeneration, hidden: Tensor) -> Tensor:
    """Of the next token, in float32, from the decoder's output [..., H]: [..., V]."""
    scores: Tensor = model.lm_head(_scaled(model, hidden))
    return scores.float()


def argmax_token(model: T5ForConditionalGeneration, hidden: Tensor) -> Tensor:
    """The token with the highest logit, from the decoder's output [N, H]: [N].

    A CPU multiplies a large matrix with few rows faster in parts that fit its caches; an output layer with
    LoRA beside it is more than its matrix.
    """
    if hidden.device.type != "cpu" or type(model.lm_head) is not nn.Linear:
        return logits(model, hidden).argmax(dim=1)
    columns = _scaled(model, hidden).t()  # [H, N]
    rows = torch.split(model.lm_head.weight, VOCABULARY_PART)  # [V / parts, H]
    parts = [(part @ columns).max(dim=0) for part in rows]
    best = torch.stack([part.values for part in parts]).argmax(dim=0)  # [N]
    tokens = torch.stack([part.indices for part in parts])  # [parts, N]
    return tokens.gather(0, best[None])[0] + best * VOCABULARY_PART


def _scaled(model: T5ForConditionalGeneration, hidden: Tensor) -> Tensor:
    return hidden * model.model_dim**-0.5 if model.config.scale_decoder_outputs else hidden
