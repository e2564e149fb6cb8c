"""The page in a real browser: Chromium, by its path; without one, these tests are skipped."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page, sync_playwright

from helpers import answered
from helpers.drawing import charts_on_pages
from tuneoff.reporting import write_report
from tuneoff.reporting.conclusions import conclusions
from tuneoff.reporting.data import load_report_data
from tuneoff.reporting.page import pages
from tuneoff.reporting.sections import document
from tuneoff.results import StudyFolder

# the first one, Chromium without a window, takes half of the others' processor time
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
ROWS = {"sst2": 10_000, "samsum": 60}

OpenPage = Callable[..., Page]
"""Opens the page of the answered study; its arguments are those of a browser context."""


def page_of(folder: Path) -> Path:
    """The page of an output folder."""
    return StudyFolder(folder).report.html


def page_without_charts(folder: Path) -> Path:
    """The page as it is where the library that draws charts could not be made; it opens in less time."""
    return StudyFolder(folder).report.path / "without-charts.html"


def _chromium() -> str | None:
    """The path of a browser: the one that TUNEOFF_CHROMIUM names, or the first one that is installed."""
    named = os.environ.get("TUNEOFF_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = _chromium()
    if path is None:
        pytest.skip("no browser: install chromium-headless-shell (Debian), or name one in TUNEOFF_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def answered_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a study with many answers, and its report; made once for all workers."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp().parent if parallel else tmp_path_factory.mktemp("answered")
    folder = folder / "answered"
    with FileLock(f"{folder}.lock"):
        if not page_of(folder).exists():
            answered.write_folder(folder, answered.a_study(), ROWS)
            with charts_on_pages():
                write_report(folder)
                data = load_report_data(folder)
                text = pages(data, document(data, conclusions(data)), library="")["report.html"]
            page_without_charts(folder).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def open_page(browser: Browser, answered_study: Path) -> Iterator[OpenPage]:
    """A function that opens the page, which must have no error and ask for nothing else until the end."""
    contexts, complaints, requests = [], [], set()
    whole = page_of(answered_study)

    def opened(*, file: Path = whole, anchor: str = "", **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: requests.add(request.url.partition("#")[0]))
        page.goto(file.as_uri() + anchor)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert all(url.startswith("file://") and url.endswith(".html") for url in requests)
