"""The page as a whole, from a file, with its policy in force."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from browser.conftest import OpenPage

pytestmark = pytest.mark.subprocess


def test_it_opens_from_a_file_without_an_error_or_a_request(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.locator(".examples > li")).to_have_count(10)
    expect(page.locator(".plot svg")).not_to_have_count(0)


def test_its_policy_stops_a_script_that_is_not_its_own(browser: Browser, answered_study: Path) -> None:
    page = browser.new_page()
    page.goto((answered_study / "page.html").as_uri())
    stopped = page.evaluate(
        """() => new Promise((done) => {
             document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective));
             const script = document.createElement("script");
             script.textContent = "window.broken = 1";
             document.body.append(script);
           })"""
    )
    assert stopped == "script-src-elem"
    assert page.evaluate("() => window.broken === undefined")
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page: OpenPage, theme: str) -> None:
    # what axe injects is stopped by the page's policy, as it should be
    page = open_page(bypass_csp=True, color_scheme=theme)
    expect(page.locator(".plot svg")).not_to_have_count(0)
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == []


@pytest.mark.parametrize("width", [360, 768])
def test_a_narrow_window_scrolls_in_one_direction(open_page: OpenPage, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 800})
    expect(page.locator(".plot svg")).not_to_have_count(0)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_without_javascript_texts_and_tables_are_there(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    expect(page.locator("main table").first).to_be_visible()
    expect(page.locator("#examples noscript")).to_contain_text("The folder examples/ has the test rows")
