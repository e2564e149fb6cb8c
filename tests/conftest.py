import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

# before torch is imported: threads that spin for a core make tiny models slow where cores are shared
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from helpers import small
from helpers.command_line import tuneoff
from helpers.drawing import charts_drawn, charts_left_blank
from helpers.forking import NEEDED, start_server
from helpers.models import random_models_copied
from tuneoff import worker_server
from tuneoff.cli.terminal import lasting_imports

# a shell's background job ignores Ctrl-C, and so would the commands that tests interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

worker_server.PRELOADED += NEEDED  # forks of it are many here, and short-lived

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the server of forks when this process has imported what they need, and done nothing yet."""
    hands_out_tests = session.config.getoption("numprocesses", 0) and not hasattr(
        session.config, "workerinput"
    )
    if not hands_out_tests:
        start_server()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep what is imported out of all garbage collections, of which measuring memory asks for many."""
    with lasting_imports():
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def no_charts_drawn() -> Iterator[None]:
    """Reports have a blank picture for each chart; tests of drawing take `drawing` or start a process."""
    with charts_left_blank():
        yield


@pytest.fixture(scope="module", autouse=True)
def nothing_old_is_collected() -> None:
    """What modules before have imported is kept out of garbage collections, too."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def random_models() -> Iterator[None]:
    """The builtin models with random weights are made once."""
    with random_models_copied():
        yield


@pytest.fixture
def drawing() -> Iterator[None]:
    """Reports have their charts."""
    with charts_drawn():
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a small study, all runs complete; tests that change it take a copy.

    Made once for all workers of a session.
    """
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp().parent if parallel else tmp_path_factory.mktemp("small")
    folder = folder / "finished"
    with FileLock(f"{folder}.lock"):
        if not (folder / "out").exists():
            folder.mkdir(exist_ok=True)
            assert tuneoff("run", small.study(folder), "--out", folder / "out").code == 0
    return folder / "out"


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny T5 as a checkpoint folder; tests that change it take a copy."""
    return small.checkpoint(tmp_path_factory.mktemp("model") / "tiny")
