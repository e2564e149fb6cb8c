"""The peak of memory over a piece of work."""

from pathlib import Path

import pytest
import torch

from helpers.forking import result_of
from tuneoff.kernels import keep_freed_memory
from tuneoff.training.memory import measure_peak

CPU = torch.device("cpu")
linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells of peaks")


def peaks(*sizes: int) -> list[int | None]:
    """The peaks of making tensors of some sizes, one after another."""
    keep_freed_memory()
    found = []
    for size in sizes:
        with measure_peak(CPU) as peak:
            # not zeros, whose memory the system hands out when it is written to
            torch.ones(size)
        found.append(peak.process)
    return found


@linux
@pytest.mark.slow
@pytest.mark.subprocess
def test_the_peak_is_that_of_the_work_and_not_of_what_came_before() -> None:
    # in a process of its own: this one may give memory of earlier tests back at any time
    small, large, after = result_of(peaks, 1, 100_000_000, 1)
    if None in (small, large, after):
        pytest.skip("this system does not let a process reset its peak")
    assert large - small > 350_000_000
    assert large - after > 350_000_000


def test_without_a_gpu_there_is_no_peak_of_a_device() -> None:
    with measure_peak(CPU) as peak:
        pass
    assert peak.device is None
