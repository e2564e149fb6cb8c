"""Every example runs as it stands, but on a random model, with few rows and few steps."""

import ast
import csv
import importlib.util
import json
import runpy
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from helpers.command_line import tuneoff
from tuneoff.spec import load_study

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = (
    "model.id=builtin:random",
    "training.max_steps=2",
    "training.eval_steps=2",
    "tasks.reviews.max_target_length=8",  # the random model's tokens are shorter
    "tasks.reviews.max_eval_samples=4",
    "tasks.reviews.max_predict_samples=8",
    "seeds=[0]",
)


def small_run(name: str, out: Path, *overrides: str) -> list[dict[str, Any]]:
    """Run an example; the records of its runs."""
    sets = [word for one in (*SMALL, *overrides) for word in ("--set", one)]
    outcome = tuneoff("run", EXAMPLES / f"{name}.yaml", "--out", out, *sets)
    assert (outcome.code, outcome.err) == (0, "")
    assert (out / "report" / "report.html").is_file()
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("runs/*/record.json"))]


def test_every_example_is_in_the_list_and_every_study_can_be_loaded() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        assert path.name == "README.md" or path.name.startswith("__") or f"({path.name})" in listed
    for path in EXAMPLES.glob("*.yaml"):
        assert load_study(str(path)).model.id == "builtin:tiny"


def test_the_reviews_are_what_their_script_writes(tmp_path: Path) -> None:
    script = runpy.run_path(str(EXAMPLES / "make_reviews.py"))
    script["main"](tmp_path / "reviews.csv")
    assert (tmp_path / "reviews.csv").read_bytes() == (EXAMPLES / "reviews.csv").read_bytes()
    with (EXAMPLES / "reviews.csv").open(encoding="utf-8", newline="") as file:
        assert {row["sentiment"] for row in csv.DictReader(file)} == {"0", "1"}


@pytest.mark.slow
def test_own_csv_has_a_test_split_of_the_files_own_rows(tmp_path: Path) -> None:
    records = small_run("own_csv", tmp_path, "train_sizes=[16]")
    assert {one["spec"]["method_name"] for one in records} == {
        "zero_shot",
        "full",
        "lora",
        "prefix",
        "prompt",
    }
    for record in records:
        # a fifth of 1,200; a tenth of what is left is for validation
        assert record["data"]["test"]["read"] == 240


@pytest.mark.slow
def test_budget_curves_have_a_point_for_each_method_and_size(tmp_path: Path) -> None:
    records = small_run("budget_curves", tmp_path, "train_sizes=[4,8]")
    trained = {(one["spec"]["method_name"], one["spec"]["train_size"]) for one in records} - {
        ("zero_shot", "full")
    }
    assert trained == {("full", 4), ("full", 8), ("lora", 4), ("lora", 8)}


@pytest.mark.slow
def test_prompt_wording_runs_each_method_with_each_wording(tmp_path: Path) -> None:
    records = small_run("prompt_wording", tmp_path, "train_sizes=[16]")
    prompts = {one["spec"]["task"]["prompt"] for one in records}
    assert len(prompts) == 4
    for kind in ("none", "lora"):
        same = [one["spec"]["task"]["prompt"] for one in records if one["spec"]["method"]["kind"] == kind]
        assert sorted(same) == sorted(prompts)


@pytest.mark.slow
def test_a_rank_is_chosen_by_cutting_and_the_cut_method_is_saved(tmp_path: Path) -> None:
    out = tmp_path / "out"
    records = small_run("rank_by_cutting", out, "train_sizes=[16]")
    (whole,) = (one for one in records if one["spec"]["method_name"] == "lora")
    assert [one["keep"] for one in whole["cuts"]] == [0.5, 0.25, 0.1, 0.05, 0.02]
    outcome = tuneoff("prune", out / whole["run_id"], "--keep", "0.25", "--out", tmp_path / "cut")
    assert (outcome.code, outcome.err) == (0, "")
    assert list((tmp_path / "cut").rglob("*.safetensors"))


@pytest.mark.slow
def test_the_script_prints_what_was_found_and_labels_two_reviews(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["in_python.py", *SMALL, "train_sizes=[16]"])
    runpy.run_path(str(EXAMPLES / "in_python.py"), run_name="__main__")
    told = capsys.readouterr().out
    assert "p(positive)" in told or "p(1)" in told
    assert "I would not call the guide friendly." in told


@pytest.mark.slow
def test_the_notebooks_cells_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_bytes((EXAMPLES / "reviews.csv").read_bytes())
    if importlib.util.find_spec("IPython") is None:  # all that is used of it is a box for the page
        display = types.ModuleType("IPython.display")
        display.HTML = str  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
        monkeypatch.setitem(sys.modules, "IPython.display", display)
    notebook = json.loads((EXAMPLES / "in_notebook.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    names: dict[str, Any] = {}
    shown = [run_cell(cell, names, [*SMALL, "train_sizes=[16]"]) for cell in cells]
    assert list(shown[-1]["review"]) == ["I would not call the guide friendly.", "The view was brilliant."]


def run_cell(cell: dict[str, Any], names: dict[str, Any], overrides: Sequence[str]) -> Any:
    """Run a cell as a notebook does; what it shows: the value of its last line, if that is an expression."""
    body = ast.parse("".join(cell["source"])).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    if "parameters" in cell["metadata"].get("tags", ()):
        names["overrides"] = list(overrides)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None
