"""Encoder-decoders that have no family of their own here, by what all models of transformers have in common.

A state is the model's own logits, so that nothing need be known of its head, and nothing is cached, as caches
differ: each token that follows is computed with all before it. Where attention is, is found by a probe.
"""

import re
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from tuneoff.errors import ModelError, UnfitError
from tuneoff.families.dropout import dropout_rates
from tuneoff.families.encoder_decoder import EncoderDecoder
from tuneoff.families.family import Architecture, BiasBeforeText, Targets
from tuneoff.families.other_config import OtherKeys
from tuneoff.families.probe import TOKENS, Call, attention_calls, found_attentions
from tuneoff.families.whole_context import WholeContext
from tuneoff.spec import DropoutSpec, Site

MODELS = {
    "bigbird_pegasus": "BigBirdPegasusForConditionalGeneration",
    "blenderbot": "BlenderbotForConditionalGeneration",
    "blenderbot-small": "BlenderbotSmallForConditionalGeneration",
    "fsmt": "FSMTForConditionalGeneration",
    "led": "LEDForConditionalGeneration",
    "longt5": "LongT5ForConditionalGeneration",
    "mvp": "MvpForConditionalGeneration",
    "pegasus_x": "PegasusXForConditionalGeneration",
    "plbart": "PLBartForConditionalGeneration",
    "prophetnet": "ProphetNetForConditionalGeneration",
    "t5gemma": "T5GemmaForConditionalGeneration",
}
"""Their classes in transformers, by model_type."""
_QUERIES_AND_VALUES = ("q", "v", "q_proj", "v_proj", "query", "value", "query_proj", "value_proj")
_TOLERANCE = 0.01
"""Of logits, in their standard deviations."""


@final
class Other(EncoderDecoder):
    """A loaded encoder-decoder of no family of its own; a `Family`."""

    most_tokens = None
    joins = False

    @property
    def lora_targets(self) -> Targets:
        """The names of queries and values that the model has."""
        layers = self.model.named_modules()
        ends = {name.rpartition(".")[2] for name, module in layers if isinstance(module, nn.Linear)}
        return tuple(name for name in _QUERIES_AND_VALUES if name in ends)

    @torch.no_grad()
    def check(self, folder: Path) -> None:
        """Refuse a model whose likelihood of a token depends on padding, or on tokens after it.

        Some classes of transformers rely on a cache that is filled step by step, and cannot be scored.
        """
        source, target = (torch.tensor([ids], device=self.model.device) for ids in TOKENS)
        alone = self.read(source, torch.ones_like(source)).predict(target)
        padded, longer = (torch.cat([ids, ids], dim=1) for ids in (source, target))
        mask = (torch.arange(padded.shape[1], device=source.device) < source.shape[1]).long()[None]
        together = self.read(padded, mask).predict(longer)[:, : target.shape[1]]
        if (alone - together).abs().max() > _TOLERANCE * alone.std():
            raise ModelError(
                f"a model must predict each token from the tokens before it alone, but transformers' "
                f"{type(self.model).__name__} ('{folder}') gives others where text or padding follows; give "
                "another model"
            )

    def use_fast_modules(self) -> None:
        """Do nothing: which modules can be replaced is not known."""

    def set_dropout(self, spec: DropoutSpec) -> None:  # noqa: D102
        for stack, rate in ((self.reader, spec.encoder), (self.stack("decoder"), spec.decoder)):
            for module, name in dropout_rates(stack.modules()):
                is_attention = "attention" in type(module).__name__.lower() or "att" in name
                chosen = spec.attention if is_attention and spec.attention is not None else rate
                if chosen is not None:
                    setattr(module, name, chosen)

    def context(self, encoder_outputs: Tensor, attention_mask: Tensor) -> WholeContext:  # noqa: D102
        return WholeContext(self.model, encoder_outputs, attention_mask)

    def read_and_predict(  # noqa: D102
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        frozen_outputs: Tensor | None = None,
    ) -> Tensor:
        if frozen_outputs is None:
            frozen_outputs = self.encode(input_ids, attention_mask)
        return self.context(frozen_outputs, attention_mask).predict(labels)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the states themselves, in float32, as they are the logits."""
        return hidden.float()

    def argmax_token(self, hidden: Tensor) -> Tensor:  # noqa: D102
        return hidden.argmax(dim=1)

    # attention, for prefixes

    @property
    def _calls(self) -> dict[Site, list[Call]]:
        # kept with the model, as it is probed before a prefix is on it
        if "probed_calls" not in self.model.__dict__:
            self.model.__dict__["probed_calls"] = found_attentions(self.model)
        found: dict[Site, list[Call]] = self.model.__dict__["probed_calls"]
        return found

    @property
    def kv_heads(self) -> int:
        """Heads of the keys and values where a prefix can be; 0 if it can be nowhere."""
        return next((calls[0].key.shape[1] for calls in self._calls.values()), 0)

    @property
    def head_dim(self) -> int:
        """Width of one head where a prefix can be; 0 if it can be nowhere."""
        return next((calls[0].key.shape[3] for calls in self._calls.values()), 0)

    def attentions(self, site: Site) -> list[nn.Module]:
        """Return the attention modules of a site, first layer first.

        Raises:
            UnfitError: attention there bypasses the function that carries a prefix.
        """
        if site not in self._calls:
            can = ", ".join(self._calls) or "none"
            raise UnfitError(
                f"a prefix needs attention that goes through transformers' interface, but that of "
                f"{type(self.model).__name__} at {site} does not; sites that can have a prefix: {can}"
            )
        return [call.module for call in self._calls[site]]

    def bias_before_text(self, site: Site) -> BiasBeforeText | None:
        """Return None: a position bias is not known."""

    def key_values(self, ids: Tensor, sites: tuple[Site, ...]) -> dict[Site, Tensor]:  # noqa: D102
        seen = {call.module: call for call in attention_calls(self.model, ids, ids)}
        return {
            site: torch.stack([_pair(seen[module]) for module in self.attentions(site)]) for site in sites
        }


def _pair(call: Call) -> Tensor:
    """Return the keys and values of one row: [2, P, heads, head_dim]."""
    return torch.stack([call.key[0], call.value[0]]).transpose(1, 2)


def _complete(config: PreTrainedConfig) -> None:
    if config.decoder_start_token_id is None:
        config.decoder_start_token_id = config.pad_token_id


ARCHITECTURES = tuple(
    Architecture(
        model_type=model_type,
        name=model_class.removesuffix("ForConditionalGeneration"),
        members=model_class.removesuffix("ForConditionalGeneration"),
        keys=OtherKeys,
        model_class=model_class,
        unused_weights=re.compile(r"(?!)"),
        layers=lambda config: int(getattr(config, "num_hidden_layers", 0)),
        ends_input=True,
        complete=_complete,
        family=Other,
        computed=re.compile("final_logits_bias"),
    )
    for model_type, model_class in MODELS.items()
)
