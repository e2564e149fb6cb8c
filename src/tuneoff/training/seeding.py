"""One seed of a study, split into named streams that do not disturb each other."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch

Stream = Literal["init", "order", "dropout", "subsample"]
"""init: first weights of a method; order: batches; dropout: masks; subsample: which training rows."""


def stream_seed(seed: int, stream: Stream) -> int:
    """A seed for one stream: equal for equal arguments, on every platform."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def stream_seeds(seed: int) -> dict[str, int]:
    """The seeds of all streams, by name."""
    return {stream: stream_seed(seed, stream) for stream in get_args(Stream)}


def generator(seed: int, stream: Stream) -> torch.Generator:
    """A generator on the CPU for one stream."""
    return torch.Generator().manual_seed(stream_seed(seed, stream))


def seed_dropout(seed: int) -> None:
    """Seeds the global generators, which dropout draws from."""
    torch.manual_seed(stream_seed(seed, "dropout"))


@contextmanager
def deterministic() -> Iterator[None]:
    """A context in which torch takes kernels that give equal results for equal inputs, where it has them."""
    # cuBLAS reads this when it is first used, so that it cannot be taken back
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    filling: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled()
    before_warning = torch.is_deterministic_algorithms_warn_only_enabled()
    before_filling = filling.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    # filling fresh memory would cost time, and nothing here reads memory before writing it
    filling.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=before_warning)
        filling.fill_uninitialized_memory = before_filling
