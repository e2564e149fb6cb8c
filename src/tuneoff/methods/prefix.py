"""Prefix-tuning (Li & Liang 2021, arXiv:2101.00190) at any attention of a model.

Trained keys and values are prepended to those of the text: in an encoder-decoder at the encoder's
self-attention, the decoder's self-attention and the decoder's attention to the encoder (cross). `attend` does
this. It takes the place of the model's attention function and is called after the cache update, so generation
never caches a prefix.

A gated prefix (Mao et al. 2022, UniPELT, arXiv:2110.07577) has, for each token of the text, keys and values
multiplied by the token's gate. In the authors' code all tokens share the mean of their gates, through which a
decoder's token would depend on those after it; here each has its own.

A semantic prefix (Prottasha et al. 2024, SK-Tuning, arXiv:2410.08598) is the keys and values that the frozen
model computes for a meaningful text, passed through a linear layer that all layers share. As in the authors'
code this layer alone is trained. Their classification head on the mean hidden state is left out: answers are
scored by their likelihood or generated, as with every other method.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from tuneoff import kernels
from tuneoff.errors import StudyError
from tuneoff.families import Family
from tuneoff.families.listening import without_dropout
from tuneoff.methods.adapter import Adapter
from tuneoff.methods.vocabulary import repeated_tokens, sampled_tokens
from tuneoff.spec import PrefixSpec, Site

_ATTENTION = "tuneoff_prefix"


class LayerPrefix(NamedTuple):
    """The prefix of one attention layer."""

    keys: Tensor
    """[P, heads, d_kv]"""
    values: Tensor
    """[P, heads, d_kv]"""
    bias: Callable[..., Tensor] | None
    """The position bias towards the prefix, where it has positions."""
    gate: Tensor | None = None
    """What each query multiplies keys and values by: [B, Q, 1]"""


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    position_bias: Tensor | None = None,
    prefix: LayerPrefix | None = None,
    masks: kernels.SharedMasks | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Compute scaled dot-product attention over the prefix and the text.

    Shapes: query [B, heads, Q, d_kv]; key and value [B, heads, K, d_kv], cached ones included;
    attention_mask [B, 1, Q, K] or None; position_bias [1, heads, Q, K] -> [B, Q, heads, d_kv].
    """
    if prefix is None:
        return kernels.attend(
            module, query, key, value, attention_mask, position_bias=position_bias, masks=masks, **kwargs
        )
    masks = masks or kernels.SharedMasks()
    causal_sizes = (query.shape[2], key.shape[2]) if module.is_causal else None

    def extended() -> tuple[Tensor | None, Tensor | None]:
        return _extended(prefix, position_bias, attention_mask, causal_sizes)

    # without bias and mask, nothing distinguishes the calls of one site from those of another
    is_known = position_bias is not None or attention_mask is not None
    mask, bias = masks.once(position_bias, attention_mask, extended) if is_known else extended()
    # the mask says it all
    rest = {"position_bias": bias, "is_causal": False, "masks": masks, **kwargs}
    if prefix.gate is not None:
        return _gated(module, query, key, value, mask, prefix, prefix.gate, **rest), None
    keys, values = _prepended(prefix.keys, key), _prepended(prefix.values, value)
    return kernels.attend(module, query, keys, values, mask, **rest)


def _gated(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    prefix: LayerPrefix,
    gate: Tensor,
    **rest: Any,
) -> Tensor:
    """Compute `attend` where each query has its own multiple of the prefix, `gate` [B, Q, 1].

    It is one attention with heads twice as wide, of which the text has one half and the prefix the other:
    [q, g q] [k, 0] = q k, [q, g q] [0, k'] = q (g k'), and the output is [o, o'], which makes o + g o'.
    """
    width = query.shape[3]
    gate = gate.to(query.dtype)[:, None]  # [B, 1, Q, 1]
    keys, values = (
        _prepended(F.pad(before, (width, 0)), F.pad(text, (0, width)))
        for before, text in ((prefix.keys, key), (prefix.values, value))
    )
    wide = torch.cat([query, gate * query], dim=3)
    output: Tensor = kernels.attend(module, wide, keys, values, mask, **rest)[0]
    of_text, of_prefix = torch.split(output, width, dim=3)  # [B, Q, heads, d_kv]
    return of_text + gate.transpose(1, 2) * of_prefix


def _extended(
    prefix: LayerPrefix,
    position_bias: Tensor | None,
    attention_mask: Tensor | None,
    causal_sizes: tuple[int, int] | None,
) -> tuple[Tensor | None, Tensor | None]:
    """Prepend P columns to mask and bias, equal for all layers: every query sees the whole prefix."""
    length = len(prefix.keys)
    if attention_mask is None and causal_sizes is not None:
        attention_mask = kernels.causal_mask(*causal_sizes, prefix.keys.device)
    if attention_mask is not None:
        visible = True if attention_mask.dtype == torch.bool else 0.0
        attention_mask = F.pad(attention_mask, (length, 0), value=visible)
    if position_bias is None:
        return attention_mask, None
    columns = _prefix_bias(prefix.bias, position_bias, length)
    return attention_mask, torch.cat([columns, position_bias], dim=3)  # [1, heads, Q, P + K]


def _prepended(prefix: Tensor, text: Tensor) -> Tensor:
    """`prefix`: [P, heads, d_kv], `text`: [B, heads, K, d_kv] -> [B, heads, P + K, d_kv]."""
    rows = prefix.to(text.dtype).transpose(0, 1).expand(text.shape[0], -1, -1, -1)
    return torch.cat([rows, text], dim=2)


def _prefix_bias(before_text: Callable[..., Tensor] | None, position_bias: Tensor, length: int) -> Tensor:
    """Return the position bias towards a prefix of P: [1, heads, Q, P], zero where it has no positions."""
    _, heads, queries, keys = position_bias.shape
    if before_text is None:
        return position_bias.new_zeros(1, heads, queries, length)
    bias = before_text(queries=queries, keys=keys, length=length, device=position_bias.device)
    return bias.to(position_bias.dtype)


@final
class DirectPrefix(nn.Module):
    """Keys and values as they are: [L, 2, P, heads, d_kv]."""

    def __init__(self, key_values: Tensor) -> None:
        super().__init__()
        self.key_values = nn.Parameter(key_values)

    def forward(self) -> Tensor:
        """Return keys and values of all layers: [L, 2, P, heads, d_kv]."""
        return self.key_values


@final
class ProjectedPrefix(nn.Module):
    """Keys and values computed by an MLP from one embedding for each prefix position.

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
        """Return keys and values of all layers: [L, 2, P, heads, d_kv]."""
        layers, two, length, heads, d_kv = self.shape
        flat = self.output(torch.tanh(self.hidden(self.embedding)))
        return flat.view(length, layers, two, heads, d_kv).permute(1, 2, 0, 3, 4)


@final
class SemanticPrefix(nn.Module):
    """Keys and values of a text [L, 2, P, heads, d_kv], each passed through one layer [d_kv, d_kv]."""

    def __init__(self, key_values: Tensor, dropout: float) -> None:
        super().__init__()
        self.key_values: Tensor
        self.register_buffer("key_values", key_values)
        self.transform = nn.Parameter(torch.eye(key_values.shape[-1]))
        self.dropout = kernels.Dropout(dropout)

    def forward(self) -> Tensor:
        """Return keys and values of all layers: [L, 2, P, heads, d_kv]."""
        transformed: Tensor = self.dropout(F.linear(self.key_values, self.transform))
        return transformed


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """Create a linear layer with torch's default initialization, drawn from the given generator."""
    layer = nn.Linear(inputs, outputs)
    bound = 1 / math.sqrt(inputs)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


@final
class _SiteHooks:
    """The hooks of one site: compute its prefix once in each forward pass, and give each layer its share."""

    def __init__(
        self, family: Family, site: Site, gates: nn.ModuleList | None, *, relative_positions: bool
    ) -> None:
        self._model = family.model
        self._site = site
        self._gates = gates
        self._bias = family.bias_before_text(site) if relative_positions else None
        self._key_values: Tensor | None = None
        stack = family.stack(site)
        self._handles = [
            stack.register_forward_pre_hook(kernels.share_masks, with_kwargs=True),
            stack.register_forward_pre_hook(self._compute),
            stack.register_forward_hook(self._release, always_call=True),
        ]
        for index, attention in enumerate(family.attentions(site)):
            hook = partial(self._pass_on, index)
            self._handles.append(attention.register_forward_pre_hook(hook, with_kwargs=True))

    def _compute(self, stack: nn.Module, inputs: object) -> None:
        self._key_values = self._model.prefixes[self._site]()

    def _pass_on(
        self, index: int, attention: nn.Module, inputs: Any, kwargs: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        # an attention passes arguments that it does not know on to `attend`
        assert self._key_values is not None
        keys, values = self._key_values[index]
        bias = self._bias and partial(self._bias, layer=index)
        gate = None
        if self._gates is not None:
            gate = self._gates[index](inputs[0] if inputs else kwargs["hidden_states"])
        return inputs, kwargs | {"prefix": LayerPrefix(keys, values, bias, gate)}

    def _release(self, stack: nn.Module, inputs: object, output: object) -> None:
        # called after a failed forward pass, too: no graph of gradients outlives the pass
        self._key_values = None

    def remove(self) -> None:
        """Take all hooks off the model."""
        for handle in self._handles:
            handle.remove()


@final
class PrefixAdapter(Adapter):
    """Prefixes at some sites of a model.

    The prefix modules are in `model.prefixes`, the gates of each site, if there are any, in
    `model.prefix_gates`; hooks give each attention its layer's share.
    """

    def __init__(
        self,
        spec: PrefixSpec,
        family: Family,
        prefixes: dict[Site, nn.Module],
        gates: dict[Site, nn.ModuleList],
    ) -> None:
        super().__init__(spec)
        self._model = family.model
        self._model.prefixes = nn.ModuleDict({str(site): prefix for site, prefix in prefixes.items()})
        self._model.prefix_gates = nn.ModuleDict({str(site): each for site, each in gates.items()})
        self._attention_before = kernels.use_attention(self._model, attend, name=_ATTENTION)
        self._hooks = [
            _SiteHooks(family, site, gates.get(site), relative_positions=spec.relative_positions)
            for site in prefixes
        ]

    def parameters(self) -> list[nn.Parameter]:  # noqa: D102
        return [*self._model.prefixes.parameters(), *self._model.prefix_gates.parameters()]

    @torch.no_grad()
    def _key_values(self) -> dict[str, Tensor]:
        with without_dropout(self._model.prefixes):
            return {site: prefix().contiguous() for site, prefix in self._model.prefixes.items()}

    def stored(self) -> dict[str, Tensor]:
        """Return keys and values of each site [L, 2, P, heads, d_kv], and each gate [H] and []."""
        gates = {f"gates.{name}": value for name, value in self._model.prefix_gates.state_dict().items()}
        return self._key_values() | gates

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:  # noqa: D102
        for site, prefix in self._model.prefixes.items():
            prefix.key_values.copy_(tensors[site])
        for name, parameter in self._model.prefix_gates.named_parameters():
            parameter.copy_(tensors[f"gates.{name}"])

    def fold(self) -> None:  # noqa: D102
        for site, key_values in self._key_values().items():
            self._model.prefixes[site] = DirectPrefix(key_values.clone())

    def deployed(self) -> int:  # noqa: D102
        return sum(tensor.numel() for tensor in self.stored().values())

    def detach(self) -> None:  # noqa: D102
        for hooks in self._hooks:
            hooks.remove()
        del self._model.prefixes, self._model.prefix_gates
        self._model.set_attn_implementation(self._attention_before)


def attach(
    family: Family,
    spec: PrefixSpec,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> PrefixAdapter:
    """Put prefixes at the sites of the spec, in float32.

    Raises:
        StudyError: the model has no such site, or no position bias.
    """
    sites = spec.sites or family.sites
    _check(family, spec, sites)
    prefixes: dict[Site, nn.Module] = {}
    gates: dict[Site, nn.ModuleList] = {}
    words = _word_key_values(family, spec, sites, generator, tokenizer) if spec.init != "random" else {}
    for site in sites:
        layers = len(family.attentions(site))
        shape = torch.Size([layers, 2, spec.length, family.kv_heads, family.head_dim])
        prefix = _initial(spec, shape, words.get(site), generator)
        prefixes[site] = prefix.to(device=family.model.device, dtype=torch.float32)
        if spec.gate:
            width = family.stack(site).config.hidden_size
            gates[site] = nn.ModuleList(kernels.Gate(width) for _ in range(layers)).to(family.model.device)
    return PrefixAdapter(spec.model_copy(update={"sites": sites}), family, prefixes, gates)


def _initial(
    spec: PrefixSpec, shape: torch.Size, words: Tensor | None, generator: torch.Generator
) -> nn.Module:
    """Return the module that computes the keys and values of a site, `shape`: [L, 2, P, heads, d_kv]."""
    if spec.projection is not None:
        return ProjectedPrefix(shape, spec.projection, generator)
    if words is None:
        return DirectPrefix(torch.randn(shape, generator=generator))
    return SemanticPrefix(words.float(), spec.dropout) if spec.semantic else DirectPrefix(words)


def _check(family: Family, spec: PrefixSpec, sites: tuple[Site, ...]) -> None:
    """Refuse what the model does not have."""
    missing = [site for site in sites if site not in family.sites]
    if missing:
        raise StudyError(
            f"a prefix must be at a site of the model, but got {missing[0]}, and this one has "
            f"{', '.join(family.sites)}; leave out sites for all that it has"
        )
    if spec.relative_positions and all(family.bias_before_text(site) is None for site in family.sites):
        raise StudyError(
            "relative_positions are those of a position bias, but this model has none; leave "
            "relative_positions out"
        )


def _word_key_values(
    family: Family,
    spec: PrefixSpec,
    sites: tuple[Site, ...],
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> dict[Site, Tensor]:
    """Return the keys and values that the base computes for P real words: [L, 2, P, heads, d_kv] a site."""
    if tokenizer is None:
        raise TypeError(f"init: {spec.init} needs the tokenizer")
    if spec.init_text is not None:
        ids = repeated_tokens(spec.init_text, tokenizer, spec.length)
    else:
        ids = sampled_tokens(tokenizer, spec.length, generator)
    return family.key_values(torch.tensor([ids], device=family.model.device), sites)
