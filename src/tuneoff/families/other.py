"""Encoder-decoders that have no family of their own here, by what all models of transformers have in common.

A state is the model's own logits, so that nothing need be known of its head, and nothing is cached, as caches
differ: each token that follows is computed with all before it. Where attention is, is found by a probe.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from transformers import (
    BigBirdPegasusForConditionalGeneration,
    BlenderbotForConditionalGeneration,
    BlenderbotSmallForConditionalGeneration,
    FSMTForConditionalGeneration,
    LEDForConditionalGeneration,
    LongT5ForConditionalGeneration,
    MvpForConditionalGeneration,
    PegasusXForConditionalGeneration,
    PLBartForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
    ProphetNetForConditionalGeneration,
    T5GemmaForConditionalGeneration,
)
from transformers.modeling_outputs import BaseModelOutput

from tuneoff import kernels
from tuneoff.errors import ModelError, UnfitError
from tuneoff.families.beams import beam_settings
from tuneoff.families.encoder_context import decoder_ids, start_ids
from tuneoff.families.family import Architecture, BiasBeforeText, Targets
from tuneoff.families.listening import without_dropout
from tuneoff.families.other_config import OtherKeys
from tuneoff.spec import DropoutSpec, Site

MODELS: dict[str, type[PreTrainedModel]] = {
    "bigbird_pegasus": BigBirdPegasusForConditionalGeneration,
    "blenderbot": BlenderbotForConditionalGeneration,
    "blenderbot-small": BlenderbotSmallForConditionalGeneration,
    "fsmt": FSMTForConditionalGeneration,
    "led": LEDForConditionalGeneration,
    "longt5": LongT5ForConditionalGeneration,
    "mvp": MvpForConditionalGeneration,
    "pegasus_x": PegasusXForConditionalGeneration,
    "plbart": PLBartForConditionalGeneration,
    "prophetnet": ProphetNetForConditionalGeneration,
    "t5gemma": T5GemmaForConditionalGeneration,
}
"""By model_type."""
_PROBED = ([5, 6, 7, 8, 9, 10], [5, 6, 7])
"""Tokens of the probe's input and target, of different lengths to distinguish the attentions of a decoder."""
_QUERIES_AND_VALUES = ("q", "v", "q_proj", "v_proj", "query", "value", "query_proj", "value_proj")
_RATES = ("dropout", "activation_dropout", "attention_dropout", "dropout_rate", "attn_dropout", "layerdrop")
"""Names of attributes that hold a dropout rate."""
_ATTENTION = "tuneoff_probe"
_TOLERANCE = 0.01
"""Of logits, in their standard deviations."""


@final
class WholeContext:
    """Rows that an encoder has read, and the tokens since; a `Context` whose states are logits."""

    def __init__(
        self, model: Any, encoder_outputs: Tensor, mask: Tensor, written: Tensor | None = None
    ) -> None:
        """`encoder_outputs`: [N, S, H], `mask`: [N, S], `written`: [N, T]."""
        self._model, self._encoder_outputs, self._mask = model, encoder_outputs, mask
        self._written = mask[:, :0] if written is None else written

    @property
    def rows(self) -> int:  # noqa: D102
        return len(self._mask)

    @property
    def kept_bytes(self) -> int:  # noqa: D102
        return self._encoder_outputs.nbytes

    def _starts(self) -> Tensor:
        return self._mask.new_tensor(start_ids(self._model.config)).expand(self.rows, -1)

    def first(self) -> Tensor:  # noqa: D102
        return self.follow(self._starts())[:, -1]

    def follow(self, tokens: Tensor) -> Tensor:  # noqa: D102
        self._written = torch.cat([self._written, tokens], dim=1)
        logits: Tensor = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._encoder_outputs),
            attention_mask=self._mask,
            decoder_input_ids=self._written,
            use_cache=False,
        ).logits
        return logits[:, -tokens.shape[1] :]

    def predict(self, labels: Tensor) -> Tensor:  # noqa: D102
        return self.follow(decoder_ids(self._model.config, labels))[:, -labels.shape[1] :]

    def beam_search(  # noqa: D102
        self, *, max_new_tokens: int, beams: int, eos_token_id: int, pad_token_id: int
    ) -> Tensor:
        starts = self._starts()
        generated: Tensor = self._model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._encoder_outputs),
            attention_mask=self._mask,
            decoder_input_ids=starts,
            generation_config=beam_settings(
                max_new_tokens=max_new_tokens,
                beams=beams,
                eos_token_id=eos_token_id,
                pad_token_id=pad_token_id,
                decoder_start_token_id=self._model.config.decoder_start_token_id,
                use_cache=False,
            ),
        )
        return generated[:, starts.shape[1] :]

    def repeat(self, times: int) -> "WholeContext":  # noqa: D102
        tensors = (self._encoder_outputs, self._mask, self._written)
        return WholeContext(self._model, *(tensor.repeat_interleave(times, dim=0) for tensor in tensors))

    def keep(self, rows: Tensor) -> None:  # noqa: D102
        self._encoder_outputs, self._mask = self._encoder_outputs[rows], self._mask[rows]
        self._written = self._written[rows]

    def rewind(self) -> None:  # noqa: D102
        self._written = self._mask[:, :0]


class Call(NamedTuple):
    """A call of the attention function, as the probe saw it."""

    module: nn.Module
    key: Tensor
    value: Tensor


@final
class Other:
    """A loaded encoder-decoder of no family of its own; a `Family`."""

    sites: tuple[Site, ...] = ("encoder", "decoder", "cross")
    most_tokens = None

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def reader(self) -> PreTrainedModel:
        """The encoder."""
        encoder: PreTrainedModel = self.model.get_encoder()
        return encoder

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
        source, target = (torch.tensor([ids], device=self.model.device) for ids in _PROBED)
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
        for stack, rate in (
            (self.model.get_encoder(), spec.encoder),
            (self.model.get_decoder(), spec.decoder),
        ):
            for module, name in _dropout_rates(stack):
                is_attention = "attention" in type(module).__name__.lower() or "att" in name
                chosen = spec.attention if is_attention and spec.attention is not None else rate
                if chosen is not None:
                    setattr(module, name, chosen)

    def reads_with_dropout(self) -> bool:  # noqa: D102
        return any(getattr(module, name) > 0 for module, name in _dropout_rates(self.reader))

    @property
    def encoder(self) -> "Other":
        """The model itself."""
        return self

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> WholeContext:  # noqa: D102
        return self.context(self.encode(input_ids, attention_mask), attention_mask)

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:  # noqa: D102
        outputs: Tensor = self.reader(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return outputs

    def context(self, encoder_outputs: Tensor, attention_mask: Tensor) -> WholeContext:  # noqa: D102
        return WholeContext(self.model, encoder_outputs, attention_mask)

    def read_and_predict(  # noqa: D102
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        encoder_outputs: Tensor | None = None,
    ) -> Tensor:
        if encoder_outputs is None:
            encoder_outputs = self.encode(input_ids, attention_mask)
        return self.context(encoder_outputs, attention_mask).predict(labels)

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
            self.model.__dict__["probed_calls"] = probe(self.model)
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

    def stack(self, site: Site) -> PreTrainedModel:  # noqa: D102
        stack: PreTrainedModel = self.model.get_encoder() if site == "encoder" else self.model.get_decoder()
        return stack

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
        seen = {call.module: call for call in _seen(self.model, ids, ids)}
        return {
            site: torch.stack([_pair(seen[module]) for module in self.attentions(site)]) for site in sites
        }


def _pair(call: Call) -> Tensor:
    """Return the keys and values of one row: [2, P, heads, head_dim]."""
    return torch.stack([call.key[0], call.value[0]]).transpose(1, 2)


def _dropout_rates(stack: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Yield modules and the names of their attributes that are dropout rates."""
    for module in stack.modules():
        if isinstance(module, nn.Dropout):
            yield module, "p"
        for name in _RATES:
            if isinstance(getattr(module, name, None), int | float):
                yield module, name


@torch.no_grad()
def probe(model: Any) -> dict[Site, list[Call]]:
    """Find the attentions that can carry a prefix, by a forward pass over a few tokens.

    A site is found if every layer of its stack calls the model's attention function with what a hook passed
    to the attention module, and if the model computes with this function what it computes with its own.
    """
    source, target = (torch.tensor([ids], device=model.device) for ids in _PROBED)
    try:
        seen = _seen(model, source, target)
    except (TypeError, ValueError, RuntimeError):  # the attention needs something that the function lacks
        return {}
    stacks = {"encoder": model.get_encoder(), "decoder": model.get_decoder()}
    found: dict[Site, list[Call]] = {"encoder": [], "decoder": [], "cross": []}
    inside = set(stacks["encoder"].modules())
    for call in seen:
        if call.module in inside:
            found["encoder"].append(call)
        else:
            found["cross" if call.key.shape[2] == source.shape[1] else "decoder"].append(call)
    layers = {site: _depth(stacks["encoder" if site == "encoder" else "decoder"]) for site in found}
    return {site: calls for site, calls in found.items() if len(calls) == layers[site]}


def _depth(stack: nn.Module) -> int:
    """Return the number of layers of a stack."""
    return next(len(child) for child in stack.children() if isinstance(child, nn.ModuleList))


def _seen(model: Any, source: Tensor, target: Tensor) -> list[Call]:
    """Return the calls of the attention function in a pass over one text, `source` [1, S], `target` [1, T].

    There are none if the outputs differ from those of the model's own attention.
    """
    inputs = {"input_ids": source, "decoder_input_ids": target, "use_cache": False}
    with without_dropout(model):
        expected = model(**inputs).logits
        before = kernels.use_attention(model, _record, name=_ATTENTION)
        calls: list[Call] = []
        try:
            model(**inputs)
            modules = [module for module in model.modules() if "probed" in module.__dict__]
            handles = [
                module.register_forward_pre_hook(partial(_mark, calls), with_kwargs=True)
                for module in modules
            ]
            try:
                logits = model(**inputs).logits
            finally:
                for handle in handles:
                    handle.remove()
        finally:
            model.set_attn_implementation(before)
            for module in model.modules():
                module.__dict__.pop("probed", None)
    is_same = torch.allclose(logits, expected, rtol=1e-3, atol=1e-3)
    return calls if is_same else []


def _record(module: nn.Module, *args: Any, prefix: list[Call] | None = None, **kwargs: Any) -> Any:
    """Compute attention as `kernels.attend` does; mark the module as probed, and note the call for a hook."""
    module.__dict__["probed"] = True
    if prefix is not None:
        _, key, value = args[:3]
        prefix.append(Call(module, key, value))
    return kernels.attend(module, *args, **kwargs)


def _mark(calls: list[Call], module: nn.Module, inputs: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    return inputs, kwargs | {"prefix": calls}


def _complete(config: PreTrainedConfig) -> None:
    if config.decoder_start_token_id is None:
        config.decoder_start_token_id = config.pad_token_id


ARCHITECTURES = tuple(
    Architecture(
        model_type=model_type,
        name=model.__name__.removesuffix("ForConditionalGeneration"),
        members=model.__name__.removesuffix("ForConditionalGeneration"),
        keys=OtherKeys,
        model=model,
        unused_weights=re.compile(r"(?!)"),
        layers=lambda config: int(getattr(config, "num_hidden_layers", 0)),
        ends_input=True,
        complete=_complete,
        family=Other,
        computed=re.compile("final_logits_bias"),
    )
    for model_type, model in MODELS.items()
)
