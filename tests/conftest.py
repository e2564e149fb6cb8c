import gc
import json
import os
import signal
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

# before torch is imported: threads that spin for a core make tiny models slow where cores are shared
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from helpers import small
from helpers.command_line import tuneoff
from tuneoff.reporting.charts import Picture
from tuneoff.reporting.charts.style import View

pictures = import_module("tuneoff.reporting.charts.pictures")  # a function of the package has this name too

# a shell's background job ignores Ctrl-C, and so would the commands that tests interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Keep what is imported by now out of all later garbage collections; measuring memory asks for many."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def charts_drawn_once() -> Iterator[dict[str, Picture | None]]:
    """The pictures of equal charts, drawn once by each process: drawing is most of what a report costs."""
    draw, known = pictures._drawn, dict[str, Picture | None]()

    def drawn(charts: Sequence[View]) -> list[Picture | None]:
        keys = [json.dumps(pictures.readable(chart)) for chart in charts]
        new = [chart for key, chart in zip(keys, charts, strict=True) if key not in known]
        found = draw(new) if new else []
        if len(found) < len(new):  # the process that draws has ended early
            return draw(charts)
        known.update(zip((key for key in keys if key not in known), found, strict=True))
        return [known[key] for key in keys]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "_drawn", drawn)
        yield known


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
