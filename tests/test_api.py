"""The front door for Python: a study from a mapping, its tables, and its events."""

import html
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import tuneoff
from helpers import small
from tuneoff.errors import InputError
from tuneoff.results import read_records
from tuneoff.study import Event, InlineExecutor, PointLogged, RunFinished, RunsPlanned, RunStarted


def _mapping(folder: Path) -> dict[str, Any]:
    """The small study as a notebook would write it, with absolute paths."""
    study: dict[str, Any] = yaml.safe_load(small.study(folder).read_text(encoding="utf-8"))
    source = study["tasks"]["films"]["source"]
    source["files"] = {split: folder / name for split, name in source["files"].items()}
    study["methods"] = {"zero_shot": {"kind": "none"}, "lora": {"kind": "lora", "targets": ("q",)}}
    return study | {"ablations": {}, "train_sizes": [8], "seeds": (0, 1)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def result(folder: Path) -> tuneoff.Result:
    return tuneoff.run(_mapping(folder), out=folder / "out")


@pytest.mark.slow
def test_a_study_from_a_mapping_is_run_and_its_tables_are_there(result: tuneoff.Result) -> None:
    assert result.is_complete
    assert result.report.is_file()
    assert list(result.runs["run_id"]) == [record.run_id for record in read_records(result.folder)][::-1] or (
        set(result.runs["run_id"]) == {record.run_id for record in read_records(result.folder)}
    )
    assert dict(zip(result.summary["method"], result.summary["n"], strict=True)) == {
        "zero_shot": 1,
        "lora": 2,
    }
    (comparison,) = result.comparisons.to_dict("records")
    assert (comparison["method"], comparison["reference"]) == ("lora", "zero_shot")
    assert comparison["low"] <= comparison["difference"] <= comparison["high"]
    assert result.study.tasks["films"].labels == {"0": "negative", "1": "positive"}  # type: ignore[union-attr]


@pytest.mark.slow
def test_predictions_and_curves_are_tables_whose_means_are_the_scores(result: tuneoff.Result) -> None:
    for record in result.records:
        predictions = result.predictions(record.run_id)
        assert len(predictions) == small.ROWS["test"]
        assert predictions["correct"].mean() == pytest.approx(record.scores["eval_accuracy"])
        curve = result.curve(record.run_id)
        assert curve["step"].iloc[-1] == record.steps
    with pytest.raises(KeyError, match="no complete run 'absent'"):
        result.predictions("absent")


@pytest.mark.slow
def test_decisions_are_a_table(result: tuneoff.Result) -> None:
    (row,) = result.decision.to_dict("records")
    assert row["task"] == "films"
    assert row["recommended"] in row["may_be_best"]
    assert row["low"] <= row["score"] <= row["high"]
    assert row["recommended"] in result.decisions[0]


@pytest.mark.slow
def test_the_page_is_shown_in_a_notebook(result: tuneoff.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    display = types.ModuleType("IPython.display")
    display.HTML = shown.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    result.show(height=300)
    (frame,) = shown
    assert "height: 300px" in frame
    page = html.unescape(frame.partition('srcdoc="')[2].partition('" style')[0])
    assert page == result.report.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_report_is_made_again_from_the_folder(result: tuneoff.Result) -> None:
    again = tuneoff.report(str(result.folder))
    pd.testing.assert_frame_equal(again.summary, result.summary)
    assert again.conclusions == result.conclusions


@pytest.mark.slow
def test_an_edited_file_is_seen_by_the_next_study_of_the_same_session(folder: Path) -> None:
    study, session = _mapping(folder), tuneoff.Session()
    del study["methods"]["lora"]
    before = tuneoff.run(study, out=folder / "before", session=session)
    rows = (folder / "test.csv").read_text(encoding="utf-8")
    try:
        (folder / "test.csv").write_text(rows + "the last was good,1\n", encoding="utf-8")
        after = tuneoff.run(study, out=folder / "after", session=session)
    finally:
        (folder / "test.csv").write_text(rows, encoding="utf-8")
    counts = [len(one.predictions(one.records[0].run_id)) for one in (before, after)]
    assert counts == [small.ROWS["test"], small.ROWS["test"] + 1]


@pytest.mark.slow
def test_what_happens_comes_as_events_in_order(folder: Path) -> None:
    study, events = _mapping(folder), list[Event]()
    study["seeds"] = [0]
    result = tuneoff.run(study, out=folder / "expected", executor=InlineExecutor(), on_event=events.append)
    assert [run.run_id for one in events if isinstance(one, RunsPlanned) for run in one.pending] == [
        record.run_id for record in result.records
    ]
    lora = next(record for record in result.records if record.spec.method_name == "lora")
    own = [
        one
        for one in events
        if (isinstance(one, RunStarted | PointLogged) and one.run.run_id == lora.run_id)
        or (isinstance(one, RunFinished) and one.record.run_id == lora.run_id)
    ]
    assert isinstance(own[0], RunStarted)
    assert own[-1] == RunFinished(lora)
    steps = [one.point.step for one in own if isinstance(one, PointLogged)]
    assert steps == sorted(steps)
    assert steps[-1] == lora.steps


@pytest.mark.slow
def test_a_study_object_is_taken_as_well(folder: Path, result: tuneoff.Result) -> None:
    study = tuneoff.load_study(_mapping(folder))
    assert isinstance(study, tuneoff.Study)
    assert tuneoff.load_study(study, overrides=["seeds=[5]"]).seeds == (5,)
    assert tuneoff.run(study, out=result.folder).is_complete


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executor": "inlin"}, "executor: unknown name 'inlin'; did you mean 'inline'"),
        ({"workers": 2}, "workers=2 has no effect without executor='process'"),
        ({"address": "here"}, "address=here has no effect without executor='ray'"),
    ],
)
def test_options_that_cannot_be_are_refused(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tuneoff.run(_mapping(folder), out=folder / "refused", **options)
    assert not (folder / "refused").exists()


@pytest.mark.subprocess
def test_importing_it_imports_nothing_heavy() -> None:
    program = "import sys, tuneoff; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"numpy", "pandas", "pydantic", "rich", "torch", "typer", "yaml"}.isdisjoint(done.stdout.split())


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        tuneoff.absent  # noqa: B018
