"""The peak of memory over a piece of work."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tuneoff.training.memory import measure_peak

CPU = torch.device("cpu")
linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells of peaks")


PEAKS = """
import torch
from tuneoff.kernels import keep_freed_memory
from tuneoff.training.memory import measure_peak

keep_freed_memory()
for size in (1, 100_000_000, 1):
    with measure_peak(torch.device("cpu")) as peak:
        # not zeros, whose memory the system hands out when it is written to
        torch.ones(size)
    print(peak.process)
"""


@linux
@pytest.mark.slow
@pytest.mark.subprocess
def test_the_peak_is_that_of_the_work_and_not_of_what_came_before() -> None:
    # in a process of its own: this one may give memory of earlier tests back at any time
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    if "None" in done.stdout:
        pytest.skip("this system does not let a process reset its peak")
    small, large, after = map(int, done.stdout.split())
    assert large - small > 350_000_000
    assert large - after > 350_000_000


def test_without_a_gpu_there_is_no_peak_of_a_device() -> None:
    with measure_peak(CPU) as peak:
        pass
    assert peak.device is None
