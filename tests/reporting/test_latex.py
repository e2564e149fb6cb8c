"""A study's results as LaTeX."""

import re
from pathlib import Path

import pytest

from helpers import fabricated as made
from helpers.answers import write_all, write_baseline
from helpers.command_line import tuneoff
from tuneoff.reporting import latex, load_report_data
from tuneoff.reporting.latex import escaped
from tuneoff.results import read_records

HOSTILE = r"50% of_a {b} & $c$ #1 ^2 ~ \d < e > f"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("latex")
    study = made.a_study(methods={name: made.METHODS[name] for name in ("zero_shot", "full", "lora")})
    made.write_folder(folder, study)
    write_all(folder, read_records(folder), {"zero_shot": 0.60, "full": 0.90, "lora": 0.75})
    write_baseline(folder, study, "sst2", "majority", 0.5)
    return folder


def test_each_candidate_is_a_row_with_the_numbers_of_the_decision(folder: Path) -> None:
    data = load_report_data(folder)
    (decision,) = data.judgement.decisions.values()
    rows = {row[0].strip(): row for line in latex(data).splitlines() if len(row := line.split("&")) == 6}
    for one in decision.candidates:
        row = rows[one.name.replace("_", r"\_")]
        assert float(row[3]) == pytest.approx(one.mean, abs=5e-4)
        assert float(row[5].strip(" \\")) == pytest.approx(one.costs_at_most, abs=5e-4)


def test_environments_and_braces_are_closed(folder: Path) -> None:
    text = latex(load_report_data(folder))
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}") > 0
    assert not re.search(r"(?<!\\)[#$^]", text)


def test_each_method_is_described_with_its_source(folder: Path) -> None:
    paragraph = latex(load_report_data(folder)).split(r"\paragraph{Methods.}")[1]
    assert "Hu et al. 2021" in paragraph
    assert "zero\\_shot is " in paragraph


def test_a_text_is_shown_as_it_is() -> None:
    shown = escaped(HOSTILE)
    for sign in "%&$#_{}":
        assert shown.count(f"\\{sign}") >= HOSTILE.count(sign)
    assert "textbackslash" in shown and "textasciicircum" in shown and "textasciitilde" in shown
    assert "\n" not in escaped("a\nb")


def test_the_command_prints_it_and_writes_nothing(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    done = tuneoff("report", folder, "--format", "latex")
    assert done.code == 0
    assert done.out == latex(load_report_data(folder))
    assert sorted(folder.rglob("*")) == before
