"""Bottleneck adapters: h + scale U f(D x + d) + u at the output h of a sublayer of each layer.

- houlsby: after every attention, that to the encoder too, and after every feed-forward network, x = h
  (Houlsby et al. 2019, arXiv:1902.00751);
- pfeiffer: after the feed-forward network alone, x = h (Pfeiffer et al. 2021, arXiv:2005.00247);
- parallel: beside the feed-forward network, x is what it reads, scale 4 (He et al. 2022, arXiv:2110.04366).

As Houlsby et al. have it, h is what comes out of the projection back to the model's width, before it is
added to what goes past it: a norm after that projection (Gemma's) reads h with the adapter, and a dropout
after it is a dropout of both. A parallel adapter reads what the network itself reads, after the norm in a
model that normalizes first; AdapterHub's reads what is before that norm, and its Pfeiffer adapter reads h
with what goes past the network. U, u and d are zero at first, so
that the model computes what it did, and D is drawn as LoRA's A, as He et al. have it for all adapters. Norms
stay frozen as in AdapterHub, while Houlsby et al. train them.
"""

import math
from collections.abc import Callable
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tuneoff.errors import StudyError, UnfitError
from tuneoff.families import Family, Sublayer
from tuneoff.kernels import Gate
from tuneoff.methods.adapter import Adapter
from tuneoff.spec import BottleneckSpec

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "swish": F.silu}
_PARALLEL_SCALE = 4.0
"""He et al. 2022, section 4.6."""


@final
class Bottleneck(nn.Module):
    """One adapter: D and d: [b, H] and [b], U and u: [H, b] and [H]."""

    def __init__(self, width: int, inner: int, spec: BottleneckSpec, generator: torch.Generator) -> None:
        super().__init__()
        self.down = nn.Linear(width, inner)
        self.up = nn.Linear(inner, width)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5), generator=generator)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)
        self.gate = Gate(width) if spec.gate else None
        self._activation = _ACTIVATIONS[spec.activation]
        self._scale = spec.scale

    def forward(self, x: Tensor, sublayer_input: Tensor | None) -> Tensor:
        """Return what is added for `x` [..., H]; the gate reads `sublayer_input` [..., H]."""
        inside = self._activation(self.down(x.to(self.down.weight.dtype)))
        added: Tensor = self.up(inside) * self._scale
        return added if self.gate is None else added * self.gate(sublayer_input)


@final
class _Hooks:
    """The hooks that put one adapter at a sublayer."""

    def __init__(self, sublayer: Sublayer, bottleneck: Bottleneck, *, is_parallel: bool) -> None:
        self._bottleneck = bottleneck
        self._is_parallel = is_parallel
        self._input: Tensor | None = None
        self._handles = [sublayer.ends.register_forward_hook(self._add)]
        if is_parallel or bottleneck.gate is not None:
            self._handles.append(sublayer.reads.register_forward_pre_hook(self._keep, with_kwargs=True))

    def _keep(self, module: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._input = inputs[0] if inputs else kwargs.get("hidden_states")
        if self._input is None:
            raise UnfitError(
                f"a gate reads what attention reads, but {type(module).__name__} does not name that "
                "hidden_states; leave gate out"
            )

    def _add(self, module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        x = self._input if self._is_parallel else output
        assert x is not None
        added = self._bottleneck(x, self._input)
        self.forget()
        return (output + added).to(output.dtype)

    def forget(self) -> None:
        """Let go of the sublayer's input."""
        self._input = None

    def remove(self) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()


@final
class BottleneckAdapter(Adapter):
    """Bottlenecks at sublayers; the modules are in `model.bottlenecks`."""

    def __init__(
        self, spec: BottleneckSpec, family: Family, placed: list[tuple[Sublayer, Bottleneck]]
    ) -> None:
        super().__init__(spec)
        self._model: PreTrainedModel = family.model
        names = {module: name for name, module in family.model.named_modules()}
        self._by_name = {names[sublayer.ends]: bottleneck for sublayer, bottleneck in placed}
        self._model.bottlenecks = nn.ModuleList(self._by_name.values())
        is_parallel = spec.placement == "parallel"
        self._hooks = [
            _Hooks(sublayer, bottleneck, is_parallel=is_parallel) for sublayer, bottleneck in placed
        ]
        # after a failed forward pass, too: no graph of gradients outlives the pass
        self._handles = [
            stack.register_forward_hook(self._forget, always_call=True)
            for stack in dict.fromkeys(family.stack(site) for site in family.sites)
        ]

    def _forget(self, stack: nn.Module, inputs: object, output: object) -> None:
        for hooks in self._hooks:
            hooks.forget()

    def _tensors(self) -> dict[str, nn.Parameter]:
        return {
            f"{name}.{end}": parameter
            for name, bottleneck in self._by_name.items()
            for end, parameter in bottleneck.named_parameters()
        }

    def parameters(self) -> list[nn.Parameter]:  # noqa: D102
        return list(self._tensors().values())

    def stored(self) -> dict[str, Tensor]:
        """Return the weights of each adapter, by the name of the layer that its sublayer ends with."""
        return {name: value.detach() for name, value in self._tensors().items()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:  # noqa: D102
        for name, parameter in self._tensors().items():
            parameter.copy_(tensors[name])

    def fold(self) -> None:  # noqa: D102
        pass

    def deployed(self) -> int:  # noqa: D102
        return sum(parameter.numel() for parameter in self.parameters())

    def detach(self) -> None:  # noqa: D102
        for one in (*self._hooks, *self._handles):
            one.remove()
        del self._model.bottlenecks


def attach(
    family: Family,
    spec: BottleneckSpec,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> BottleneckAdapter:
    """Put adapters where the spec says, in float32, so that they change nothing at first.

    Raises:
        StudyError: the model is narrower than the reduction.
        UnfitError: the sublayers of the model are not known. With a gate the first forward pass may raise
            it, too.
    """
    width = family.reader.config.hidden_size
    if spec.reduction > width:
        raise StudyError(
            f"an adapter's reduction must not exceed the width of the model, {width:,} here, but got "
            f"reduction={spec.reduction}; lower it"
        )
    default = _PARALLEL_SCALE if spec.placement == "parallel" else 1.0
    spec = spec.model_copy(update={"scale": spec.scale or default})
    device = family.model.device
    placed = [
        (sublayer, Bottleneck(width, width // spec.reduction, spec, generator).to(device))
        for sublayer in family.sublayers()
        if sublayer.kind == "ffn" or spec.placement == "houlsby"
    ]
    return BottleneckAdapter(spec, family, placed)
