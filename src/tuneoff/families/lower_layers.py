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

    def __init__(self, stack: Any, name: str, count: int) -> None:
        """Take the stack, the name of its list of layers, and the number of the lowest."""
        self._stack, self._name, self._count = stack, name, count
        self._layers: nn.ModuleList = getattr(stack, name)
        self._above = tuple(f"{name}.{number}." for number in range(count, len(self._layers)))

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the output of the last of them: [N, S] -> [N, S, H]. Padding is on the right."""
        last = self._layers[self._count - 1]
        with self._layers_replaced([*self._layers][: self._count]), recorded([last]) as outputs:
            # no token that counts sees padding after it, so no mask is needed
            self._stack(input_ids=input_ids, use_cache=False)
        return _hidden(outputs[last])

    @contextmanager
    def computed(self, outputs: Tensor) -> Iterator[None]:
        """Take what `encode` returned in place of computing it, in the forward pass of the context."""
        given = _Given(outputs)
        with self._layers_replaced([given] * self._count + [*self._layers[self._count :]]):
            yield

    def tensors(self) -> Iterator[Tensor]:
        """Return all weights that the output depends on."""
        for name, tensor in self._stack.state_dict().items():
            if not name.startswith(self._above):
                yield tensor

    def reads_with_dropout(self) -> bool:
        """Return whether the output is random in training."""
        modules = self._stack.named_modules()
        return has_dropout(module for name, module in modules if not f"{name}.".startswith(self._above))

    @contextmanager
    def _layers_replaced(self, layers: Sequence[nn.Module]) -> Iterator[None]:
        setattr(self._stack, self._name, nn.ModuleList(layers))
        try:
            yield
        finally:
            setattr(self._stack, self._name, self._layers)


def count_frozen(stack: PreTrainedModel, layers: Sequence[nn.Module]) -> int:
    """Return how many layers of a stack, from the lowest on, have an output that nothing trained affects."""
    token = torch.zeros(1, 1, dtype=torch.long, device=stack.device)
    with torch.enable_grad(), recorded(layers) as outputs:
        stack(input_ids=token, use_cache=False)
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
