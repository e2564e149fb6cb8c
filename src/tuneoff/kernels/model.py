"""The faster modules, put into a model."""

from collections.abc import Iterable

from torch import nn
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation

from tuneoff.kernels.attention import attend, name_attention, share_masks, use_attention
from tuneoff.kernels.dropout import Dropout
from tuneoff.kernels.feed_forward import FeedForward, is_feed_forward
from tuneoff.kernels.norm import RmsNorm, is_rms_norm

ATTENTION = "tuneoff"
"""The name under which a model chooses `attend`."""
name_attention(attend, ATTENTION)  # now, for models that another process has made fast and sent


def use_fast_modules(model: PreTrainedModel, *, stacks: Iterable[nn.Module]) -> None:
    """Replace dropout, attention, activations, norms and T5's feed-forwards; weights and names stay.

    The layers of each of the `stacks` share masks and position biases.
    """
    for parent in reversed(list(model.modules())):  # parts first, as what replaces a module takes its parts
        for name, child in list(parent.named_children()):
            faster = _faster(child, parent)
            if faster is not None:
                setattr(parent, name, faster.train(child.training))
    for stack in stacks:
        stack.register_forward_pre_hook(share_masks, with_kwargs=True)
    use_attention(model, attend, name=ATTENTION)


def _faster(module: nn.Module, parent: nn.Module) -> nn.Module | None:
    if type(module) is nn.Dropout:
        return Dropout(module.p)
    if isinstance(module, NewGELUActivation):
        # the same function as one operation instead of eight
        return nn.GELU(approximate="tanh")
    if is_feed_forward(module):
        return FeedForward(module)
    if is_rms_norm(module):
        # that of a whole stack is read in other ways, too; products read those within its layers
        return RmsNorm(module, read_by_products=not isinstance(parent, PreTrainedModel))
    return None
