"""A tuned model applied to new rows, from Python and from the command line."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tuneoff
from helpers import small
from helpers.command_line import tuneoff as command
from tuneoff.cli.predict import write
from tuneoff.errors import DataError, StoreError

pytestmark = pytest.mark.slow
STUDY = small.STUDY.replace("zero_shot: {kind: none}", "prompt: {kind: prompt, length: 3}")
TALKS = """
name: talks
model: {id: builtin:random-llama}
tasks:
  talks:
    kind: generation
    source: {files: {train: train.csv, test: test.csv}}
    prompt: "{text}"
    target: label
    max_new_tokens: 4
    metrics: [rouge]
methods: {lora: {kind: lora}}
training: {max_steps: 1, eval_steps: 1}
"""
OPTIONS = """
name: options
model: {id: builtin:random}
tasks:
  options:
    kind: multiple_choice
    source: {files: {train: options.csv, test: options.csv}}
    prompt: "{text}"
    options: [one, other]
    target: label
methods: {zero_shot: {kind: none}}
training: {max_steps: 1, eval_steps: 1}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies with their data: films/, talks/ and options/."""
    folder = tmp_path_factory.mktemp("studies")
    small.study(folder, STUDY)
    with (folder / "options.csv").open("w", encoding="utf-8", newline="") as file:
        rows = [[f"question {row}", f"yes {row}", f"no {row}", row % 2] for row in range(12)]
        csv.writer(file).writerows([["text", "one", "other", "label"], *rows])
    films = ["ablations={}", "train_sizes=[8]", "seeds=[0, 1]"]
    tuneoff.run(folder / "study.yaml", out=folder / "films", overrides=films)
    for name, text in (("talks", TALKS), ("options", OPTIONS)):
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        tuneoff.run(folder / f"{name}.yaml", out=folder / name)
    return folder


def runs(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("runs/*/record.json"))


def test_rows_of_the_test_split_are_answered_as_in_the_run(folder: Path) -> None:
    found = runs(folder / "films")
    assert len(found) == 4  # two methods, two seeds; the prompt prepends its own ids
    for run in found:
        predicted = tuneoff.predict(run, folder / "test.csv")
        expected = pd.read_parquet(run / "predictions.parquet")
        assert list(predicted["prediction"]) == list(expected["prediction"])
        likelihoods = np.exp(expected[["log_likelihood.0", "log_likelihood.1"]].to_numpy())
        shares = likelihoods / likelihoods.sum(axis=1, keepdims=True)
        assert predicted[["p(0)", "p(1)"]].to_numpy() == pytest.approx(shares, rel=1e-4)


def test_generated_texts_and_chosen_options_are_those_of_the_run(folder: Path) -> None:
    for name, file in (("talks", "test.csv"), ("options", "options.csv")):
        (run,) = runs(folder / name)
        predicted = tuneoff.predict(run, folder / file)
        expected = pd.read_parquet(run / "predictions.parquet")
        assert list(predicted["prediction"]) == list(expected["prediction"])
    texts = predicted["answer"].tolist()
    assert all(text in (f"yes {row}", f"no {row}") for row, text in enumerate(texts))


def test_one_model_answers_rows_in_any_order_and_number(folder: Path) -> None:
    tuned = tuneoff.load_method(runs(folder / "films")[0])
    rows = [{"text": f"film {row} " + "was long " * (row % 5)} for row in range(40)]
    counted: list[int] = []
    together = tuneoff.predict(tuned, rows, batch_size=2, on_progress=counted.append)
    assert sum(counted) == len(rows)
    assert len(counted) > 1
    alone = pd.concat([tuneoff.predict(tuned, [row]) for row in rows[:5]], ignore_index=True)
    assert list(alone["prediction"]) == list(together["prediction"][:5])
    assert alone["p(1)"].to_numpy() == pytest.approx(together["p(1)"][:5].to_numpy(), rel=1e-3)


def test_of_a_study_the_recommended_method_is_taken(folder: Path) -> None:
    decision = json.loads((folder / "films" / "report" / "decision.json").read_text(encoding="utf-8"))
    recommended = json.dumps(decision)
    try:
        tuned = tuneoff.load_method(folder / "films")
    except StoreError as error:  # a baseline may be as good as anything after four steps
        assert "which is no tuned model" in str(error)
    else:
        assert f'"{tuned.run.method_name}"' in recommended


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_the_command_writes_a_file(folder: Path, tmp_path: Path, ending: str) -> None:
    run, output = runs(folder / "films")[0], tmp_path / f"out.{ending}"
    outcome = command("predict", run, "--input", folder / "test.csv", "--output", output)
    assert outcome.code == 0, outcome.err
    readers = {
        "csv": pd.read_csv,
        "tsv": lambda path: pd.read_csv(path, sep="\t"),
        "jsonl": lambda path: pd.read_json(path, lines=True),
        "parquet": pd.read_parquet,
    }
    table = readers[ending](output)
    assert list(table.columns) == ["text", "prediction", "answer", "p(0)", "p(1)"]
    assert len(table) == small.ROWS["test"]


def test_a_text_is_answered_on_standard_output(folder: Path) -> None:
    outcome = command("predict", runs(folder / "films")[0], "--text", "a fine, long film")
    assert outcome.code == 0, outcome.err
    (row,) = csv.DictReader(io.StringIO(outcome.out))
    assert row["text"] == "a fine, long film"
    assert float(row["p(0)"]) + float(row["p(1)"]) == pytest.approx(1)


def test_small_shares_are_written_with_all_their_digits(tmp_path: Path) -> None:
    table = pd.DataFrame({"prediction": ["0", None], "p(0)": [3.2e-19, np.nan]})
    write(table, tmp_path / "out.jsonl")
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines())
    assert first == {"prediction": "0", "p(0)": pytest.approx(3.2e-19)}
    assert second == {"prediction": None, "p(0)": None}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{films}"], "either --input FILE or --text TEXT"),
        (["{films}", "--text", "a", "--task", "film"], "no task 'film'"),
        (["{run}", "--text", " "], "no row has text in 'text'"),
        (["{run}", "--input", "{folder}/options.yaml"], "unsupported file type"),
        (["{run}", "--input", "{folder}/test.csv", "--output", "a.xlsx"], "unsupported file type '.xlsx'"),
        (["{folder}/films/runs/none", "--text", "a"], "is no run that has ended"),
        (["{run}", "--text", "a", "--model", "{folder}/none"], "there is none at"),
        (["{options}", "--text", "a"], "this one reads text, one, other"),
        (["{run}", "--text", "a", "--task", "films"], "is a run; leave it out"),
        (
            ["{run}", "--input", "{folder}/test.csv", "--output", "{folder}/test.csv"],
            "not be the file of --input",
        ),
    ],
)
def test_what_cannot_be_is_one_error(folder: Path, arguments: list[str], message: str) -> None:
    places = {
        "folder": folder,
        "films": folder / "films",
        "run": runs(folder / "films")[0],
        "options": runs(folder / "options")[0],
    }
    outcome = command("predict", *(one.format(**places) for one in arguments))
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())


def test_weights_that_were_not_saved_are_said(folder: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs(folder / "films")[0], tmp_path / "run"))
    shutil.rmtree(run / "adapter")
    with pytest.raises(StoreError, match="were not saved; train it again"):
        tuneoff.load_method(run)


def test_rows_with_an_empty_column_get_no_prediction(folder: Path, tmp_path: Path) -> None:
    texts = ["a fine film", "", "a dull film", "  "]
    pd.DataFrame({"text": texts}).to_csv(tmp_path / "new.csv", index=False)
    run = runs(folder / "films")[0]
    outcome = command("predict", run, "--input", tmp_path / "new.csv", "--output", tmp_path / "out.csv")
    assert outcome.code == 0, outcome.err
    assert "no prediction for 2 rows with an empty column: 2, 4" in " ".join(outcome.err.split())
    table = pd.read_csv(tmp_path / "out.csv", dtype={"prediction": str})
    assert table["prediction"].isna().tolist() == [False, True, False, True]
    alone = tuneoff.predict(run, [{"text": text} for text in texts if text.strip()])
    assert list(alone["prediction"]) == list(table["prediction"].dropna())
    assert table["p(1)"].dropna().to_numpy() == pytest.approx(alone["p(1)"].to_numpy())


def test_a_row_without_a_column_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match="has no column 'text'"):
        tuneoff.predict(runs(folder / "films")[0], [{"txt": "a"}])
