"""Prefix-tuning (Li & Liang 2021, arXiv:2101.00190) at any attention of an encoder-decoder.

Trained keys and values stand in front of the text's own, at the encoder's self-attention, the
decoder's self-attention and the decoder's attention to the encoder (cross). They meet attention in
`attend`, which takes the place of the model's attention function through transformers'
`AttentionInterface`. It runs behind the cache update, so generation never caches a prefix twice.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import AttentionInterface, PreTrainedTokenizerBase, T5ForConditionalGeneration
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.models.t5.modeling_t5 import T5Attention, T5Stack

from tuneoff import kernels
from tuneoff.methods.adapter import Adapter
from tuneoff.methods.vocabulary import sampled_pieces
from tuneoff.spec import PrefixSpec, Site

_ATTENTION = "tuneoff_prefix"


class LayerPrefix(NamedTuple):
    """The prefix of one attention layer."""

    keys: Tensor
    """[P, heads, d_kv]"""
    values: Tensor
    """[P, heads, d_kv]"""
    bias: T5Attention | None
    """The attention that holds the stack's position bias, where the prefix has positions."""


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    position_bias: Tensor,
    prefix: LayerPrefix | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention over the prefix and the text.

    Shapes: query [B, heads, Q, d_kv]; key and value [B, heads, K, d_kv], cached ones included;
    attention_mask [B, 1, Q, K] or None; position_bias [1, heads, Q, K] -> [B, Q, heads, d_kv].
    """
    if prefix is None:
        return kernels.attend(
            module, query, key, value, attention_mask, position_bias=position_bias, **kwargs
        )
    mask, bias = kernels.kept(
        position_bias,
        attention_mask,
        lambda: _seen_in_front(prefix, position_bias, attention_mask, bool(module.is_causal)),
    )
    return kernels.attend(
        module,
        query,
        _in_front(prefix.keys, key),
        _in_front(prefix.values, value),
        mask,
        position_bias=bias,
        is_causal=False,
        **kwargs,
    )


def _seen_in_front(
    prefix: LayerPrefix, position_bias: Tensor, attention_mask: Tensor | None, causal: bool
) -> tuple[Tensor | None, Tensor]:
    """Mask and bias with P columns in front, the same for all layers: all queries see a prefix."""
    length = len(prefix.keys)
    if attention_mask is None and causal:
        attention_mask = kernels.causal_mask(position_bias)
    if attention_mask is not None:
        visible = True if attention_mask.dtype == torch.bool else 0.0
        attention_mask = F.pad(attention_mask, (length, 0), value=visible)
    in_front = _prefix_bias(prefix.bias, position_bias, length)
    return attention_mask, torch.cat([in_front, position_bias], dim=3)  # [1, heads, Q, P + K]


AttentionInterface.register(_ATTENTION, attend)
AttentionMaskInterface.register(_ATTENTION, sdpa_mask)


def _in_front(prefix: Tensor, text: Tensor) -> Tensor:
    """`prefix`: [P, heads, d_kv], `text`: [B, heads, K, d_kv] -> [B, heads, P + K, d_kv]."""
    rows = prefix.to(text.dtype).transpose(0, 1).expand(text.shape[0], -1, -1, -1)
    return torch.cat([rows, text], dim=2)


def _prefix_bias(source: T5Attention | None, position_bias: Tensor, length: int) -> Tensor:
    """The position bias towards a prefix of P: [1, heads, Q, P], zero where it has no positions."""
    _, heads, queries, keys = position_bias.shape
    if source is None:
        return position_bias.new_zeros(1, heads, queries, length)
    seen = length + keys - queries
    bias = source.compute_bias(queries, length + keys, device=position_bias.device, past_seen_tokens=seen)
    return bias[..., :length].to(position_bias.dtype)


@final
class DirectPrefix(nn.Module):
    """Keys and values as they are: [L, 2, P, heads, d_kv]."""

    def __init__(self, key_values: Tensor) -> None:
        super().__init__()
        self.key_values = nn.Parameter(key_values)

    def forward(self) -> Tensor:
        """Keys and values of all layers: [L, 2, P, heads, d_kv]."""
        return self.key_values


@final
class ProjectedPrefix(nn.Module):
    """Keys and values made by an MLP from one embedding for each prefix position.

    Sizes are those of PEFT's PrefixEncoder: [P, I] -> tanh [P, width] -> [P, L * 2 * I], where
    I = heads * d_kv.
    """

    def __init__(self, shape: torch.Size, width: int, generator: torch.Generator) -> None:
        super().__init__()
        layers, _, length, heads, d_kv = self.shape = shape
        inner = heads * d_kv
        self.embedding = nn.Parameter(torch.randn(length, inner, generator=generator))
        self.hidden = _linear(inner, width, generator)
        self.output = _linear(width, layers * 2 * inner, generator)

    def forward(self) -> Tensor:
        """Keys and values of all layers: [L, 2, P, heads, d_kv]."""
        layers, two, length, heads, d_kv = self.shape
        flat = self.output(torch.tanh(self.hidden(self.embedding)))
        return flat.view(length, layers, two, heads, d_kv).permute(1, 2, 0, 3, 4)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with torch's default initialisation, from the given generator."""
    layer = nn.Linear(inputs, outputs)
    bound = 1 / math.sqrt(inputs)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


def attentions(model: T5ForConditionalGeneration, site: Site) -> list[T5Attention]:
    """The attention modules of a site, first layer first."""
    blocks = stack_of(model, site).block
    if site == "cross":
        return [block.layer[1].EncDecAttention for block in blocks]
    return [block.layer[0].SelfAttention for block in blocks]


def stack_of(model: T5ForConditionalGeneration, site: Site) -> T5Stack:
    """The encoder or the decoder, whichever holds the site."""
    return model.encoder if site == "encoder" else model.decoder


@final
class PrefixAdapter(Adapter):
    """Prefixes at some sites of a model.

    The prefix modules live in `model.prefixes`; hooks hand each attention its layer's share.
    """

    def __init__(
        self, model: T5ForConditionalGeneration, prefixes: dict[Site, nn.Module], *, relative_positions: bool
    ) -> None:
        self._model = model
        self._attention = model.config._attn_implementation
        self._current: dict[Site, Tensor] = {}
        model.prefixes = nn.ModuleDict({str(site): prefix for site, prefix in prefixes.items()})
        model.set_attn_implementation(_ATTENTION)
        self._hooks = [hook for site in prefixes for hook in self._hooked(site, relative_positions)]

    def _hooked(self, site: Site, relative_positions: bool) -> Iterator[RemovableHandle]:
        def refresh(stack: nn.Module, inputs: object) -> None:
            # once for all layers of a forward pass
            self._current[site] = self._model.prefixes[site]()

        def release(stack: nn.Module, inputs: object, output: object) -> None:
            del self._current[site]

        stack = stack_of(self._model, site)
        yield stack.register_forward_pre_hook(refresh)
        yield stack.register_forward_hook(release, always_call=True)
        layers = attentions(self._model, site)
        bias = layers[0] if relative_positions and site != "cross" else None
        for index, attention in enumerate(layers):
            yield attention.register_forward_pre_hook(self._handing(site, index, bias), with_kwargs=True)

    def _handing(self, site: Site, index: int, bias: T5Attention | None) -> Any:
        def hand(module: nn.Module, inputs: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            keys, values = self._current[site][index]
            return inputs, kwargs | {"prefix": LayerPrefix(keys, values, bias)}

        return hand

    def parameters(self) -> list[nn.Parameter]:  # noqa: D102
        return list(self._model.prefixes.parameters())

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """Keys and values of each site: [L, 2, P, heads, d_kv]."""
        return {site: prefix().contiguous() for site, prefix in self._model.prefixes.items()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:  # noqa: D102
        for site, prefix in self._model.prefixes.items():
            prefix.key_values.copy_(tensors[site])

    def fold(self) -> None:  # noqa: D102
        for site, key_values in self.stored().items():
            self._model.prefixes[site] = DirectPrefix(key_values.clone())

    def deployed(self) -> int:  # noqa: D102
        return sum(key_values.numel() for key_values in self.stored().values())

    def detach(self) -> None:  # noqa: D102
        for hook in self._hooks:
            hook.remove()
        del self._model.prefixes
        self._model.set_attn_implementation(self._attention)


def attach(
    model: T5ForConditionalGeneration,
    spec: PrefixSpec,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> PrefixAdapter:
    """Prefixes at the sites of the spec, in float32.

    Geometry comes from `num_heads` and `d_kv` alone: their product need not be `d_model`.
    """
    prefixes: dict[Site, nn.Module] = {}
    words = _word_key_values(model, spec, generator, tokenizer) if spec.init == "vocabulary" else {}
    for site in spec.sites:
        layers = len(attentions(model, site))
        shape = torch.Size([layers, 2, spec.length, model.config.num_heads, model.config.d_kv])
        if spec.projection is not None:
            prefix: nn.Module = ProjectedPrefix(shape, spec.projection, generator)
        else:
            prefix = DirectPrefix(words[site] if words else torch.randn(shape, generator=generator))
        prefixes[site] = prefix.to(device=model.device, dtype=torch.float32)
    return PrefixAdapter(model, prefixes, relative_positions=spec.relative_positions)


@torch.no_grad()
def _word_key_values(
    model: T5ForConditionalGeneration,
    spec: PrefixSpec,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> dict[Site, Tensor]:
    """The keys and values that the base computes for P real words: [L, 2, P, heads, d_kv] a site."""
    if tokenizer is None:
        raise TypeError("init: vocabulary needs the tokenizer")
    ids = torch.tensor([sampled_pieces(tokenizer, spec.length, generator)], device=model.device)
    shape = (1, spec.length, model.config.num_heads, model.config.d_kv)
    seen: dict[Site, list[Tensor]] = {site: [] for site in spec.sites}
    with _listening(model, seen):
        model(input_ids=ids, decoder_input_ids=ids, use_cache=False)
    return {
        site: torch.cat([linear.view(shape) for linear in outputs]).view(-1, 2, *shape[1:])
        for site, outputs in seen.items()
    }


@contextmanager
def _listening(model: T5ForConditionalGeneration, heard: dict[Site, list[Tensor]]) -> Iterator[None]:
    """Collects the outputs of k and v, layer by layer, of the sites asked for, with dropout off."""
    hooks = [
        linear.register_forward_hook(lambda module, inputs, output, outputs=outputs: outputs.append(output))
        for site, outputs in heard.items()
        for attention in attentions(model, site)
        for linear in (attention.k, attention.v)
    ]
    training = model.training
    model.eval()
    yield
    model.train(training)
    for hook in hooks:
        hook.remove()
