"""The peak of memory over a piece of work."""

from pathlib import Path

import pytest
import torch

from tuneoff.training.memory import measure_peak

CPU = torch.device("cpu")
linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells of peaks")


@linux
def test_the_peak_is_that_of_the_work_and_not_of_what_came_before() -> None:
    with measure_peak(CPU) as small:
        pass
    with measure_peak(CPU) as large:
        torch.ones(100_000_000)  # 400 MB
    with measure_peak(CPU) as after:
        pass
    if small.process is None or large.process is None or after.process is None:
        pytest.skip("this system does not let a process reset its peak")
    assert large.process - small.process > 350_000_000
    assert large.process - after.process > 350_000_000


def test_without_a_gpu_there_is_no_peak_of_a_device() -> None:
    with measure_peak(CPU) as peak:
        pass
    assert peak.device is None
