"""T5 (Raffel et al. 2020, arXiv:1910.10683), T5 v1.1, Flan-T5 and ByT5."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

from tuneoff import kernels
from tuneoff.errors import ModelError
from tuneoff.families.encoder_context import EncoderContext
from tuneoff.families.family import Architecture, BiasBeforeText, Targets
from tuneoff.families.t5_config import T5Keys
from tuneoff.spec import DropoutSpec, Site


@final
class T5:
    """A loaded T5; a `Family`."""

    sites: tuple[Site, ...] = ("encoder", "decoder", "cross")
    lora_targets: Targets = ("q", "v")
    most_tokens = None

    def __init__(self, model: T5ForConditionalGeneration) -> None:
        self.model = model

    @property
    def reader(self) -> PreTrainedModel:
        """The encoder."""
        return self.model.encoder

    def check(self, folder: Path) -> None:  # noqa: D102
        tied = self.model.lm_head.weight.data_ptr() == self.model.shared.weight.data_ptr()
        if not tied and self.model.config.scale_decoder_outputs:
            raise ModelError(
                f"a T5 with its own output head does not scale the decoder's output, but the config of "
                f"'{folder}' says it does; set tie_word_embeddings to false in its config.json"
            )

    def use_fast_modules(self) -> None:  # noqa: D102
        kernels.use_fast_modules(self.model, stacks=(self.model.encoder, self.model.decoder))

    def set_dropout(self, spec: DropoutSpec) -> None:  # noqa: D102
        for stack, rate in ((self.model.encoder, spec.encoder), (self.model.decoder, spec.decoder)):
            attention_rate = rate if spec.attention is None else spec.attention
            for module in stack.modules():
                if isinstance(module, nn.Dropout) and rate is not None:
                    module.p = rate
                if isinstance(module, T5Attention) and attention_rate is not None:
                    module.dropout = attention_rate

    def reads_with_dropout(self) -> bool:  # noqa: D102
        return any(
            (isinstance(module, nn.Dropout) and module.p > 0)
            or (isinstance(module, T5Attention) and module.dropout > 0)
            for module in self.model.encoder.modules()
        )

    @property
    def encoder(self) -> "T5":
        """The model itself."""
        return self

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> EncoderContext:  # noqa: D102
        return self.context(self.encode(input_ids, attention_mask), attention_mask)

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:  # noqa: D102
        outputs: Tensor = self.model.encoder(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        return outputs

    def context(self, encoder_outputs: Tensor, attention_mask: Tensor) -> EncoderContext:  # noqa: D102
        return EncoderContext(self.model, encoder_outputs, attention_mask)

    def read_and_predict(  # noqa: D102
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        encoder_outputs: Tensor | None = None,
    ) -> Tensor:
        model = self.model
        decoder_ids = model.prepare_decoder_input_ids_from_labels(labels)
        if encoder_outputs is None:
            inputs, targets = self._embedded(input_ids, decoder_ids)
            read = model.encoder(inputs_embeds=inputs, attention_mask=attention_mask)
            encoder_outputs = read.last_hidden_state
        else:
            targets = model.decoder.embed_tokens(decoder_ids)
        hidden: Tensor = model.decoder(
            inputs_embeds=targets,
            encoder_hidden_states=encoder_outputs,
            encoder_attention_mask=attention_mask,
            use_cache=False,
        ).last_hidden_state
        return hidden

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
        return hidden * self.model.model_dim**-0.5 if self.model.config.scale_decoder_outputs else hidden

    @property
    def kv_heads(self) -> int:  # noqa: D102
        return int(self.model.config.num_heads)

    @property
    def head_dim(self) -> int:
        """Width of one head; times the number of heads it need not be `d_model`."""
        return int(self.model.config.d_kv)

    def stack(self, site: Site) -> PreTrainedModel:  # noqa: D102
        return self.model.encoder if site == "encoder" else self.model.decoder

    def attentions(self, site: Site) -> list[T5Attention]:  # noqa: D102
        if site == "cross":
            return [block.layer[1].EncDecAttention for block in self.model.decoder.block]
        return [block.layer[0].SelfAttention for block in self.stack(site).block]

    def bias_before_text(self, site: Site) -> BiasBeforeText | None:
        """Return the position bias of a site towards tokens in front of the text.

        T5's first self-attention holds the bias of all layers, and cross-attention has none.
        """
        return None if site == "cross" else partial(_bias_before_text, self.attentions(site)[0])

    @torch.no_grad()
    def key_values(self, ids: Tensor, sites: tuple[Site, ...]) -> dict[Site, Tensor]:  # noqa: D102
        layers = [layer for site in sites for layer in self.attentions(site)]
        with _recorded(self.model, [linear for layer in layers for linear in (layer.k, layer.v)]) as outputs:
            self.model(input_ids=ids, decoder_input_ids=ids, use_cache=False)
        found: dict[Site, Tensor] = {}
        for site in sites:
            pairs = [torch.cat([outputs[layer.k], outputs[layer.v]]) for layer in self.attentions(site)]
            shape = (len(pairs), 2, ids.shape[1], self.kv_heads, self.head_dim)
            found[site] = torch.stack(pairs).view(shape)
        return found


def _bias_before_text(
    source: T5Attention, *, queries: int, keys: int, length: int, device: torch.device
) -> Tensor:
    """Compute what `BiasBeforeText` promises; `source` holds the position bias of its stack."""
    before = length + keys - queries  # tokens before the first query
    bias: Tensor = source.compute_bias(queries, length + keys, device=device, past_seen_tokens=before)
    return bias[..., :length]


@contextmanager
def _recorded(
    model: T5ForConditionalGeneration, modules: Sequence[nn.Module]
) -> Iterator[dict[nn.Module, Tensor]]:
    """Record the outputs of modules in the forward passes of the context, with dropout off."""
    outputs: dict[nn.Module, Tensor] = {}

    def record(module: nn.Module, inputs: object, output: Tensor) -> None:
        outputs[module] = output

    handles = [module.register_forward_hook(record) for module in modules]
    training = model.training
    model.eval()
    try:
        yield outputs
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()


def _complete(config: T5Config) -> None:
    if config.decoder_start_token_id is None:
        # T5 decodes from padding
        config.decoder_start_token_id = config.pad_token_id


ARCHITECTURE = Architecture(
    model_type="t5",
    name="T5",
    members="T5, T5 v1.1, Flan-T5, ByT5",
    keys=T5Keys,
    model=T5ForConditionalGeneration,
    # in old checkpoints
    unused_weights=re.compile(
        r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight"
    ),
    layers=lambda config: max(config.num_layers, config.num_decoder_layers),
    ends_input=True,
    complete=_complete,
    family=T5,
)


def random_model(*, vocab_size: int, pad_token_id: int, eos_token_id: int) -> T5ForConditionalGeneration:
    """Return a small T5 with random weights, the same at every call, in evaluation mode."""
    config = T5Config(
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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = T5ForConditionalGeneration(config)
    return model.eval()
