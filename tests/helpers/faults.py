"""How often freed memory is asked of the kernel again."""

import resource

import torch

from tuneoff.kernels import keep_freed_memory


def faults(keep: bool) -> int:
    """Pages asked of the kernel for 5 x 100 MB that are freed in turn, once the heap has grown.

    Small allocations in between can cut a freed block, so that the next large one lets the heap grow.
    """
    if keep:
        keep_freed_memory()
    for _ in range(4):
        _fill()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    _fill()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def _fill() -> None:
    for _ in range(5):
        torch.ones(25_000_000)
