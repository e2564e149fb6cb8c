"""The layout of an output folder, which nothing but `tuneoff.results` knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tuneoff
from helpers import small
from tuneoff.results import StudyFolder, read_folder
from tuneoff.results.layout import result_name

SOURCE = Path(tuneoff.__file__).parent
ELSEWHERE = [
    path.relative_to(SOURCE).as_posix()
    for path in sorted(SOURCE.rglob("*.py"))
    if "results" not in path.relative_to(SOURCE).parts
]
NAMES = {
    *("record.json", "curve.jsonl", "predictions.parquet", "error.log", "result.json", "trials.jsonl"),
    *(
        "report.md",
        "report.html",
        "summary.csv",
        "runs.csv",
        "health.json",
        "plots",
        "runs",
        "baselines",
        "damaged",
        "activity.json",
        "examples",
    ),
}


def _path_parts(tree: ast.Module) -> Iterator[str]:
    """Texts that stand beside a `/` or in a call of `Path` or `joinpath`."""
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(op=ast.Div()):
                parts = [node.left, node.right]
            case ast.Call(func=ast.Name(id="Path") | ast.Attribute(attr="joinpath")):
                parts = node.args
            case _:
                continue
        for part in parts:
            yield from (
                one.value
                for one in ast.walk(part)
                if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )


@pytest.mark.parametrize("module", ELSEWHERE)
def test_no_other_room_builds_a_path_in_an_output_folder(module: str) -> None:
    parts = _path_parts(ast.parse((SOURCE / module).read_text(encoding="utf-8")))
    assert {part for text in parts for part in text.split("/")} & NAMES == set()


def test_every_file_that_a_study_leaves_has_its_place(finished: Path) -> None:
    folder = StudyFolder(finished)
    runs = [folder.run(record.run_id) for record in read_folder(finished).records]
    places = {folder.study, folder.lock, folder.report_lock, folder.examples("films")}
    places |= {*folder.report.path.rglob("*")}
    for run in runs:
        places |= {run.record, run.curve, run.predictions, *run.adapter.glob("*")}
    for record in folder.baseline_records():
        places |= {record, record.with_suffix(".parquet")}
    assert {path for path in finished.rglob("*") if path.is_file()} == {
        path for path in places if path.is_file()
    }
    assert len(runs) == len(small.RUNS)


def test_results_are_named_by_what_they_are_of(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    assert result_name(folder.run("films.lora.n8.s0-1234abcd").record) == "films.lora.n8.s0-1234abcd"
    assert result_name(folder.search("films.lora.n8-1234abcd").result) == "films.lora.n8-1234abcd"
    assert result_name(folder.baseline("films", 8, "tfidf").record) == "films.n8/tfidf"


def test_what_is_set_aside_never_takes_the_place_of_something_else(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    run = folder.run("films.lora.n8.s0-1234abcd")
    occupied, place = folder.set_aside(run.record)
    assert (occupied, place) == (run.path, tmp_path / "damaged/runs/films.lora.n8.s0-1234abcd")
    place.mkdir(parents=True)
    assert folder.set_aside(run.record)[1] == place.with_name(f"{place.name}.again")
    baseline = folder.baseline("films", 8, "tfidf").record
    assert folder.set_aside(baseline) == (baseline, tmp_path / "damaged/baselines/films.n8/tfidf.json")
