import os
import signal
from pathlib import Path

import hypothesis
import pytest

# before torch is imported: threads that spin for a core make tiny models slow where cores are shared
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import small
from command_line import tuneoff

# a shell's background job ignores Ctrl-C, and so would the commands that tests interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a small study, all runs complete; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("finished")
    assert tuneoff("run", small.study(folder), "--out", folder / "out").code == 0
    return folder / "out"


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny T5 as a checkpoint folder; tests that change it take a copy."""
    return small.checkpoint(tmp_path_factory.mktemp("model") / "tiny")
