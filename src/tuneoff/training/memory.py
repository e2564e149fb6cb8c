"""The most memory that a piece of work took: of this process, and of its device."""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from tuneoff.kernels import give_back_freed_memory

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


@dataclass
class PeakMemory:
    """What was measured; None where the system does not tell."""

    process: int | None = None
    """Peak resident memory of this process in bytes, with all that it still held when the work began."""
    device: int | None = None
    """Peak of allocated memory on a CUDA device in bytes."""


@contextmanager
def measure_peak(device: torch.device) -> Iterator[PeakMemory]:
    """Measure the peak memory of a context; it is in the yielded object once the context has ended.

    Linux keeps the peak of a process and lets it start anew (`man 5 proc`: VmHWM, clear_refs).
    """
    peak = PeakMemory()
    # a worker keeps what earlier runs have freed, which is no price of this one
    free_memory()
    is_reset = _reset_process_peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    yield peak
    if is_reset and (found := _PEAK.search(_STATUS.read_text(encoding="ascii", errors="replace"))):
        peak.process = 1024 * int(found[1])
    if device.type == "cuda":
        peak.device = torch.cuda.max_memory_allocated(device)


def free_memory() -> None:
    """Give back what is not in use."""
    gc.collect()
    give_back_freed_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _reset_process_peak() -> bool:
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:  # another system, or one that does not allow it
        return False
    return True
