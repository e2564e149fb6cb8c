"""Independent named random streams, derived from one seed of a study."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor

Stream = Literal["init", "order", "dropout", "subsample"]
"""init: first weights of a method; order: batches; dropout: masks; subsample: which training rows."""


def stream_seed(seed: int, stream: Stream) -> int:
    """Derive the seed of one stream; it is the same on every platform."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def stream_seeds(seed: int) -> dict[str, int]:
    """Return the seeds of all streams, by name."""
    return {stream: stream_seed(seed, stream) for stream in get_args(Stream)}


def generator(seed: int, stream: Stream) -> torch.Generator:
    """Return a generator on the CPU for one stream."""
    return torch.Generator().manual_seed(stream_seed(seed, stream))


def seed_dropout(seed: int) -> None:
    """Seed the global generators, from which dropout draws."""
    torch.manual_seed(stream_seed(seed, "dropout"))


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the global generators: of the CPU, and of the device if it is another one."""
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state()
    return states


def restore_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Take what `random_states` has returned."""
    torch.set_rng_state(states["cpu"])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states[device.type])


@contextmanager
def deterministic() -> Iterator[None]:
    """Use torch's deterministic kernels in this context, where it has them."""
    # cuBLAS reads this once, at its first use: there is no way to restore it afterwards
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    settings: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled()
    before_warning = torch.is_deterministic_algorithms_warn_only_enabled()
    before_fill = settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    # filling fresh memory would cost time, and nothing here reads memory before writing it
    settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=before_warning)
        settings.fill_uninitialized_memory = before_fill
