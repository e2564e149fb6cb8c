"""The lower layers of a decoder-only model, where only layers above them are trained."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tuneoff.families.dropout import has_dropout
from tuneoff.families.listening import recorded


@final
class LowerLayers:
    """The embeddings and the lowest layers of a stack; a `FrozenPart`.

    A forward pass of the whole model does the work, with other layers in its list: only the lowest to compute
    their output, what stands for them to go on from it. So embeddings, positions and masks stay the model's.
    """

    reads_target = True
    is_read_by_products_alone = False

    def __init__(self, model: PreTrainedModel, layers: str, count: int) -> None:
        """Take the name of the list of layers in the model without its head, and the number of the lowest."""
        self._base: Any = model.base_model
        self._holder, _, self._name = layers.rpartition(".")
        self._layers: nn.ModuleList = self._base.get_submodule(layers)
        self._prefixes = tuple(f"{layers}.{number}." for number in range(count, len(self._layers)))
        self._count = count

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the output of the last of them: [N, S] -> [N, S, H]. Padding is on the right."""
        last = self._layers[self._count - 1]
        with self._layers_replaced([*self._layers][: self._count]), recorded([last]) as outputs:
            # no token that counts sees padding after it, so no mask is needed
            self._base(input_ids=input_ids, use_cache=False)
        return _hidden(outputs[last])

    @contextmanager
    def computed(self, outputs: Tensor) -> Iterator[None]:
        """Take what `encode` returned in place of computing it, in the forward pass of the context."""
        given = _Given(outputs)
        with self._layers_replaced([given] * self._count + [*self._layers[self._count :]]):
            yield

    def tensors(self) -> Iterator[Tensor]:
        """Return all weights that the output depends on."""
        for name, tensor in self._base.state_dict().items():
            if not name.startswith(self._prefixes):
                yield tensor

    def reads_with_dropout(self) -> bool:
        """Return whether the output is random in training."""
        above = self._prefixes
        modules = self._base.named_modules()
        return has_dropout(module for name, module in modules if not f"{name}.".startswith(above))

    @contextmanager
    def _layers_replaced(self, layers: Sequence[nn.Module]) -> Iterator[None]:
        holder = self._base.get_submodule(self._holder)
        setattr(holder, self._name, nn.ModuleList(layers))
        try:
            yield
        finally:
            setattr(holder, self._name, self._layers)


def count_frozen(model: PreTrainedModel, layers: Sequence[nn.Module]) -> int:
    """Return how many layers, from the lowest on, have an output that nothing trained affects."""
    token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    with torch.enable_grad(), recorded(layers) as outputs:
        model.base_model(input_ids=token, use_cache=False)
    # autograd knows: such an output needs no gradient
    needs_gradient = [_hidden(outputs[layer]).requires_grad for layer in layers]
    return [*needs_gradient, True].index(True)


class _Given(nn.Module):
    """A layer whose output is known: [B, T, H]."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self._output = output

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._output


def _hidden(output: Any) -> Tensor:
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden
