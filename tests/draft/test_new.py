"""`tuneoff new` as its users meet it: a file becomes a study that runs."""

import csv
import io
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

import tuneoff as python
from helpers.command_line import tuneoff
from tuneoff.cli.new import answer
from tuneoff.spec import ClassificationSpec, SummarizationSpec, load_study
from tuneoff.spec.yaml import parse_yaml

RANDOM = ("--model", "builtin:random-llama")


def write(name: str, columns: list[str], rows: list[list[object]]) -> None:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file in the working directory, whose name and texts need quotes."""
    monkeypatch.chdir(tmp_path)
    name = "my reviews: 1.csv"
    rows = [[f"Film {row}: {{really}} \u2028 '{'good' if row % 2 else 'bad'}'", row % 2] for row in range(60)]
    write(name, ["te xt", "sentiment"], rows)
    return name


@pytest.mark.slow
def test_a_file_becomes_a_commented_study_that_runs(reviews: str) -> None:
    outcome = tuneoff("new", reviews, *RANDOM, "--yes", "--minutes", "1", "--out", "first.yaml")
    assert outcome.code == 0, outcome.err
    assert "classification: te xt -> sentiment (2 labels)" in outcome.out
    assert "runs, about" in outcome.out
    study = load_study("first.yaml")
    (task,) = study.tasks.values()
    assert isinstance(task, ClassificationSpec)
    assert task.labels == {"0": "negative", "1": "positive"}
    assert task.prompt == "Te xt: {te xt}\nSentiment:"
    # editors find the schema beside it
    text = Path("first.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=study.schema.json\n")
    schema = json.loads(Path("study.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(parse_yaml(text), schema)
    # 99% of the inputs fit
    assert 8 <= task.max_source_length <= 128
    assert set(study.methods) == {"zero_shot", "full", "lora", "prefix", "prompt"}
    assert "a run" in next(line for line in text.splitlines() if line.startswith("  lora:"))
    # named relative to the study
    assert yaml.safe_load(text)["tasks"].popitem()[1]["source"]["files"] == {"train": reviews}
    outcome = tuneoff("run", "first.yaml", "--set", "training.max_steps=2", "--set", "seeds=[0]")
    assert outcome.code == 0, outcome.err


@pytest.mark.slow
def test_long_texts_with_short_ones_become_summaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [[row, "a: hello b: bye " * 10 + str(row), f"they greet {row}"] for row in range(40)]
    write("talks.csv", ["id", "dialogue", "summary"], rows)
    outcome = tuneoff("new", "talks.csv", "--model", "builtin:random", "--yes", "--minutes", "1")
    assert outcome.code == 0, outcome.err
    (task,) = load_study("talks.yaml").tasks.values()
    assert isinstance(task, SummarizationSpec)
    assert task.prompt == "Summarize: {dialogue}"


@pytest.mark.slow
def test_letters_that_the_model_does_not_know_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(
        "words.csv",
        ["text", "label"],
        [[f"\u597d\u7684\u7535\u5f71 {row}", "ab"[row % 2]] for row in range(40)],
    )
    outcome = tuneoff("new", "words.csv", "--model", "builtin:tiny", "--yes", "--minutes", "1")
    assert outcome.code == 0, outcome.err
    assert "most letters are CJK" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "tuneoff new needs data"),
        (["gone.csv"], "there is no file"),
        (["{reviews}"], "not clear from the data: what the labels mean (--label 0=...)"),
        (["{reviews}", "--target", "mood"], "no column 'mood'"),
        (["{reviews}", "--yes", "--label", "2=good"], "--label must be VALUE=TEXT"),
        (["{reviews}", "--yes", "--model", "builtin:tyni"], "unknown name 'tyni' (known: "),
        (["{reviews}", "--out", "{reviews}"], "exists; remove it"),
    ],
)
def test_what_cannot_be_is_one_error(reviews: str, arguments: list[str], message: str) -> None:
    outcome = tuneoff("new", *(one.format(reviews=reviews) for one in arguments))
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())
    assert outcome.err.startswith("error: ")
    assert [path.name for path in Path.cwd().iterdir()] == [reviews]


@pytest.mark.slow
def test_questions_are_asked_at_a_terminal(reviews: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # an answer for each question: labels (bad, default), model
    answers = iter(["bad", "", "builtin:random"])
    asked: list[str] = []

    def prompt(text: str, default: str | None = None) -> str:
        asked.append(text)
        return next(answers) or str(default)

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.prompt", prompt)
    outcome = tuneoff("new", reviews, "--minutes", "1", "--out", "asked.yaml")
    assert outcome.code == 0, outcome.err
    assert asked == ["What does '0' mean", "What does '1' mean", "Model"]
    (task,) = load_study("asked.yaml").tasks.values()
    assert isinstance(task, ClassificationSpec)
    assert task.labels == {"0": "bad", "1": "positive"}


@pytest.mark.slow
def test_labels_that_are_given_are_no_question(reviews: str) -> None:
    labels = ("--label", "0=bad", "--label", "1=good")
    outcome = tuneoff("new", reviews, *RANDOM, *labels, "--minutes", "1", "--out", "given.yaml")
    assert outcome.code == 0, outcome.err
    (task,) = load_study("given.yaml").tasks.values()
    assert isinstance(task, ClassificationSpec)
    assert task.labels == {"0": "bad", "1": "good"}


@pytest.mark.slow
def test_the_search_in_the_last_comment_is_one_for_the_rate_of_each_method(reviews: str) -> None:
    outcome = tuneoff("new", reviews, *RANDOM, "--yes", "--minutes", "1", "--out", "drafted.yaml")
    assert outcome.code == 0, outcome.err
    before, after = Path("drafted.yaml").read_text(encoding="utf-8").split("# search:", 1)
    Path("searched.yaml").write_text(f"{before}search:{after}".replace("\n#   ", "\n  "), encoding="utf-8")
    study = load_study("searched.yaml")
    assert study.search is not None
    rates = {name: method.learning_rate for name, method in study.methods.items() if method.kind != "none"}
    assert study.search.spaces.keys() == rates.keys()
    for name, rate in rates.items():
        low, high, scale = study.search.spaces[name]["learning_rate"]
        assert low < rate < high
        assert scale == "log"


@pytest.mark.slow
def test_python_drafts_the_same_study(reviews: str) -> None:
    labels = {"0": "bad", "1": "good"}
    drafted = python.new_study(reviews, model="builtin:random-llama", minutes=1, labels=labels)
    (task,) = drafted.tasks.values()
    assert isinstance(task, ClassificationSpec)
    assert task.labels == labels
    assert set(drafted.methods) == {"zero_shot", "full", "lora", "prefix", "prompt"}


def test_a_question_shows_what_a_column_s_name_hides_and_takes_it_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "te\x1b[31mxt\u202e"
    monkeypatch.setattr("sys.stdin", io.StringIO("\nother\n"))
    assert [answer("Column", default=name) for _ in range(2)] == [name, "other"]
    told = capsys.readouterr().out
    assert r"te\x1b[31mxt\u202e" in told
    assert "\x1b" not in told and "\u202e" not in told
