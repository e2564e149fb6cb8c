"""Likelihoods of targets: the loss of training and the label scores of evaluation."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache, T5ForConditionalGeneration

from tuneoff.training.batches import IGNORED

PART = 2**14
"""Source tokens that the decoder attends to at a time when labels are scored (of one label at least)."""
_TOKEN_COST = 8
"""A token of a label counts as this many source tokens, since its logits [V] take memory, too."""
VOCABULARY_PART = 1024
"""Tokens whose logits are computed at a time when only the highest one is needed."""


class Objective(nn.Module):
    """The mean loss over the target tokens of a batch, as a module that accelerate can prepare."""

    def __init__(self, model: T5ForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, encoder_outputs: Tensor | None = None
    ) -> Tensor:
        """Compute the loss, a scalar, of `labels` [B, T], which are padded with -100.

        `input_ids` and `attention_mask`: [B, S]. With `encoder_outputs` [B, S, H] the encoder is not run.
        """
        model = self.model
        if encoder_outputs is not None:
            return token_losses(model, encoder_outputs, attention_mask, labels).mean()
        decoder_ids = model.prepare_decoder_input_ids_from_labels(labels)
        inputs, targets = _embedded(model, input_ids, decoder_ids)
        encoder_outputs = model.encoder(inputs_embeds=inputs, attention_mask=attention_mask).last_hidden_state
        hidden = model.decoder(
            inputs_embeds=targets,
            encoder_hidden_states=encoder_outputs,
            encoder_attention_mask=attention_mask,
            use_cache=False,
        ).last_hidden_state
        return _losses(model, hidden, labels).mean()


def _embedded(model: T5ForConditionalGeneration, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Look up the embeddings of encoder and decoder: [B, S] and [B, T] -> [B, S, H] and [B, T, H]."""
    encoder, decoder = model.encoder.embed_tokens, model.decoder.embed_tokens
    if getattr(encoder, "weight", None) is not decoder.weight:
        return encoder(inputs), decoder(targets)
    # a shared embedding is looked up once for both: each look-up costs a gradient as large as the vocabulary
    both = encoder(torch.cat([inputs.flatten(), targets.flatten()]))
    embedded_inputs, embedded_targets = both.split([inputs.numel(), targets.numel()])
    return embedded_inputs.view(*inputs.shape, -1), embedded_targets.view(*targets.shape, -1)


def token_losses(
    model: T5ForConditionalGeneration,
    encoder_outputs: Tensor,
    mask: Tensor,
    labels: Tensor,
    cache: EncoderDecoderCache | None = None,
) -> Tensor:
    """Compute the negative log-likelihood, in nats, of each label that is not -100, row by row: [labels].

    `encoder_outputs`: [B, S, H], `mask`: [B, S], `labels`: [B, T]. `cache`, if given, is filled.
    """
    decoder_ids = model.prepare_decoder_input_ids_from_labels(labels)
    return _losses(model, decode(model, decoder_ids, encoder_outputs, mask, cache), labels)


def _losses(model: T5ForConditionalGeneration, hidden: Tensor, labels: Tensor) -> Tensor:
    """Compute the losses of `token_losses` from the decoder's output, `hidden`: [B, T, H]."""
    # select before projecting to the vocabulary: no logits of padding
    counted = labels != IGNORED
    return F.cross_entropy(logits(model, hidden[counted]), labels[counted], reduction="none")


def label_losses(
    model: T5ForConditionalGeneration, encoder_outputs: Tensor, mask: Tensor, labels: Tensor
) -> Tensor:
    """Compute the negative log-likelihood of each of C label texts for each row: [B, C].

    `encoder_outputs`: [B, S, H], `mask`: [B, S], `labels`: [C, T], padded with -100. Memory is bounded by
    `PART`, however many labels there are.
    """
    rows, length = mask.shape
    # all labels share a row's first decoder step: one distribution scores every label's first token, and the
    # cache then holds the keys and values of the encoder outputs for the later tokens
    cache = empty_cache()
    start = labels.new_full((rows, 1), model.config.decoder_start_token_id)
    hidden = decode(model, start, encoder_outputs, mask, cache)[:, 0]
    log_likelihoods = logits(model, hidden).log_softmax(dim=1)  # [B, V]
    first_losses = -log_likelihoods[:, labels[:, 0]]  # [B, C]

    labels_at_a_time = max(1, PART // (rows * max(length, _TOKEN_COST * labels.shape[1])))
    parts = torch.split(labels, labels_at_a_time)
    later_losses = []
    for part in parts:
        # decoding adds to the cache, so each part needs a copy, unless there is only one
        own_cache = copy.deepcopy(cache) if len(parts) > 1 else cache
        later_losses.append(_later_losses(model, encoder_outputs, mask, part, own_cache))
    return first_losses + torch.cat(later_losses, dim=1)


def _later_losses(
    model: T5ForConditionalGeneration,
    encoder_outputs: Tensor,
    mask: Tensor,
    labels: Tensor,
    cache: EncoderDecoderCache,
) -> Tensor:
    """Compute the loss of all but the first token of C labels, given the cache of the first step: [B, C]."""
    rows, texts = len(encoder_outputs), len(labels)
    # every row meets every label, in the order of `repeat_interleave`: row 0 with all labels, row 1 with all
    later = labels[:, 1:].repeat(rows, 1)  # [B * C, T - 1]
    counted = later != IGNORED
    losses = torch.zeros(later.shape, device=encoder_outputs.device)
    if counted.any():
        cache.batch_repeat_interleave(texts)
        # teacher forcing; padding may be any token, as its losses do not count
        decoder_ids = labels[:, :-1].masked_fill(labels[:, :-1] == IGNORED, 0).repeat(rows, 1)
        encoder_outputs = encoder_outputs.repeat_interleave(texts, dim=0)
        mask = mask.repeat_interleave(texts, dim=0)
        hidden = decode(model, decoder_ids, encoder_outputs, mask, cache)[counted]
        losses[counted] = F.cross_entropy(logits(model, hidden), later[counted], reduction="none")
    return losses.sum(dim=1).view(rows, texts)


def empty_cache() -> EncoderDecoderCache:
    """Return a cache for `decode`: of keys and values of the tokens so far, and of the encoder outputs."""
    return EncoderDecoderCache(DynamicCache(), DynamicCache())


def without_tokens(cache: EncoderDecoderCache) -> EncoderDecoderCache:
    """Return a cache with the keys and values of the encoder outputs alone."""
    return EncoderDecoderCache(DynamicCache(), cache.cross_attention_cache)


def decode(
    model: T5ForConditionalGeneration,
    tokens: Tensor,
    encoder_outputs: Tensor,
    mask: Tensor,
    cache: EncoderDecoderCache | None = None,
) -> Tensor:
    """Compute the decoder's output for tokens [N, T], which follow those in the cache: [N, T, H]."""
    hidden: Tensor = model.decoder(
        input_ids=tokens,
        encoder_hidden_states=encoder_outputs,
        encoder_attention_mask=mask,
        past_key_values=cache,
        use_cache=cache is not None,
    ).last_hidden_state
    return hidden


def logits(model: T5ForConditionalGeneration, hidden: Tensor) -> Tensor:
    """Compute the next token's logits, in float32, from the decoder's output: [..., H] -> [..., V]."""
    scores: Tensor = model.lm_head(_scaled(model, hidden))
    return scores.float()


def argmax_token(model: T5ForConditionalGeneration, hidden: Tensor) -> Tensor:
    """Return the token with the highest logit, from the decoder's output: [N, H] -> [N]."""
    # an output layer with LoRA is not an nn.Linear and computes more than the product with its weight
    if hidden.device.type != "cpu" or type(model.lm_head) is not nn.Linear:
        return logits(model, hidden).argmax(dim=1)
    # for few rows, a CPU is faster with parts of the vocabulary that fit its caches: find the best token of
    # each part, then the best part
    columns = _scaled(model, hidden).t()  # [H, N]
    weights = torch.split(model.lm_head.weight, VOCABULARY_PART)  # [V / parts, H] each
    best_in_parts = [(weight @ columns).max(dim=0) for weight in weights]
    best_part = torch.stack([best.values for best in best_in_parts]).argmax(dim=0)  # [N]
    tokens = torch.stack([best.indices for best in best_in_parts])  # [parts, N]
    return tokens.gather(0, best_part[None])[0] + best_part * VOCABULARY_PART


def _scaled(model: T5ForConditionalGeneration, hidden: Tensor) -> Tensor:
    return hidden * model.model_dim**-0.5 if model.config.scale_decoder_outputs else hidden
