"""The examples on the page, against what the Parquet files say."""

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Locator, Page, expect

from browser.conftest import ROWS, OpenPage, page_without_charts
from helpers import answered
from tuneoff.reporting.page.build import json_for_html
from tuneoff.results import read_folder

pytestmark = pytest.mark.subprocess


@pytest.fixture
def open_page(open_page: OpenPage, answered_study: Path) -> OpenPage:
    """Opens the page without its charts."""
    return partial(open_page, file=page_without_charts(answered_study))


@pytest.fixture(scope="module")
def scores(answered_study: Path) -> Mapping[str, pd.DataFrame]:
    """By task, a row per test example with the mean score over seeds of each method, as the files have it."""
    found: dict[str, dict[str, list[pd.Series]]] = {}
    for record in read_folder(answered_study).records:
        table = pd.read_parquet(answered_study / "runs" / record.run_id / "predictions.parquet")
        column = "correct" if record.spec.task_name == "sst2" else "eval_rougeL"
        of_method = found.setdefault(record.spec.task_name, {}).setdefault(record.spec.method_name, [])
        of_method.append(table.set_index("row")[column])
    return {
        task: pd.DataFrame({name: sum(columns) / len(columns) for name, columns in methods.items()})
        for task, methods in found.items()
    }


def _field(page: Page, name: str) -> Locator:
    return page.locator("#example-browser").get_by_role("combobox", name=name, exact=True)


def _count(page: Page) -> Locator:
    return page.locator("#example-browser").get_by_role("status")


def _rows(page: Page, *, pages: int = 10_000) -> list[int]:
    """The rows that are listed, on this page and the next ones."""
    rows: list[int] = []
    following = page.locator(".example-pages").get_by_role("button", name="Next")
    while True:
        texts = page.locator(".examples .number").all_inner_texts()
        rows += [int(text.removeprefix("Test row ")) for text in texts]
        pages -= 1
        if not pages or following.get_attribute("aria-disabled") == "true":
            return rows
        following.click()


def test_lora_wrong_and_full_right_are_the_rows_that_the_files_say(
    open_page: OpenPage, scores: Mapping[str, pd.DataFrame]
) -> None:
    page, table = open_page(), scores["sst2"]
    _field(page, "Right").select_option("full")
    _field(page, "Wrong").select_option("lora")
    expected = table.index[(table["full"] > 0.5) & (table["lora"] < 0.5)]
    assert 100 < len(expected) < 5000
    expect(_count(page)).to_have_text(
        f"{len(expected):,} of 10,000 rows: full is right and lora is wrong in most seeds"
    )
    ahead = (table["full"] - table["lora"])[expected]
    order = ahead.sort_values(ascending=False, kind="stable").index
    assert _rows(page, pages=8) == order[:80].tolist()

    # words that leave few enough rows to read them all
    page.get_by_role("searchbox", name="Words").last.fill("APPLE brook cloud")
    inputs = answered.inputs(ROWS["sst2"])
    matching = [row for row in order if all(word in inputs[row] for word in ("apple", "brook", "cloud"))]
    expect(_count(page)).to_have_text(re.compile(f"^{len(matching):,} of 10,000 rows"))
    assert _rows(page) == matching


def test_the_first_rows_are_those_on_which_methods_differ_most(
    open_page: OpenPage, scores: Mapping[str, pd.DataFrame]
) -> None:
    page, table = open_page(), scores["sst2"]
    apart = table.max(axis=1) - table.min(axis=1)
    order = apart.sort_values(ascending=False, kind="stable").index
    assert _rows(page, pages=3) == order[:30].tolist()


def test_a_reference_and_a_seed_narrow_the_rows(
    open_page: OpenPage, answered_study: Path, scores: Mapping[str, pd.DataFrame]
) -> None:
    page = open_page()
    _field(page, "Reference").select_option(label="positive")
    expect(_count(page)).to_have_text("5,000 of 10,000 rows have the reference \u2018positive\u2019")
    _field(page, "Seed").select_option("2")
    _field(page, "Wrong").select_option("full")
    (place,) = answered_study.glob("runs/sst2.full.nfull.s2-*")
    table = pd.read_parquet(place / "predictions.parquet")
    expected = table[(table["reference"] == "1") & (table["correct"] == 0)]
    expect(_count(page)).to_have_text(
        f"{len(expected):,} of 10,000 rows have the reference \u2018positive\u2019: full is wrong with seed 2"
    )
    assert set(_rows(page, pages=2)) <= set(expected["row"])


def test_of_texts_one_method_is_above_another_by_more_than_a_chosen_difference(
    open_page: OpenPage, scores: Mapping[str, pd.DataFrame]
) -> None:
    page, table = open_page(), scores["samsum"]
    _field(page, "Task").select_option(label="samsum")
    _field(page, "Better").select_option("full")
    _field(page, "Worse").select_option("zero_shot")
    page.get_by_role("spinbutton", name="By more than").fill("0.3")
    ahead = table["full"] - table["zero_shot"]
    assert (ahead - 0.3).abs().min() > 0.001  # the page's scores have three places
    expected = ahead[ahead > 0.3].sort_values(ascending=False).index.tolist()
    assert 5 < len(expected) < 55
    expect(_count(page)).to_have_text(f"{len(expected)} of 60 rows: full is above zero_shot by more than 0.3")
    assert sorted(_rows(page)) == sorted(expected)


def test_words_are_found_in_answers_that_are_texts(open_page: OpenPage, answered_study: Path) -> None:
    page = open_page()
    _field(page, "Task").select_option(label="samsum")
    page.get_by_role("searchbox", name="Words").last.fill("onerror BROKEN")
    inputs = answered.inputs(ROWS["samsum"])
    texts = {row: [inputs[row], *answered.references("samsum", 60)[row : row + 1]] for row in range(60)}
    for path in answered_study.glob("*/samsum.*/*.parquet"):
        for row, text in pd.read_parquet(path)[["row", "prediction"]].itertuples(index=False):
            texts[row].append(text)
    expected = [
        row
        for row, own in texts.items()
        if all(any(word in text.lower() for text in own) for word in ("onerror", "broken"))
    ]
    assert 2 < len(expected) < 30
    expect(_count(page)).to_have_text(
        f"{len(expected)} of 60 rows contain \u2018onerror\u2019 and \u2018BROKEN\u2019"
    )
    assert sorted(_rows(page)) == expected


def test_ten_thousand_rows_take_few_elements(open_page: OpenPage) -> None:
    page = open_page()
    expect(_count(page)).to_have_text("10,000 of 10,000 rows")
    assert page.locator("#example-browser *").count() < 1000
    for _ in range(3):
        page.get_by_role("button", name="Next").click()
    expect(page.locator(".example-pages span")).to_have_text("31 to 40 of 10,000")
    assert page.locator("#example-browser *").count() < 1000


def test_hostile_texts_are_shown_as_texts(open_page: OpenPage) -> None:
    page = open_page()
    for number, text in enumerate(answered.HOSTILE[:3]):
        page.get_by_role("searchbox", name="Words").last.fill(text)
        expect(_count(page)).to_have_text(re.compile("^1 of 10,000 rows contain"))
        expect(page.locator(".examples .number")).to_have_text(f"Test row {number}")
        assert page.locator(".examples .input").text_content() == text
    page.get_by_role("searchbox", name="Words").last.fill("")
    _field(page, "Task").select_option(label="samsum")
    for start in range(1, 60, 5):
        expect(page.locator(".example-pages span")).to_have_text(f"{start} to {start + 4} of 60")
        assert page.locator(".examples :is(script, img, a:not(.number a))").count() == 0
        if start < 56:
            page.get_by_role("button", name="Next").click()
    assert page.evaluate("() => window.broken === undefined")


def test_a_long_input_is_cut_until_its_button_is_pressed(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("searchbox", name="Words").last.fill("xxxxxxxxxxxxx")
    shown = page.locator(".examples .input")
    expect(shown).to_have_count(1)
    assert len(shown.text_content() or "") < 1000
    shown.get_by_role("button").press("Enter")
    expect(shown).to_be_focused()
    assert (shown.text_content() or "").endswith("more characters)")


def test_what_the_page_lacks_is_said(open_page: OpenPage, answered_study: Path, tmp_path: Path) -> None:
    before, head, rest = (
        page_without_charts(answered_study).read_text(encoding="utf-8").partition('id="page-data">')
    )
    payload, end, after = rest.partition("</script>")
    data = json.loads(payload)
    task = data["examples"][0]
    task["inputs"], task["total"], task["contenders"][1]["note"] = None, 20_000, "diverged in 1 of 3 runs"
    (tmp_path / "page.html").write_text(before + head + json_for_html(data) + end + after, encoding="utf-8")
    page = open_page(file=tmp_path / "page.html")
    notes = page.locator(".example-note")
    expect(notes.nth(1)).to_contain_text("holds 10,000 of 20,000 test rows")
    expect(notes.nth(1).get_by_role("link")).to_have_attribute("href", "../examples/sst2.parquet")
    expect(notes.nth(2)).to_contain_text("an older version made; tuneoff run adds them")
    expect(notes.nth(3)).to_contain_text("full (diverged in 1 of 3 runs)")
    expect(page.locator(".examples dt", has_text="\u2020")).to_have_count(10)
    expect(page.locator(".examples .input")).to_have_count(0)


def test_the_keyboard_alone_filters_and_turns_pages(open_page: OpenPage) -> None:
    page = open_page(anchor="#examples")
    _field(page, "Task").focus()
    page.keyboard.press("ArrowDown")
    expect(_count(page)).to_have_text("60 of 60 rows")
    expect(_field(page, "Task")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(_count(page)).to_have_text("10,000 of 10,000 rows")
    page.keyboard.press("Tab")
    page.keyboard.type("full")
    page.keyboard.press("Tab")
    page.keyboard.type("lora")
    expect(_count(page)).to_contain_text("full is right and lora is wrong")
    first = _rows(page, pages=1)
    following = page.get_by_role("button", name="Next")
    following.focus()
    page.keyboard.press("Enter")
    second = _rows(page, pages=1)
    assert len(second) == 10
    assert not set(first) & set(second)
    expect(following).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert _rows(page, pages=1) == first


def test_paper_has_the_examples_without_their_controls(open_page: OpenPage) -> None:
    page = open_page()
    page.emulate_media(media="print")
    expect(page.locator(".examples .number")).to_have_count(10)
    expect(page.locator(".examples .number").first).to_be_visible()
    expect(page.locator(".example-controls")).to_be_hidden()
    expect(page.locator(".example-pages button").first).to_be_hidden()
    expect(page.locator(".example-pages")).to_contain_text("1 to 10 of 10,000")


def test_labels_and_texts_start_with_all_seeds(open_page: OpenPage) -> None:
    page = open_page()
    expect(_field(page, "Seed")).to_have_value("all")
    _field(page, "Task").select_option(label="samsum")
    expect(_field(page, "Seed")).to_have_value("all")


def test_of_texts_one_method_alone_asks_for_another_one(open_page: OpenPage) -> None:
    page = open_page(anchor="#examples?task=samsum")
    gap = page.get_by_role("spinbutton", name="By more than")
    _field(page, "Better").select_option("full")
    expect(_count(page)).to_have_text("60 of 60 rows: choose under Worse what full is to be better than")
    expect(gap).to_be_disabled()
    own = _field(page, "Worse").locator("option", has_text=re.compile("^full$"))
    expect(own).to_be_disabled()
    _field(page, "Worse").select_option("lora")
    expect(gap).to_be_enabled()


def test_what_is_chosen_is_in_the_address_and_survives_a_reload(open_page: OpenPage) -> None:
    page = open_page()
    _field(page, "Right").select_option("full")
    _field(page, "Reference").select_option("positive")
    page.get_by_role("searchbox", name="Words").last.fill("apple")
    expect(_count(page)).to_contain_text("contain \u2018apple\u2019: full is right")
    counted, rows, address = _count(page).inner_text(), _rows(page, pages=1), page.url
    page.reload()
    expect(_count(page)).to_have_text(counted)
    assert _rows(page, pages=1) == rows
    assert page.url == address

    # another task keeps what it has, too, and no reference, which it has not
    _field(page, "Task").select_option(label="samsum")
    expect(_field(page, "Better")).to_have_value("full")
    expect(page.get_by_role("searchbox", name="Words").last).to_have_value("apple")
    assert "label" not in page.url
    _field(page, "Task").select_option(label="sst2")
    expect(_field(page, "Reference")).to_have_value("")


def test_a_row_has_an_address_and_an_address_of_nothing_shows_what_there_is(open_page: OpenPage) -> None:
    page = open_page(anchor="#examples?task=samsum")
    link = page.locator(".examples .number a").nth(2)
    row = link.inner_text().removeprefix("Test row ")
    link.click()
    expect(_count(page)).to_have_text(f"1 of 60 rows: test row {row}")
    again = open_page(anchor=f"#{page.url.partition('#')[2]}")
    expect(again.locator(".examples .number")).to_have_text([f"Test row {row}"])
    page.get_by_role("spinbutton", name="Test row").fill("")
    expect(_count(page)).to_have_text("60 of 60 rows")
    page.get_by_role("spinbutton", name="Test row").fill("999")
    expect(_count(page)).to_have_text("0 of 60 rows: test row 999")
    expect(page.locator(".example-pages")).to_be_hidden()
    unknown = open_page(anchor="#examples?task=none&better=nobody&seed=77&gap=x&row=x")
    expect(_count(unknown)).to_have_text("10,000 of 10,000 rows")
