"""What a reader does with the page: sort, filter, choose charts and runs, change the theme, print."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.conftest import OpenPage
from tuneoff.results import StudyFolder

pytestmark = pytest.mark.subprocess


def cells(table: Locator, column: int) -> list[str]:
    """The texts of the rows that a table shows."""
    rows = table.locator("tbody tr:not([hidden])")
    return [row.locator("td").nth(column).inner_text() for row in rows.all()]


def headers(table: Locator) -> list[str]:
    return [" ".join(one.inner_text().split()) for one in table.locator("th").all()]


def wait_for_charts(page: Page) -> None:
    """Wait until every figure is drawn: they are drawn one after another."""
    expect(page.locator("figure.view").last.locator("svg")).to_be_visible()


def test_a_header_sorts_by_number_then_the_other_way_and_then_as_it_was(open_page: OpenPage) -> None:
    page = open_page()
    table = page.locator("#comparisons-with-references table").first
    place = headers(table).index("Difference")
    header = table.locator("th").nth(place)
    before = cells(table, place)
    for direction in ("ascending", "descending"):
        header.locator("button").click()
        expect(header).to_have_attribute("aria-sort", direction)
        values = [float(text) for text in cells(table, place)]
        assert values == sorted(values, reverse=direction == "descending")
    header.locator("button").click()
    assert header.get_attribute("aria-sort") is None
    assert cells(table, place) == before


def test_numbers_with_units_sort_by_size_and_what_has_none_comes_last(open_page: OpenPage) -> None:
    page = open_page()
    page.evaluate("() => { location.hash = '#wall-time'; }")
    table = page.locator("#wall-time table")
    place = headers(table).index("Total, mean")
    table.locator("th").nth(place).locator("button").click()
    texts = cells(table, place)
    minutes = [re.fullmatch(r"(\d+) min (\d+) s", text) for text in texts]
    seconds = [int(one[1]) * 60 + int(one[2]) for one in minutes if one]
    assert len(seconds) == len(texts) > 1
    assert seconds == sorted(seconds)


def test_the_keyboard_reaches_skips_and_sorts(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "content"
    button = page.locator("#runs th button").first
    button.focus()
    outline = button.evaluate("(one) => getComputedStyle(one).outlineStyle")
    assert outline != "none"
    page.keyboard.press("Enter")
    expect(page.locator("#runs th").first).to_have_attribute("aria-sort", "ascending")


def test_words_filter_a_table(open_page: OpenPage) -> None:
    page = open_page()
    table = page.locator("#runs table")
    every = cells(table, 0)
    wanted = [name for name in every if "lora" in name and "samsum" in name]
    assert 0 < len(wanted) < len(every)
    page.locator("#runs input[type=search]").fill("LORA samsum")
    assert cells(table, 0) == wanted
    expect(page.locator("#runs [role=status]")).to_have_text(f"{len(wanted)} of {len(every)} rows")
    page.locator("#runs input[type=search]").fill("")
    assert cells(table, 0) == every


def test_a_run_is_shown_by_a_click_and_by_its_address(open_page: OpenPage, answered_study: Path) -> None:
    page = open_page()
    link = page.locator("#runs td a", has_text="sst2.lora").first
    run_id = link.inner_text()
    link.click()
    part = page.locator("#run")
    expect(part.locator("h3")).to_have_text(run_id)
    expect(part.locator("h3")).to_be_focused()
    expect(part.locator(".plot svg")).to_be_visible()
    expect(part).to_contain_text("Versions and machine")
    files = [one.get_attribute("href") for one in part.locator("a").all()]
    assert f"../runs/{run_id}/record.json" in files
    record = StudyFolder(answered_study).run(run_id).record
    assert record.is_file()

    again = open_page(anchor=f"#run={run_id}")
    expect(again.locator("#run h3")).to_have_text(run_id)
    unknown = open_page(anchor="#run=%3Cimg src=x onerror=alert(1)%3E")
    wait_for_charts(unknown)
    expect(unknown.locator("#run")).to_be_hidden()


def test_an_address_that_no_browser_would_write_is_passed_over(open_page: OpenPage) -> None:
    for anchor in ("#%E0%A4%A", "#run=%E0%A4%A"):
        page = open_page(anchor=anchor)
        wait_for_charts(page)
        expect(page.locator("#run")).to_be_hidden()
    page.evaluate("() => { location.hash = '#%'; }")
    page.evaluate("() => { location.hash = '#seeds'; }")
    expect(page.locator("#seeds table").first).to_be_visible()


def test_a_column_of_words_among_numbers_sorts_by_the_alphabet(open_page: OpenPage) -> None:
    page = open_page()
    table = page.locator("#comparisons-with-references table").first
    place = headers(table).index("Outcome")
    table.locator("th").nth(place).locator("button").click()
    outcomes = cells(table, place)
    assert len(set(outcomes)) > 1
    assert outcomes == sorted(outcomes)


def test_the_decision_leads_to_rows_on_which_methods_differ(open_page: OpenPage) -> None:
    page = open_page()
    link = page.locator("#answer-1 .step a")
    right, wrong = re.fullmatch(
        r"test rows where (\S+) is right and (\S+) is wrong", link.inner_text()
    ).groups()
    link.click()
    expect(page.locator(".example-count")).to_contain_text(f"{right} is right and {wrong} is wrong")
    expect(page.locator(".example-count")).to_be_in_viewport()


def test_a_choice_changes_its_chart(open_page: OpenPage) -> None:
    page = open_page()
    wait_for_charts(page)
    figure = page.locator("figure[data-group=curves]")
    expect(figure.locator("svg")).to_contain_text("accuracy (fraction)")
    figure.get_by_label("show").select_option("train loss")
    expect(figure.locator("svg")).to_contain_text("train loss")
    figure.get_by_label("task").select_option("samsum")
    expect(figure.locator("svg")).to_contain_text("loss (nats per token)")
    expect(figure).to_contain_text("samsum: learning curves")


def test_a_mark_tells_what_it_is(open_page: OpenPage) -> None:
    page = open_page()
    wait_for_charts(page)
    point = page.locator("figure[data-group=candidates-0] .mark-symbol path").first
    point.hover(force=True)
    box = page.locator("#tooltip")
    expect(box).to_be_visible()
    expect(box).to_contain_text("candidate")
    expect(box).to_contain_text("full")


def background(page: Page) -> str:
    return str(page.evaluate("() => getComputedStyle(document.body).backgroundColor"))


def test_the_theme_is_the_system_s_until_the_button_changes_it(open_page: OpenPage) -> None:
    page = open_page(color_scheme="dark")
    dark = background(page)
    button = page.get_by_role("button", name="Light theme")
    button.click()
    light = background(page)
    assert (dark, light) == ("rgb(21, 24, 28)", "rgb(255, 255, 255)")
    page.reload()
    assert background(page) == light
    page.get_by_role("button", name="Dark theme").click()
    assert background(page) == dark


def test_print_has_everything_open_in_light_colors_without_controls(open_page: OpenPage) -> None:
    page = open_page(color_scheme="dark")
    wait_for_charts(page)
    page.emulate_media(media="print", color_scheme="dark")
    assert background(page) == "rgb(255, 255, 255)"
    for hidden in (".contents", "#theme", ".choosers", ".filter"):
        expect(page.locator(hidden).first).to_be_hidden()
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    expect(page.locator("#conclusions li").first).to_be_visible()
    # paper is narrower than the window in which charts were drawn
    page.evaluate("() => { document.querySelector('main').style.width = '600px'; }")
    right = page.locator("main").evaluate("(one) => one.getBoundingClientRect().right")
    charts = page.locator(".plot svg").evaluate_all(
        "(all) => all.map((one) => one.getBoundingClientRect().right)"
    )
    assert charts and max(charts) <= right
    page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_a_link_to_a_folded_section_opens_it(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.locator("#seeds table").first).to_be_hidden()
    page.locator(".contents a", has_text="Seeds").click()
    expect(page.locator("#seeds table").first).to_be_visible()


def test_each_task_has_its_answer_in_short_at_the_top(open_page: OpenPage) -> None:
    page = open_page()
    lines = page.locator(".in-short li")
    expect(lines).to_have_count(2)
    expect(lines.nth(1)).to_contain_text("samsum: ")
    lines.nth(1).locator("a").click()
    expect(page.locator("#answer-2 .verdict")).to_be_in_viewport()
