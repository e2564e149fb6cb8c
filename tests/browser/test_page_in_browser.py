"""The page as a whole, from a file, with its policy in force."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from browser.conftest import OpenPage, page_of

pytestmark = pytest.mark.subprocess


def test_it_opens_from_a_file_without_an_error_or_a_request(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.locator(".examples > li")).to_have_count(10)
    expect(page.locator(".plot svg")).not_to_have_count(0)


def test_its_policy_stops_a_script_that_is_not_its_own(browser: Browser, answered_study: Path) -> None:
    page = browser.new_page()
    page.goto(page_of(answered_study).as_uri())
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


def test_axe_finds_nothing_serious_in_either_theme(open_page: OpenPage) -> None:
    # what axe injects is stopped by the page's policy, as it should be
    page = open_page(bypass_csp=True, color_scheme="light")
    expect(page.locator(".plot svg")).not_to_have_count(0)
    everything = {"resultTypes": ["violations"]}
    for theme, options in (("light", everything), ("dark", everything | {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=theme)
        found = Axe().run(page, options=options).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == []


def test_a_phone_s_window_scrolls_in_one_direction(open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 360, "height": 800})
    expect(page.locator(".plot svg")).not_to_have_count(0)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    expect(page.locator("figure.view").last.locator("svg")).to_be_visible()
    plots = page.locator("figure.view .plot").all()
    names = [one.get_attribute("aria-label") or "" for one in plots]
    assert names[0].startswith("Score and trained parameters of every candidate: mean and 95% interval")
    too_wide = [one.evaluate("(one) => one.scrollWidth > one.clientWidth") for one in plots]
    assert [name for name, is_cut in zip(names, too_wide, strict=True) if is_cut] == []


def test_a_table_that_goes_on_has_a_shadow_at_its_edge_until_its_end(open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 390, "height": 800})
    region = page.get_by_role("region", name="Results: sst2")
    assert region.evaluate("(one) => one.scrollWidth > one.clientWidth")
    layers = region.evaluate("(one) => getComputedStyle(one).backgroundAttachment")
    assert layers == "local, scroll"  # a cover that scrolls with the table, and the shadow, which does not
    score = region.locator("td").nth(1).bounding_box()
    assert score and score["x"] + score["width"] <= 390
    region.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(one) => one.scrollLeft > 0", arg=region.element_handle())


def test_no_entry_of_the_list_of_sections_is_cut(open_page: OpenPage) -> None:
    for width in (1280, 390):
        page = open_page(viewport={"width": width, "height": 800})
        places = [one.bounding_box() for one in page.locator(".contents a").all()]
        assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= width for box in places)


def test_without_javascript_texts_and_tables_are_there(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    expect(page.locator(".verdict").first).to_be_visible()
    expect(page.locator("#results table").first).to_be_visible()
    # the browser switches scripts off in a way that does not show <noscript>
    assert "The folder examples/ has" in (page.locator("#examples noscript").text_content() or "")
