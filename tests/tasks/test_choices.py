"""Tasks with options: how rows are read, which are refused, and what baselines choose."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from helpers.task_specs import classification, files, multiple_choice
from tuneoff.errors import DataError
from tuneoff.spec import FilesSource, MultipleChoiceSpec
from tuneoff.tasks import Example, TaskData, load_task, score, score_rows
from tuneoff.tasks.baselines import BASELINES, baseline_names

ROWS: list[dict[str, Any]] = [
    {"q": "Which one barks?", "choices": ["cat", "dog"], "label": 1},
    {"q": "Which one flies?", "choices": ["bird", "cow", "pig"], "label": 0},
    {"q": "Which one swims?", "choices": ["hen", "cat", "fish"], "label": 2},
]


def _loaded(folder: Path, rows: list[dict[str, Any]] = ROWS, **fields: Any) -> TaskData:
    return load_task(multiple_choice(files(folder, train=rows, validation=rows, test=rows), **fields))


def _refusal(folder: Path, rows: list[dict[str, Any]], **fields: Any) -> str:
    with pytest.raises(DataError) as caught:
        _loaded(folder, rows, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_row_has_its_options_and_the_letter_of_the_right_one(tmp_path: Path) -> None:
    test = _loaded(tmp_path).test
    assert [example.options for example in test] == [tuple(row["choices"]) for row in ROWS]
    assert [example.label for example in test] == ["B", "A", "C"]
    assert [example.target for example in test] == ["dog", "bird", "fish"]
    assert test[0].source == "Question: Which one barks?"
    assert test[0].shown == "Which one barks?\n(A) cat\n(B) dog"


def test_a_prompt_may_list_the_options(tmp_path: Path) -> None:
    (first, *_) = _loaded(tmp_path, prompt="{q}\n{choices}\nAnswer:").test
    assert first.source == "Which one barks?\n(A) cat\n(B) dog\nAnswer:"
    assert first.shown == "Which one barks?\n(A) cat\n(B) dog"


@pytest.mark.parametrize(
    ("target_is", "targets"),
    [
        ("index", [1, 0, 2]),
        ("index", ["1.0", "0", "2"]),
        ("number", [2, 1, 3]),
        ("letter", ["B", "a", "C"]),
        ("letter", ["B", "1", "3"]),
        ("text", ["dog", " bird", "fish"]),
    ],
)
def test_the_target_names_an_option_as_the_study_says(
    tmp_path: Path, target_is: str, targets: list[object]
) -> None:
    rows = [row | {"label": target} for row, target in zip(ROWS, targets, strict=True)]
    assert [one.label for one in _loaded(tmp_path, rows, target_is=target_is).test] == ["B", "A", "C"]


def test_each_option_may_have_a_column(tmp_path: Path) -> None:
    rows = [{"q": f"{number}?", "a": "yes", "b": f"no {number}", "label": number % 2} for number in range(4)]
    data = _loaded(tmp_path, rows, options=["a", "b"])
    assert [example.options for example in data.test] == [("yes", f"no {number}") for number in range(4)]


def test_lists_come_from_parquet_and_as_json_from_csv(tmp_path: Path) -> None:
    table = pyarrow.table({key: [row[key] for row in ROWS] for key in ROWS[0]})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    cells = [json.dumps(row["choices"]).replace('"', '""') for row in ROWS]
    lines = [f'{row["q"]},"{cell}",{row["label"]}' for row, cell in zip(ROWS, cells, strict=True)]
    (tmp_path / "test.csv").write_text("\n".join(["q,choices,label", *lines]))
    paths = {"train": str(tmp_path / "train.parquet"), "test": str(tmp_path / "test.csv")}
    data = load_task(multiple_choice(FilesSource(files=paths | {"validation": paths["train"]})))
    assert [one.options for one in data.train] == [one.options for one in data.test]
    assert data.digests["validation"] != data.digests["test"] or data.train[0].label == data.test[0].label


@pytest.mark.parametrize(
    ("change", "fields", "rule"),
    [
        ({"label": 3}, {}, "row 2: column 'label' holds '3', which is the index of none of the 2 options"),
        ({"label": "B"}, {}, "say with target_is whether targets are"),
        ({"label": 0}, {"target_is": "number"}, "(1 to 2)"),
        ({"label": "C"}, {"target_is": "letter"}, "(a to b)"),
        ({"label": "cow"}, {"target_is": "text"}, "(['cat', 'dog'])"),
        ({"choices": ["cat"]}, {}, "a row must have 2 to 26 options, but this one has 1"),
        ({"choices": [f"{n}" for n in range(27)]}, {}, "but this one has 27"),
        ({"choices": ["cat", "cat "]}, {}, "options must differ and not be empty"),
        ({"choices": ["", "cat"]}, {}, "options must differ and not be empty"),
        ({"choices": "cat, dog"}, {}, "column 'choices' must hold a list of texts (in csv, as JSON"),
        ({"choices": [["cat"], "dog"]}, {}, "column 'choices' holds a list, but a cell must be text"),
        ({"choices": {"a": 1}}, {}, "column 'choices' holds a dict, but a cell must be text"),
    ],
)
def test_a_row_that_cannot_be_read_is_one_message(
    tmp_path: Path, change: dict[str, Any], fields: dict[str, Any], rule: str
) -> None:
    rows = [{**ROWS[0], "choices": ["cat", "dog"], "label": 1} for _ in range(2)]
    if fields.get("target_is") == "letter":
        rows = [row | {"label": "B"} for row in rows]
    if fields.get("target_is") == "text":
        rows = [row | {"label": "dog"} for row in rows]
    told = _refusal(tmp_path, [*rows, rows[0] | change], **fields)
    assert rule.replace("row 2", "line 3") in told


def test_rows_without_options_are_dropped_and_counted(tmp_path: Path) -> None:
    data = _loaded(tmp_path, [*ROWS, ROWS[0] | {"choices": []}, ROWS[0] | {"choices": None}])
    assert (len(data.test), data.reports["test"].empty) == (3, 2)


def test_a_list_is_refused_where_a_text_is_meant(tmp_path: Path) -> None:
    rows = [{"text": ["a"], "label": 1}]
    with pytest.raises(DataError, match="column 'text' holds a list"):
        load_task(classification(files(tmp_path, train=rows, validation=rows, test=rows)))


def test_a_prompt_with_the_right_option_alone_is_refused(tmp_path: Path) -> None:
    rows = [row | {"right": row["choices"][row["label"]]} for row in ROWS]
    assert "column 'right' of the prompt equals the target" in _refusal(tmp_path, rows, prompt="{q} {right}")


def test_a_prompt_with_all_options_is_no_leak_where_the_first_is_always_right(tmp_path: Path) -> None:
    rows = [{"q": f"{number}?", "a": f"yes {number}", "b": "no", "label": 0} for number in range(4)]
    assert len(_loaded(tmp_path, rows, options=["a", "b"], prompt="{q} {a} or {b}").test) == 4
    assert "column 'a' of the prompt equals" in _refusal(tmp_path, rows, options=["a", "b"], prompt="{q} {a}")


def test_hidden_answers_are_told_with_a_way_out(tmp_path: Path) -> None:
    hidden = [row | {"label": -1} for row in ROWS]
    source = files(tmp_path, train=ROWS, validation=ROWS, test=hidden)
    with pytest.raises(DataError, match=r"has no answers: .* test on the validation split"):
        load_task(multiple_choice(source))


def test_accuracy_is_the_mean_of_the_rows() -> None:
    examples = [Example(row, "q", "q", "x", letter) for row, letter in enumerate("ABBA")]
    task = multiple_choice()
    assert score(task, examples, ["A", "A", "B", "C"]) == {"eval_accuracy": 0.5}
    assert [row["correct"] for row in score_rows(task, examples, ["A", "A", "B", "C"])] == [1, 0, 1, 0]


def _choices(task: MultipleChoiceSpec, name: str, train: list[Example], test: list[Example]) -> list[Any]:
    return BASELINES["multiple_choice"][name](train, test, task)


def _row(text: str, options: tuple[str, ...], letter: str) -> Example:
    return Example(0, text, text, options["ABC".index(letter)], letter, options)


def test_baselines_choose_by_place_by_how_options_are_written_and_by_the_words_of_the_input() -> None:
    train = [
        _row("feed the dog", ("always red", "dog biscuits"), "B"),
        _row("wash a cat", ("dog biscuits", "never mind"), "A"),
        _row("what now", ("go dog biscuits", "no", "yes"), "A"),
    ]
    test = [_row("the red cat", ("dog biscuits please", "cat red"), "A")]
    task = multiple_choice()
    assert baseline_names(task, test) == ("majority", "options_only", "nearest_option")
    assert _choices(task, "majority", train, test) == ["A"]
    assert _choices(task, "options_only", train, test) == ["A"]
    assert _choices(task, "nearest_option", train, test) == ["B"]


def test_where_no_word_can_be_counted_the_first_option_is_chosen() -> None:
    rows = [_row("?", ("!", "."), "B")]
    for name in ("options_only", "nearest_option"):
        assert _choices(multiple_choice(), name, rows, rows) == ["A"]
