"""How a report says how far LoRA can be cut."""

import json
from pathlib import Path

import altair
import pytest

from helpers import fabricated as made
from helpers.answers import add_cuts, write_all
from tuneoff.reporting import write_report
from tuneoff.reporting.charts.draw import picture_of
from tuneoff.reporting.charts.pictures import readable
from tuneoff.reporting.charts.style import STYLE
from tuneoff.reporting.conclusions import conclusions
from tuneoff.reporting.cuts import cuts_table
from tuneoff.reporting.data import load_report_data
from tuneoff.reporting.figures import cut_figures
from tuneoff.reporting.page.views import views
from tuneoff.reporting.titles import Title
from tuneoff.results import read_records

METHODS = {
    "zero_shot": {"kind": "none"},
    "lora": {"kind": "lora", "rank": 16, "cuts": [0.75, 0.5, 0.25, 0.1]},
    "plain": {"kind": "lora"},
}
ACCURACIES = {"zero_shot": 0.6, "lora": 0.85, "plain": 0.84}


def a_folder(folder: Path, left: dict[float, float], **changes: object) -> Path:
    """A study whose method `lora` has these accuracies by the share that is kept."""
    study = made.a_study(methods=METHODS, comparison={"margin": 0.05}, **changes)
    made.write_folder(folder, study)
    write_all(folder, read_records(folder), ACCURACIES)
    add_cuts(folder, left, stored_bytes=4_000_000)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_folder(tmp_path_factory.mktemp("cut"), {0.75: 0.85, 0.5: 0.849, 0.25: 0.84, 0.1: 0.65})


def told(folder: Path) -> list[str]:
    return [one.text for one in conclusions(load_report_data(folder)) if "cut to" in one.text]


def test_the_furthest_cut_that_is_shown_to_cost_less_than_the_margin_is_told(folder: Path) -> None:
    (line,) = told(folder)
    assert line.startswith("sst2: lora")
    assert (
        "can be cut to 25% of its parameters (4 MB to 1 MB) without losing 0.05 of accuracy or more" in line
    )
    assert "95% interval" in line
    means = load_report_data(folder).judgement.intervals
    whole, base = (means["sst2", name, "full"].mean for name in ("lora", "zero_shot"))
    assert line.endswith(f"; whole {whole:.3f}, zero_shot {base:.3f}).")


def test_where_no_cut_is_shown_that_is_told(tmp_path: Path) -> None:
    (line,) = told(a_folder(tmp_path, dict.fromkeys((0.75, 0.5, 0.25, 0.1), 0.7)))
    assert "lora" in line
    assert "is not shown to lose less than 0.05 of accuracy if it is cut to 75%" in line


def test_one_seed_is_told_nothing_of(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, dict.fromkeys((0.75, 0.5, 0.25, 0.1), 0.85), seeds=[0])
    assert told(folder) == []
    claims = [row[-1] for row in cuts_table(load_report_data(folder)).rows]
    assert claims[1:] == ["single seed, no claim"] * 4


def test_the_table_has_a_row_per_share_with_what_is_left_and_what_it_costs(folder: Path) -> None:
    data = load_report_data(folder)
    table = cuts_table(data)
    assert table.columns[-1] == "Within 0.05"
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["Kept"] for row in rows] == ["1", "0.75", "0.5", "0.25", "0.1"]
    assert [row["Stored"] for row in rows] == ["4 MB", "3 MB", "2 MB", "1 MB", "400 kB"]
    assert [row["Within 0.05"] for row in rows[1:]] == ["shown", "shown", "shown", "not shown"]
    runs = [one for one in data.records if one.spec.method_name == "lora"]
    expected = sum(cut.scores["eval_accuracy"] for run in runs for cut in run.cuts if cut.keep == 0.1) / 3
    assert float(str(rows[-1]["Mean"])) == pytest.approx(expected, abs=5e-4)
    whole = data.judgement.intervals["sst2", "lora", "full"].mean
    assert float(str(rows[-1]["Difference"])) == pytest.approx(expected - whole, abs=1e-3)


def test_the_chart_has_a_point_per_cut_and_the_base_model_dashed(folder: Path) -> None:
    data = load_report_data(folder)
    (drawing,) = cut_figures(data)
    assert drawing.stem == "cuts-sst2"
    chart = json.loads(json.dumps(drawing.chart))
    altair.Chart.from_dict(chart, validate=True)
    dashed, lines = chart["vconcat"][0]["layer"]
    assert [row["label"] for row in dashed["data"]["values"]] == ["zero_shot (no training)"]
    points = [(row["kept"], row["stored_bytes"]) for row in lines["data"]["values"]]
    assert points == [(1, 4e6), (0.75, 3e6), (0.5, 2e6), (0.25, 1e6), (0.1, 4e5)]
    assert picture_of(readable({**chart, "config": STYLE}))[1].startswith(b"\x89PNG")


def test_a_cut_of_which_nothing_is_left_is_in_the_table_and_not_in_the_chart(tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    study = made.a_study(methods=METHODS)
    made.write_folder(folder, study)
    write_all(folder, read_records(folder), ACCURACIES)
    add_cuts(folder, dict.fromkeys((0.75, 0.5, 0.25, 0.1), 0.8), stored_bytes=9)  # a tenth is no byte
    data = load_report_data(folder)
    assert len(cuts_table(data).rows) == 5
    (drawing,) = cut_figures(data)
    _, lines = json.loads(json.dumps(drawing.chart))["vconcat"][0]["layer"]
    assert len(lines["data"]["values"]) == 4


@pytest.mark.slow
def test_a_report_has_the_section_where_cuts_were_measured_and_else_none(
    folder: Path, tmp_path: Path
) -> None:
    write_report(folder)
    text = (folder / "report/report.md").read_text(encoding="utf-8")
    assert f"## {Title.CUTS}" in text
    assert "plots/cuts-sst2.png" in text
    assert Title.CUTS in views(load_report_data(folder))
    other = made.write_folder(tmp_path / "other", made.a_study())
    assert Title.CUTS not in views(load_report_data(other))
    write_report(other)
    assert Title.CUTS not in (other / "report/report.md").read_text(encoding="utf-8")
