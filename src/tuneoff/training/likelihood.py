"""How likely a model finds targets: the loss of training and the scores of evaluation."""

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import T5ForConditionalGeneration

from tuneoff.training.batches import IGNORED


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
    hidden = hidden[counted]
    if model.config.scale_decoder_outputs:
        hidden = hidden * model.model_dim**-0.5
    return F.cross_entropy(model.lm_head(hidden).float(), labels[counted], reduction="none")


class Objective(nn.Module):
    """The mean loss over the target tokens of a batch, as a module that accelerate can prepare."""

    def __init__(self, model: T5ForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        """`input_ids` and `attention_mask`: [B, S], `labels`: [B, T], padded with -100 -> scalar."""
        states = self.model.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return token_losses(self.model, states, attention_mask, labels).mean()
