"""Cut a trained LoRA to fewer ranks, each layer to its own (PARA, arXiv:2604.27796).

The singular values of all layers' updates B A are pooled and cut at one threshold: a layer keeps as many
ranks as it has values above it, which may be none. No data and no training are needed. LoRA's factor
alpha / rank is the same in all layers, so it changes neither their order nor the tensors, and stays as it is.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

_OF_LORA = "lora."
"""What the names of LoRA's tensors begin with in `AdaptedModel.stored`."""
_A, _B = ".lora_A", ".lora_B"


class Update(NamedTuple):
    """The update B A of a layer, in float64: its k = min(r, in, out) singular values, the largest first."""

    left: Tensor
    """Singular vectors, [out, k]."""
    values: Tensor
    """[k]."""
    right: Tensor
    """Singular vectors, [k, in]."""

    @property
    def parameters_per_rank(self) -> int:
        """Numbers that are stored for each rank: a column of B and a row of A."""
        return len(self.left) + self.right.shape[1]

    def matrices(self, rank: int) -> tuple[Tensor, Tensor]:
        """Return A [rank, in] and B [out, rank], whose product is the nearest to B A of this rank."""
        roots = self.values[:rank].sqrt()
        return roots[:, None] * self.right[:rank], self.left[:, :rank] * roots


def decomposed(a: Tensor, b: Tensor) -> Update:
    """Return the singular values and vectors of B A, from A [r, in] and B [out, r].

    B A = Q_b (R_b R_a^T) Q_a^T, and the matrix between the two bases is no larger than [r, r].
    """
    basis_b, small_b = torch.linalg.qr(b.double())  # [out, k], [k, r]
    basis_a, small_a = torch.linalg.qr(a.double().t())  # [in, k], [k, r]
    left, values, right = torch.linalg.svd(small_b @ small_a.t(), full_matrices=False)
    return Update(basis_b @ left, values, right @ basis_a.t())


def ranks(stored: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the rank of each layer that LoRA updates, by its name, from `AdaptedModel.stored`."""
    return {
        name.removeprefix(_OF_LORA).removesuffix(_A): len(tensor)
        for name, tensor in stored.items()
        if name.startswith(_OF_LORA) and name.endswith(_A)
    }


@torch.no_grad()
def cut(stored: Mapping[str, Tensor], *, keep: float) -> dict[str, Tensor]:
    """Cut the LoRA among the tensors of `AdaptedModel.stored`; return all, for `AdaptedModel.restore`.

    `keep` is the share of LoRA's stored parameters that may be left, up to 1. The largest singular values of
    all layers are kept, as many as fit into it; layers of which none is left are left out. With `keep` 1, the
    products B A are equal but for rounding. Other parts of a stack stay as they are.
    """
    layers = {
        layer: decomposed(stored[f"{_OF_LORA}{layer}{_A}"], stored[f"{_OF_LORA}{layer}{_B}"])
        for layer in ranks(stored)
    }
    left = ranks_within(
        layers, keep * sum(tensor.numel() for name, tensor in stored.items() if _is_lora(name))
    )
    found = {name: tensor for name, tensor in stored.items() if not _is_lora(name)}
    for layer, rank in left.items():
        if not rank:
            gate = f"{_OF_LORA}{layer}.gate."
            found = {name: tensor for name, tensor in found.items() if not name.startswith(gate)}
        else:
            for ending, matrix in zip((_A, _B), layers[layer].matrices(rank), strict=True):
                name = f"{_OF_LORA}{layer}{ending}"
                found[name] = matrix.to(stored[name].dtype).contiguous()
    return found


def ranks_within(layers: Mapping[str, Update], parameters: float) -> dict[str, int]:
    """Return the rank of each layer above the lowest threshold that leaves at most so many parameters."""
    values = torch.cat([update.values for update in layers.values()])
    costs = torch.cat([torch.full((len(one.values),), one.parameters_per_rank) for one in layers.values()])
    descending = values.argsort(descending=True, stable=True).cpu()
    is_kept = torch.zeros(len(values), dtype=torch.bool)
    is_kept[descending] = costs[descending].cumsum(0) <= parameters
    parts = torch.split(is_kept, [len(update.values) for update in layers.values()])
    return {layer: int(part.sum()) for layer, part in zip(layers, parts, strict=True)}


def _is_lora(name: str) -> bool:
    """Return whether a tensor is one of LoRA's matrices; a gate is none."""
    return name.startswith(_OF_LORA) and name.endswith((_A, _B))
