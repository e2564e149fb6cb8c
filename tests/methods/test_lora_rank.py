"""Cutting a trained LoRA: against dense singular value decompositions, and as a saved method."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from helpers.models import batch, tiny
from tuneoff.families import family_of
from tuneoff.methods import AdaptedModel, attach, load, save
from tuneoff.methods.lora_rank import cut, decomposed, ranks
from tuneoff.spec import LoraSpec, Method, PromptSpec, StackSpec

LAYERS = {"first": (7, 5, 3), "second": (4, 12, 3), "third": (9, 9, 2)}
"""Sizes out, in and r of layers that LoRA updates."""


def stored(scales: dict[str, float] | None = None) -> dict[str, Tensor]:
    """Random matrices of each layer, as `AdaptedModel.stored` names them."""
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for layer, (outside, inside, rank) in LAYERS.items():
        scale = (scales or {}).get(layer, 1.0)
        tensors[f"lora.{layer}.lora_A"] = scale * torch.randn(rank, inside, generator=generator)
        tensors[f"lora.{layer}.lora_B"] = torch.randn(outside, rank, generator=generator)
    return tensors


def product(tensors: dict[str, Tensor], layer: str) -> Tensor:
    """B A of a layer, in float64; zero where the layer is left out."""
    if f"lora.{layer}.lora_A" not in tensors:
        return torch.zeros(LAYERS[layer][:2], dtype=torch.float64)
    return tensors[f"lora.{layer}.lora_B"].double() @ tensors[f"lora.{layer}.lora_A"].double()


def parameters(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def test_with_everything_kept_the_products_are_equal() -> None:
    before = stored()
    after = cut(before, keep=1.0)
    assert parameters(after) == parameters(before)
    for layer in LAYERS:
        torch.testing.assert_close(product(after, layer), product(before, layer), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("outside", "inside", "rank"), [(7, 5, 3), (2, 9, 4), (9, 2, 4), (3, 3, 5)])
def test_singular_values_are_those_of_the_dense_product(outside: int, inside: int, rank: int) -> None:
    generator = torch.Generator().manual_seed(2)
    a, b = torch.randn(rank, inside, generator=generator), torch.randn(outside, rank, generator=generator)
    expected = torch.linalg.svdvals(b.double() @ a.double())[: min(outside, inside, rank)]
    torch.testing.assert_close(decomposed(a, b).values, expected)


@pytest.mark.parametrize("keep", [0.9, 0.6, 0.35, 0.15])
def test_what_is_kept_is_what_one_threshold_over_dense_decompositions_leaves(keep: float) -> None:
    before = stored({"second": 0.3})
    dense = {layer: torch.linalg.svd(product(before, layer), full_matrices=False) for layer in LAYERS}
    pooled = sorted((float(value) for _, values, _ in dense.values() for value in values), reverse=True)

    def above(threshold: float) -> dict[str, int]:
        return {layer: int((values >= threshold).sum()) for layer, (_, values, _) in dense.items()}

    def cost(kept: dict[str, int]) -> int:
        return sum(rank * (LAYERS[layer][0] + LAYERS[layer][1]) for layer, rank in kept.items())

    # the lowest of all thresholds that are a singular value and leave few enough
    ends = [threshold for threshold in pooled if cost(above(threshold)) <= keep * parameters(before)]
    expected = above(min(ends))
    after = cut(before, keep=keep)
    assert ranks(after) == {layer: rank for layer, rank in expected.items() if rank}
    for layer, (left, values, right) in dense.items():
        rank = expected[layer]
        nearest = left[:, :rank] @ values[:rank].diag() @ right[:rank]
        torch.testing.assert_close(product(after, layer), nearest, rtol=1e-5, atol=1e-5)


def test_fewer_parameters_are_stored_the_less_is_kept_and_never_more_than_asked() -> None:
    before = stored()
    counts = [parameters(cut(before, keep=share / 40)) for share in range(1, 41)]
    assert counts == sorted(counts)
    assert all(count <= parameters(before) * share / 40 for share, count in enumerate(counts, start=1))
    assert counts[0] == 0
    assert len(set(counts)) == sum(rank for _, _, rank in LAYERS.values()) + 1  # each threshold occurs


def test_a_layer_of_small_values_falls_to_no_rank_and_is_left_out() -> None:
    after = cut(stored({"second": 1e-3}), keep=0.6)
    assert "second" not in ranks(after)
    assert not any("second" in name for name in after)


def test_other_parts_of_a_stack_stay_as_they_are() -> None:
    prompt = torch.ones(3, 4)
    after = cut(stored() | {"prompt.prompt": prompt}, keep=0.3)
    assert torch.equal(after["prompt.prompt"], prompt)
    assert parameters(after) - prompt.numel() <= 0.3 * parameters(stored())


LORA = LoraSpec(kind="lora", rank=4, alpha=8, targets="all-linear")
STACK = StackSpec(kind="stack", parts=(LORA, PromptSpec(kind="prompt", length=2, init="random")))


def trained(model: PreTrainedModel, method: Method) -> AdaptedModel:
    """The method with random matrices in place of trained ones."""
    adapted = attach(model, method, generator=torch.Generator().manual_seed(0), tokenizer=None)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapted.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return adapted


@torch.no_grad()
def logits(adapted: AdaptedModel) -> Tensor:
    data = batch(prompt_ids=adapted.prompt_ids, seed=9)
    return adapted.family.logits(adapted.family.read_and_predict(**data)[data["labels"] >= 0])


@pytest.mark.parametrize("kind", ["flan", "llama", "gpt2"])
def test_with_everything_kept_the_logits_are_equal(kind: str) -> None:
    adapted = trained(tiny(kind), LORA)
    before = logits(adapted)
    adapted.restore(cut(adapted.stored(), keep=1.0))
    torch.testing.assert_close(logits(adapted), before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", [LORA, STACK], ids=["lora", "stack"])
def test_a_cut_method_is_the_model_with_the_nearest_products_added_to_its_weights(method: Method) -> None:
    adapted = trained(tiny("llama"), method)
    whole = adapted.stored()
    after = cut(whole, keep=0.3)
    assert len(ranks(after)) < len(ranks(whole))  # some layer has fallen to no rank
    adapted.restore(after)
    found = logits(adapted)

    merged = trained(tiny("llama"), method)
    merged.restore({name: tensor for name, tensor in whole.items() if not name.startswith("lora.")})
    with torch.no_grad():
        for layer, rank in ranks(after).items():
            a, b = whole[f"lora.{layer}.lora_A"], whole[f"lora.{layer}.lora_B"]
            left, values, right = torch.linalg.svd(b @ a, full_matrices=False)
            change = left[:, :rank] @ values[:rank].diag() @ right[:rank]
            merged.model.get_submodule(layer).weight += LORA.alpha / LORA.rank * change
    torch.testing.assert_close(found, logits(merged), rtol=1e-4, atol=1e-4)


def test_a_cut_method_is_saved_and_loaded_with_equal_logits_and_can_be_whole_again(tmp_path: Path) -> None:
    adapted = trained(tiny("flan"), LORA)
    whole, before = adapted.stored(), logits(adapted)
    adapted.restore(cut(whole, keep=0.2))
    save(adapted, tmp_path / "adapter")
    loaded = load(tiny("flan"), tmp_path / "adapter")
    assert ranks(loaded.stored()) == ranks(adapted.stored())
    assert torch.equal(logits(loaded), logits(adapted))
    assert {id(one) for one in loaded.parameters()} == {
        id(one) for one in loaded.model.parameters() if one.requires_grad
    }
    adapted.restore(whole)
    assert torch.equal(logits(adapted), before)


def test_detached_after_a_cut_the_base_is_as_it_was() -> None:
    model = tiny("flan")
    family = family_of(model)
    with torch.no_grad():
        before = family.logits(family.read_and_predict(**batch()))
    adapted = trained(model, LORA)
    adapted.restore(cut(adapted.stored(), keep=0.2))
    adapted.detach()
    with torch.no_grad():
        assert torch.equal(family.logits(family.read_and_predict(**batch())), before)
