"""BART (Lewis et al. 2019, arXiv:1910.13461) and its kin: mBART, Pegasus, Marian, M2M100 and NLLB.

Their modules have the same names; they differ in embeddings and positions, which transformers' own stacks
compute. Positions are counted from a row's first token, so rows are padded on the right.
"""

import re
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import BartConfig, PreTrainedConfig

from tuneoff.families.bart_config import BartKeys, M2M100Keys, MarianKeys, MBartKeys, PegasusKeys
from tuneoff.families.encoder_context import EncoderContext, decoder_ids, start_ids
from tuneoff.families.encoder_decoder import EncoderDecoder
from tuneoff.families.family import Architecture, BiasBeforeText, ConfigKeys, Targets
from tuneoff.families.listening import key_values_of_text
from tuneoff.families.masks import causal_mask_of_rows, mask_of_rows
from tuneoff.spec import DropoutSpec, Site

_POSITIONS = ("model.encoder.embed_positions", "model.decoder.embed_positions")


@final
class Bart(EncoderDecoder):
    """A loaded BART or one of its kin; a `Family`."""

    lora_targets: Targets = ("q_proj", "v_proj")
    joins = False  # the decoder's positions are one for all rows

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        for name in _POSITIONS:
            _as_buffer_if_fixed(model.get_submodule(name))

    @property
    def most_tokens(self) -> int | None:
        """Tokens of an input or of a target that the model has positions for; M2M100 computes more."""
        is_fixed = hasattr(self.reader.embed_positions, "make_weights")
        return None if is_fixed else int(self.model.config.max_position_embeddings)

    def check(self, folder: Path) -> None:
        """Do nothing: there is nothing to contradict."""

    def use_fast_modules(self) -> None:
        """Do nothing: dropout and activations are no modules, and transformers' attention is the fastest."""

    def set_dropout(self, spec: DropoutSpec) -> None:  # noqa: D102
        for stack, rate in ((self.reader, spec.encoder), (self.stack("decoder"), spec.decoder)):
            if rate is not None:
                stack.dropout = rate
                for layer in stack.layers:
                    layer.dropout = layer.activation_dropout = rate
        self.set_attention_dropout(spec)

    def context(self, encoder_outputs: Tensor, attention_mask: Tensor) -> EncoderContext:  # noqa: D102
        never = (self.model.config.pad_token_id,)
        return EncoderContext(self.model, encoder_outputs, attention_mask, never=never)

    def read_and_predict(  # noqa: D102
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        frozen_outputs: Tensor | None = None,
    ) -> Tensor:
        if frozen_outputs is None:
            frozen_outputs = self.encode(input_ids, mask_of_rows(attention_mask, input_ids.shape[1]))
        given = decoder_ids(self.model.config, labels)
        hidden: Tensor = self.stack("decoder")(
            input_ids=given,
            attention_mask=causal_mask_of_rows(given),
            encoder_hidden_states=frozen_outputs,
            encoder_attention_mask=mask_of_rows(attention_mask, given.shape[1]),
            use_cache=False,
        ).last_hidden_state
        return hidden[:, len(start_ids(self.model.config)) - 1 :]

    def logits(self, hidden: Tensor) -> Tensor:  # noqa: D102
        scores: Tensor = self.model.lm_head(hidden)
        bias = getattr(self.model, "final_logits_bias", None)  # M2M100 has none
        return scores.float() if bias is None else (scores + bias[0]).float()

    def argmax_token(self, hidden: Tensor) -> Tensor:
        """Return the token with the highest logit that is not padding: [N, H] -> [N].

        Marian gives padding a logit of 0, which may be the highest of all.
        """
        scores = self.logits(hidden)
        scores[:, self.model.config.pad_token_id] = -torch.inf
        return scores.argmax(dim=1)

    @property
    def kv_heads(self) -> int:  # noqa: D102
        return int(self.model.config.encoder_attention_heads)

    @property
    def head_dim(self) -> int:  # noqa: D102
        return int(self.model.config.d_model // self.kv_heads)

    def attentions(self, site: Site) -> list[Any]:  # noqa: D102
        name = "encoder_attn" if site == "cross" else "self_attn"
        return [getattr(layer, name) for layer in self.stack(site).layers]

    def bias_before_text(self, site: Site) -> BiasBeforeText | None:
        """Return None: positions are in the embeddings."""

    def key_values(self, ids: Tensor, sites: tuple[Site, ...]) -> dict[Site, Tensor]:  # noqa: D102
        layers = {site: [(layer.k_proj, layer.v_proj) for layer in self.attentions(site)] for site in sites}
        return key_values_of_text(self.model, ids, layers, head_dim=self.head_dim)


def _as_buffer_if_fixed(positions: Any) -> None:
    """Make fixed positions that are kept as a parameter a buffer: no method trains or counts it."""
    weight = getattr(positions, "weight", None)
    if hasattr(positions, "create_weight") and isinstance(weight, nn.Parameter):
        del positions.weight
        positions.register_buffer("weight", weight.detach())


def _complete(config: PreTrainedConfig) -> None:
    if config.decoder_start_token_id is None:
        # as fairseq, which trained most of these models, does
        config.decoder_start_token_id = config.eos_token_id


def _architecture(
    model_type: str,
    name: str,
    keys: type[ConfigKeys],
    model_class: str,
    *,
    members: str,
    computed: str = "final_logits_bias",
) -> Architecture:
    return Architecture(
        model_type=model_type,
        name=name,
        members=members,
        keys=keys,
        model_class=model_class,
        # in old checkpoints: fairseq's version, and positions that are computed
        unused_weights=re.compile(r"model\.(en|de)coder\.(version|embed_positions\.(_float_tensor|weights))"),
        layers=lambda config: max(config.encoder_layers, config.decoder_layers),
        ends_input=True,
        complete=_complete,
        family=Bart,
        computed=re.compile(computed),
    )


_FIXED_POSITIONS = r"final_logits_bias|model\.(en|de)coder\.embed_positions\.weight"
ARCHITECTURES = (
    _architecture("bart", "BART", BartKeys, "BartForConditionalGeneration", members="BART, DistilBART"),
    _architecture("mbart", "mBART", MBartKeys, "MBartForConditionalGeneration", members="mBART-50"),
    _architecture(
        "pegasus",
        "Pegasus",
        PegasusKeys,
        "PegasusForConditionalGeneration",
        members="Pegasus",
        computed=_FIXED_POSITIONS,
    ),
    _architecture(
        "marian", "Marian", MarianKeys, "MarianMTModel", members="OPUS-MT", computed=_FIXED_POSITIONS
    ),
    _architecture("m2m_100", "M2M100", M2M100Keys, "M2M100ForConditionalGeneration", members="M2M100, NLLB"),
)


def random_config(*, vocab_size: int, pad_token_id: int, eos_token_id: int) -> BartConfig:
    """Return the config of a small BART with random weights."""
    return BartConfig(
        vocab_size=vocab_size,
        d_model=96,
        encoder_layers=3,
        decoder_layers=2,
        encoder_attention_heads=6,
        decoder_attention_heads=6,
        encoder_ffn_dim=192,
        decoder_ffn_dim=192,
        max_position_embeddings=1024,
        pad_token_id=pad_token_id,
        eos_token_id=eos_token_id,
        bos_token_id=None,
        decoder_start_token_id=eos_token_id,
        forced_eos_token_id=None,
    )
