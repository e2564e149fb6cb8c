"""T5 (Raffel et al. 2020, arXiv:1910.10683), T5 v1.1, Flan-T5, ByT5, UL2, mT5 and umT5.

mT5 (arXiv:2010.11934) and umT5 (arXiv:2304.09151) are classes of their own in transformers. They have T5's
modules, but umT5's layers have a position bias each.
"""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, T5Config

from tuneoff import kernels
from tuneoff.errors import ModelError
from tuneoff.families.encoder_context import EncoderContext, decoder_ids, start_ids
from tuneoff.families.encoder_decoder import EncoderDecoder
from tuneoff.families.family import Architecture, BiasBeforeText, Targets
from tuneoff.families.listening import key_values_of_text
from tuneoff.families.masks import mask_of_rows
from tuneoff.families.t5_config import MT5Keys, T5Keys, UMT5Keys
from tuneoff.spec import DropoutSpec, Site


@final
class T5(EncoderDecoder):
    """A loaded T5; a `Family`."""

    lora_targets: Targets = ("q", "v")
    most_tokens = None
    joins = True  # positions are distances between tokens

    def __init__(self, model: Any, *, scales_output: bool) -> None:
        """`scales_output`: whether the decoder's output is multiplied by H^-0.5 before the head."""
        super().__init__(model)
        self._scales_output = scales_output

    def check(self, folder: Path) -> None:  # noqa: D102
        tied = self.model.lm_head.weight.data_ptr() == self.model.shared.weight.data_ptr()
        if not tied and self._scales_output:
            raise ModelError(
                f"a T5 with its own output head does not scale the decoder's output, but the config of "
                f"'{folder}' says it does; set tie_word_embeddings to false in its config.json"
            )

    def use_fast_modules(self) -> None:  # noqa: D102
        kernels.use_fast_modules(self.model, stacks=(self.model.encoder, self.model.decoder))

    def set_dropout(self, spec: DropoutSpec) -> None:  # noqa: D102
        for stack, rate in ((self.model.encoder, spec.encoder), (self.model.decoder, spec.decoder)):
            for module in stack.modules():
                if isinstance(module, nn.Dropout) and rate is not None:
                    module.p = rate
        self.set_attention_dropout(spec)

    def context(self, encoder_outputs: Tensor, attention_mask: Tensor) -> EncoderContext:  # noqa: D102
        return EncoderContext(self.model, encoder_outputs, attention_mask)

    def read_and_predict(  # noqa: D102
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        frozen_outputs: Tensor | None = None,
    ) -> Tensor:
        model = self.model
        given = decoder_ids(model.config, labels)
        if frozen_outputs is None:
            inputs, targets = self._embedded(input_ids, given)
            seen = mask_of_rows(attention_mask, attention_mask.shape[1])
            read = model.encoder(inputs_embeds=inputs, attention_mask=seen)
            frozen_outputs = read.last_hidden_state
        else:
            targets = model.decoder.embed_tokens(given)
        hidden: Tensor = model.decoder(
            inputs_embeds=targets,
            encoder_hidden_states=frozen_outputs,
            encoder_attention_mask=mask_of_rows(attention_mask, given.shape[1]),
            use_cache=False,
        ).last_hidden_state
        return hidden[:, len(start_ids(model.config)) - 1 :]

    def _embedded(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Look up the embeddings of encoder and decoder: [B, S] and [B, T] -> [B, S, H] and [B, T, H]."""
        encoder, decoder = self.model.encoder.embed_tokens, self.model.decoder.embed_tokens
        if getattr(encoder, "weight", None) is not decoder.weight:
            return encoder(inputs), decoder(targets)
        # a shared embedding is looked up once for both: each look-up costs a gradient as large as the
        # vocabulary
        both = encoder(torch.cat([inputs.flatten(), targets.flatten()]))
        embedded_inputs, embedded_targets = both.split([inputs.numel(), targets.numel()])
        return embedded_inputs.view(*inputs.shape, -1), embedded_targets.view(*targets.shape, -1)

    def logits(self, hidden: Tensor) -> Tensor:  # noqa: D102
        scores: Tensor = self.model.lm_head(self._scaled(hidden))
        return scores.float()

    def argmax_token(self, hidden: Tensor) -> Tensor:  # noqa: D102
        head = self.model.lm_head
        # an output layer with LoRA is not an nn.Linear and computes more than the product with its weight
        if hidden.device.type != "cpu" or type(head) is not nn.Linear:
            return self.logits(hidden).argmax(dim=1)
        return kernels.argmax_of_product(head.weight, self._scaled(hidden))

    def _scaled(self, hidden: Tensor) -> Tensor:
        return hidden * self.model.model_dim**-0.5 if self._scales_output else hidden

    @property
    def kv_heads(self) -> int:  # noqa: D102
        return int(self.model.config.num_heads)

    @property
    def head_dim(self) -> int:
        """Width of one head; times the number of heads it need not be `d_model`."""
        return int(self.model.config.d_kv)

    def attentions(self, site: Site) -> list[Any]:  # noqa: D102
        if site == "cross":
            return [block.layer[1].EncDecAttention for block in self.model.decoder.block]
        return [block.layer[0].SelfAttention for block in self.stack(site).block]

    def bias_before_text(self, site: Site) -> BiasBeforeText | None:
        """Return the position bias of a site towards tokens before the text; cross-attention has none."""
        return None if site == "cross" else partial(_bias_before_text, self.attentions(site))

    def key_values(self, ids: Tensor, sites: tuple[Site, ...]) -> dict[Site, Tensor]:  # noqa: D102
        layers = {site: [(layer.k, layer.v) for layer in self.attentions(site)] for site in sites}
        return key_values_of_text(self.model, ids, layers, head_dim=self.head_dim)


def _bias_before_text(
    attentions: list[Any], *, layer: int, queries: int, keys: int, length: int, device: torch.device
) -> Tensor:
    """Compute what `BiasBeforeText` promises for a site with these attentions."""
    # T5's first attention holds the bias of all layers, in umT5 each holds its own
    own = attentions[layer].has_relative_attention_bias
    source = attentions[layer] if own else attentions[0]
    before = length + keys - queries  # tokens before the first query
    bias: Tensor = source.compute_bias(queries, length + keys, device=device, past_seen_tokens=before)
    return bias[..., :length]


def _complete(config: T5Config) -> None:
    if config.decoder_start_token_id is None:
        # T5 decodes from padding
        config.decoder_start_token_id = config.pad_token_id


def _umt5(model: PreTrainedModel) -> T5:
    # transformers' config says of every umT5 that its head is tied to the embedding and scales for it, but
    # the published ones have a head of their own
    tied = model.lm_head.weight.data_ptr() == model.shared.weight.data_ptr()
    model.config.tie_word_embeddings = tied
    return T5(model, scales_output=tied)


ARCHITECTURE = Architecture(
    model_type="t5",
    name="T5",
    members="T5, T5 v1.1, Flan-T5, ByT5, UL2",
    keys=T5Keys,
    model_class="T5ForConditionalGeneration",
    # in old checkpoints
    unused_weights=re.compile(
        r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight"
    ),
    layers=lambda config: max(config.num_layers, config.num_decoder_layers),
    ends_input=True,
    complete=_complete,
    family=lambda model: T5(model, scales_output=model.config.scale_decoder_outputs),
)
MT5 = replace(
    ARCHITECTURE,
    model_type="mt5",
    name="mT5",
    members="mT5",
    keys=MT5Keys,
    model_class="MT5ForConditionalGeneration",
    family=lambda model: T5(model, scales_output=False),
)
UMT5 = replace(
    ARCHITECTURE,
    model_type="umt5",
    name="umT5",
    members="umT5",
    keys=UMT5Keys,
    model_class="UMT5ForConditionalGeneration",
    family=_umt5,
)
ARCHITECTURES = (ARCHITECTURE, MT5, UMT5)


def random_config(*, vocab_size: int, pad_token_id: int, eos_token_id: int) -> T5Config:
    """Return the config of a small T5 with random weights."""
    return T5Config(
        vocab_size=vocab_size,
        d_model=128,
        d_kv=16,
        d_ff=256,
        num_layers=3,
        num_decoder_layers=2,
        num_heads=6,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=pad_token_id,
        pad_token_id=pad_token_id,
        eos_token_id=eos_token_id,
    )
