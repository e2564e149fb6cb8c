"""From rows to examples: emptiness, duplicates, overlap, limits and the carved validation split."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.task_specs import classification, example, files, generation, summarization
from tuneoff.errors import DataError
from tuneoff.spec import FilesSource, Task
from tuneoff.tasks import Example, RowCounts, load_task, train_subset
from tuneoff.tasks.load import carve, prompt_filler
from tuneoff.tasks.table import Row

FILL = prompt_filler("{text}")


def _row(text: str, label: int = 1) -> dict[str, object]:
    return {"text": text, "label": label}


def _rows(texts: list[str]) -> list[Row]:
    return [Row(number, "here", {"text": text, "label": "1"}) for number, text in enumerate(texts)]


def _many(prefix: str, count: int) -> list[dict[str, object]]:
    return [_row(f"{prefix} {number}", number % 2) for number in range(count)]


def test_the_prompt_is_filled_as_it_is_written(tmp_path: Path) -> None:
    rows = [{"first name": "{x}", "2": "b", "label": 0}, {"first name": "c", "2": "d\r\ne", "label": 1}]
    source = files(tmp_path, train=rows, test=rows)
    data = load_task(classification(source, prompt="{{{first name}}} and {2}: {first name}"))
    assert [example.source for example in data.test] == ["{{x}} and b: {x}", "{c} and d\ne: c"]


def test_the_text_of_an_example_is_its_prompt_columns_each_once_without_the_prompt(tmp_path: Path) -> None:
    rows = [{"title": "t", "body": "b\r\nc", "other": "o", "label": n} for n in range(2)]
    source = files(tmp_path, train=rows, validation=rows, test=rows)
    data = load_task(classification(source, prompt="Good or bad? {body}, {title}, {body}"))
    assert [example.text for example in data.test] == ["b\nc\nt"] * 2


def test_a_summarization_learns_the_target_column(tmp_path: Path) -> None:
    rows = [{"dialogue": f"A: {n}", "summary": f" S{n}."} for n in range(3)]
    data = load_task(summarization(files(tmp_path, train=rows, validation=rows, test=rows)))
    assert data.test[1] == Example(row=1, source="Summarize: A: 1", text="A: 1", target=" S1.", label=None)
    assert not data.carved_validation
    assert data.revision is None


def test_all_items_of_a_list_are_right_and_the_first_is_learned(tmp_path: Path) -> None:
    rows = [
        {"text": "q1", "reference": ["yes", "yes", "", "sure"]},
        {"text": "q2", "reference": "no"},
        {"text": "q3", "reference": ["", " "]},
        {"text": "q4", "reference": []},
        {"text": "q5", "reference": '["as", "it is"]'},
    ]
    data = load_task(generation(files(tmp_path, train=rows, validation=rows, test=rows)))
    assert [one.references for one in data.test] == [("yes", "sure"), ("no",), ('["as", "it is"]',)]
    assert [one.target for one in data.train] == ["yes", "no", '["as", "it is"]']
    assert data.test[0].reference == "yes | sure"
    assert data.reports["test"].empty == 2


def test_empty_rows_are_dropped_and_counted_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    train = [_row("a"), _row(" \n"), {"text": "b", "label": None}, _row("c")]
    data = load_task(classification(files(tmp_path, train=train, validation=[_row("d")], test=[_row("e")])))
    assert [example.row for example in data.train] == [0, 3]
    assert data.reports["train"] == RowCounts(read=4, empty=2, duplicates=0, overlap=0, dropped_overlap=0)


def test_exact_duplicates_are_counted_and_kept(tmp_path: Path) -> None:
    train = [_row("a"), _row("a"), _row("a", 0), _row("a"), _row("b")]
    data = load_task(classification(files(tmp_path, train=train, validation=[_row("c")], test=[_row("d")])))
    assert data.reports["train"].duplicates == 2
    assert len(data.train) == 5


@pytest.fixture
def overlapping(tmp_path: Path) -> FilesSource:
    return files(
        tmp_path,
        train=[_row("a"), _row("b"), _row("")],
        validation=[_row("a", 0), _row("c"), _row("")],
        test=[_row("b"), _row("a"), _row("d"), _row("c"), _row("d")],
    )


def test_rows_whose_input_occurs_in_train_are_counted_whatever_their_label(overlapping: FilesSource) -> None:
    data = load_task(classification(overlapping))
    assert [data.reports[split].overlap for split in ("train", "validation", "test")] == [0, 1, 2]
    assert [len(data.train), len(data.validation), len(data.test)] == [2, 2, 5]


def test_overlapping_rows_are_left_out_on_request(overlapping: FilesSource) -> None:
    data = load_task(classification(overlapping, drop_overlap=True))
    assert [example.source for example in data.validation] == ["c"]
    assert [example.source for example in data.test] == ["d", "c", "d"]
    counts = RowCounts(read=5, empty=0, duplicates=1, overlap=2, dropped_overlap=2)
    assert data.reports["test"] == replace(counts, repeated_inputs=1, validation_overlap=1)


def test_limits_take_the_first_rows_and_change_neither_counts_nor_digests(overlapping: FilesSource) -> None:
    whole = load_task(classification(overlapping))
    limited = load_task(classification(overlapping, max_eval_samples=1, max_predict_samples=2))
    assert limited.validation == whole.validation[:1]
    assert limited.test == whole.test[:2]
    assert limited.train == whole.train
    assert (limited.reports, limited.digests) == (whole.reports, whole.digests)


def test_a_changed_cell_changes_the_digest_of_its_split_alone(tmp_path: Path) -> None:
    splits = {"train": [_row("a"), _row("b")], "validation": [_row("c")], "test": [_row("d")]}
    before = load_task(classification(files(tmp_path, **splits))).digests
    after = load_task(classification(files(tmp_path, **splits | {"test": [_row("d", 0)]}))).digests
    assert before["test"] != after["test"]
    assert (before["train"], before["validation"]) == (after["train"], after["validation"])


@pytest.mark.parametrize(
    ("test", "fields"),
    [([_row(" ")], {}), ([_row("a")], {"drop_overlap": True})],
    ids=["empty", "overlapping"],
)
def test_a_split_without_usable_rows_is_refused(
    tmp_path: Path, test: list[dict[str, object]], fields: dict[str, object]
) -> None:
    source = files(tmp_path, train=[_row("a")], validation=[_row("c")], test=test)
    with pytest.raises(DataError, match=r"test\.jsonl has no usable rows: of 1, "):
        load_task(classification(source, **fields))


def test_a_single_training_label_is_no_error(tmp_path: Path) -> None:
    data = load_task(classification(files(tmp_path, train=[_row("a"), _row("b")], test=_many("t", 2))))
    assert {example.label for example in data.train} == {"1"}


def test_a_missing_validation_split_is_a_tenth_of_train(tmp_path: Path) -> None:
    source = files(tmp_path, train=[*_many("a", 40), _row("")], test=_many("t", 2))
    data = load_task(classification(source))
    assert data.carved_validation
    assert (len(data.train), len(data.validation)) == (36, 4)
    assert (data.reports["train"].read, data.reports["validation"].read) == (37, 4)
    numbers = [example.row for example in data.validation]
    assert numbers == sorted(numbers)
    assert sorted(numbers + [example.row for example in data.train]) == list(range(40))
    assert load_task(classification(source)) == data


@pytest.mark.parametrize(("rows", "wanted"), [(2, 1), (19, 1), (20, 2), (12_000, 1000)])
def test_the_carved_split_has_one_to_a_thousand_rows(rows: int, wanted: int) -> None:
    train, validation = carve(
        _rows([str(row) for row in range(rows)]), FILL, "validation", name="train", share=0.1, most=1000
    )
    assert (len(train), len(validation)) == (rows - wanted, wanted)


@given(st.lists(st.sampled_from(["", *"abcdefgh"]), max_size=60))
def test_the_carved_split_shares_no_input_with_train(texts: list[str]) -> None:
    if len(set(texts) - {""}) < 2:
        with pytest.raises(DataError, match="different inputs, too few to split off validation rows"):
            carve(_rows(texts), FILL, "validation", name="train", share=0.1, most=1000)
        return
    train, validation = carve(_rows(texts), FILL, "validation", name="train", share=0.1, most=1000)
    assert sorted((*train, *validation)) == _rows(texts)
    assert validation and all(row.cells["text"] for row in validation)
    assert {row.cells["text"] for row in train} - {""}
    assert not {row.cells["text"] for row in train} & {row.cells["text"] for row in validation}


@given(
    count=st.integers(1, 60), sizes=st.tuples(st.integers(1, 60), st.integers(1, 60)), seed=st.integers(0, 99)
)
def test_smaller_subsets_lie_within_larger_ones(count: int, sizes: tuple[int, int], seed: int) -> None:
    examples = [example(str(row), row=row) for row in range(count)]
    small, large = sorted(min(size, count) for size in sizes)
    subset = train_subset(examples, small, seed=seed)
    assert subset == train_subset(examples, large, seed=seed)[:small]
    assert len(set(subset)) == small
    assert set(subset) <= set(examples)


def test_another_seed_draws_another_subset() -> None:
    examples = [example(str(row), row=row) for row in range(1000)]
    assert set(train_subset(examples, 100, seed=0)) != set(train_subset(examples, 100, seed=1))


def test_the_full_size_keeps_all_rows_in_file_order() -> None:
    examples = tuple(example(str(row), row=row) for row in range(9))
    assert train_subset(examples, "full", seed=3) == examples


def test_a_size_beyond_the_rows_is_refused() -> None:
    with pytest.raises(
        DataError,
        match="train size 10 exceeds the number of usable training rows, 1; lower train_sizes",
    ):
        train_subset([example("a")], 10, seed=0)


def _counts(spec: Task) -> dict[str, RowCounts]:
    return dict(load_task(spec).reports)


def test_counts_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    train = [_row("a"), _row("b"), _row("a"), _row(""), _row("c")]
    test = [_row("a"), _row("x"), _row("c"), _row("c")]
    one = files(tmp_path, train=train, validation=test, test=test)
    (tmp_path / "other").mkdir()
    other = files(tmp_path / "other", train=train[::-1], validation=test[::-1], test=test[::-1])
    assert _counts(classification(one)) == _counts(classification(other))


def _labels_read(folder: Path, cells: Sequence[object], labels: dict[str, str]) -> list[str | None]:
    rows = [{"text": f"t{number}", "label": cell} for number, cell in enumerate(cells)]
    data = load_task(classification(files(folder, train=rows, validation=rows, test=rows), labels=labels))
    return [example.label for example in data.test]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        ([1, 0, 1.0, 0.0, "1", "1.00", " 0 ", "1e0"], ["1", "0"]),
        ([1, 0.0], ["1.0", "0.0"]),
        ([True, False, "True", "TRUE", "false"], ["True", "False"]),
        ([True, "FALSE"], ["true", "false"]),
        ([-1, 1.0], ["-1", "+1"]),
        (["01", "1", "1.0", 1, "001"], ["01", "1", "001"]),
        (["a ", " b"], ["a", " b"]),
    ],
)
def test_a_label_is_known_by_its_spellings(tmp_path: Path, cells: list[object], values: list[str]) -> None:
    read = _labels_read(tmp_path, cells, {value: f"text {value}" for value in values})
    assert set(read) == set(values)


def test_the_spelling_in_the_study_comes_first(tmp_path: Path) -> None:
    labels = {"1": "one", "1.0": "one point zero", "true": "small", "True": "large"}
    assert _labels_read(tmp_path, ["1.0", "1", "True", "true"], labels) == ["1.0", "1", "True", "true"]


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        ("1.00", ["1", "1.0"]),
        ("TRUE", ["True", "true"]),
        ("01", ["1", "0"]),
        ("A", ["a", "b"]),
        ("1", ["true", "0"]),
    ],
)
def test_two_labels_are_never_taken_for_one(tmp_path: Path, cell: str, values: list[str]) -> None:
    with pytest.raises(
        DataError, match=rf"line 1: column 'label' holds '{cell}', which is none of the labels"
    ):
        _labels_read(tmp_path, [cell], dict(zip(values, ("one", "two"), strict=True)))


@pytest.mark.parametrize("value", ["", " ", "\u3000"])
def test_a_label_that_no_row_can_have_is_refused(value: str) -> None:
    with pytest.raises(DataError, match="a label's value must not be empty"):
        load_task(classification(labels={value: "none", "x": "some"}))


def test_a_prompt_with_the_target_column_is_refused(tmp_path: Path) -> None:
    source = files(tmp_path, train=_many("a", 4), validation=_many("b", 2), test=_many("c", 2))
    told = r"'\{text\} \{label\}' contains the target column 'label', .*; remove it, or set allow_target_in"
    with pytest.raises(DataError, match=told):
        load_task(classification(source, prompt="{text} {label}"))
    allowed = classification(source, prompt="{text} {label}", allow_target_in_prompt=True)
    assert load_task(allowed).test[1].source == "c 1 1"


@pytest.mark.parametrize(
    ("copy", "relation"),
    [
        (lambda label: label, "equals"),
        (lambda label: float(label), "equals"),
        (lambda label: ("Negative", "Positive")[label], "equals"),
        (lambda label: f"LABEL_{label}", "maps one to one to"),
    ],
)
def test_a_prompt_with_a_copy_of_the_target_is_refused(
    tmp_path: Path, copy: Callable[[int], object], relation: str
) -> None:
    rows = [{"text": f"t{n}", "gold": copy(n % 2), "label": n % 2} for n in range(10)]
    source = files(tmp_path, train=rows, validation=rows, test=rows)
    with pytest.raises(
        DataError, match=f"column 'gold' of the prompt {relation} the target 'label' in every row"
    ):
        load_task(classification(source, prompt="{text} ({gold})"))
    assert load_task(classification(source, prompt="{text} ({gold})", allow_target_in_prompt=True)).test


def test_a_column_that_differs_from_the_target_in_one_row_is_none_of_its_copies(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "guess": n % 2, "label": n % 2} for n in range(30)]
    wrong = [*rows, {"text": "x", "guess": 1, "label": 0}]
    source = files(tmp_path, train=rows, validation=rows, test=wrong)
    assert load_task(classification(source, prompt="{text} {guess}")).test


def test_the_only_column_may_go_one_to_one_with_the_labels(tmp_path: Path) -> None:
    rows = [_row(("bad", "good")[n % 2], n % 2) for n in range(30)]
    assert load_task(classification(files(tmp_path, train=rows, validation=rows, test=rows))).test


def test_a_summary_in_the_prompt_is_refused_under_any_name(tmp_path: Path) -> None:
    rows = [{"dialogue": f"A: {n}", "abstract": f"S {n}", "summary": f" S {n}"} for n in range(3)]
    source = files(tmp_path, train=rows, validation=rows, test=rows)
    with pytest.raises(
        DataError, match="column 'abstract' of the prompt equals the target 'summary' in every row"
    ):
        load_task(summarization(source, prompt="{dialogue} {abstract}"))
