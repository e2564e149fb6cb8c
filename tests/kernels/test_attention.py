import pytest
import torch
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from tuneoff.kernels import SharedMasks, attend

NEARLY_NONE = 1e-9
"""A probability of dropout at which attention is computed explicitly and nothing is dropped."""


class Site(nn.Module):
    def __init__(self, is_causal):
        super().__init__()
        self.is_causal = is_causal


def tensors(queries, keys, *, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, requires_grad=True)

    return {
        "query": normal(2, 3, queries, 4),
        "key": normal(2, 3, keys, 4),
        "value": normal(2, 3, keys, 4),
        "position_bias": normal(1, 3, queries, keys),
    }


def visible(queries, keys):
    """Return a mask that hides the end of the second row."""
    mask = torch.ones(2, 1, queries, keys, dtype=torch.bool)
    mask[1, ..., -2:] = False
    return mask


CASES = {
    "encoder": (False, 5, 5, visible(5, 5)),
    "nothing padded": (False, 5, 5, None),
    "decoder": (True, 5, 5, None),
    "one step of generation": (True, 1, 6, None),
    "cross": (False, 4, 7, visible(4, 7)),
    "an additive mask": (False, 4, 7, torch.randn(2, 1, 4, 7)),
}


@pytest.mark.parametrize("dropout", [0.0, NEARLY_NONE], ids=["fused", "explicit"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_outputs_and_gradients_equal_those_of_transformers(case, dropout):
    is_causal, queries, keys, mask = case
    results = []
    for function in (attend, sdpa_attention_forward):
        inputs = tensors(queries, keys)
        out, _ = function(Site(is_causal), attention_mask=mask, dropout=dropout, scaling=1.0, **inputs)
        out.square().sum().backward()
        results.append((out, {name: tensor.grad for name, tensor in inputs.items()}))
    torch.testing.assert_close(results[0], results[1])


def test_queries_after_cached_ones_see_all_that_came_before():
    inputs = tensors(2, 6)
    out, _ = attend(Site(is_causal=True), attention_mask=None, **inputs)
    first = {name: tensor[:, :, :1] if name == "query" else tensor for name, tensor in inputs.items()}
    first |= {"key": inputs["key"][:, :, :5], "value": inputs["value"][:, :, :5]}
    first["position_bias"] = inputs["position_bias"][:, :, :1, :5]
    alone, _ = attend(Site(is_causal=False), attention_mask=None, **first)
    torch.testing.assert_close(out[:, :1], alone)


def test_another_mask_on_the_same_bias_is_not_taken_for_the_first():
    inputs, masks = tensors(5, 5), SharedMasks()
    outs = [
        attend(Site(is_causal=False), attention_mask=mask, masks=masks, **inputs)[0]
        for mask in (None, visible(5, 5))
    ]
    expected, _ = sdpa_attention_forward(
        Site(is_causal=False), attention_mask=visible(5, 5), scaling=1.0, **inputs
    )
    torch.testing.assert_close(outs[1], expected)
    assert not torch.equal(outs[0], outs[1])


def test_bias_and_mask_are_joined_once_for_all_layers():
    masks, calls = SharedMasks(), []
    bias, mask = torch.zeros(1, 3, 5, 5), visible(5, 5)

    def compute():
        calls.append(1)
        return torch.zeros(1)

    first = masks.once(bias, mask, compute)
    assert masks.once(bias, mask, compute) is first
    assert masks.once(bias.clone(), mask, compute) is not first
    assert len(calls) == 2


def test_weights_are_dropped_in_training():
    torch.manual_seed(0)
    inputs = tensors(5, 5)
    outs = [attend(Site(is_causal=False), attention_mask=None, dropout=0.5, **inputs)[0] for _ in range(2)]
    assert not torch.equal(*outs)
