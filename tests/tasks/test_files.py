"""Reading of local files: what every format gives, and each way in which a file can be unusable."""

import json
import os
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from tasks.specs import classification
from tuneoff.errors import DataError
from tuneoff.spec import FilesSource
from tuneoff.tasks import TaskData, load_task

ROWS = [
    {"text": "good, really", "label": 1},
    {"text": 'she said "no"', "label": 0},
    {"text": "two\nlines with é", "label": 1},
]


def _write(path: Path) -> None:
    match path.suffix:
        case ".csv":
            path.write_bytes(
                b'text,label\r\n"good, really",1\r\n"she said ""no""",0\r\n"two\r\nlines with \xc3\xa9",1\r\n'
            )
        case ".tsv":
            path.write_bytes(
                b'label\ttext\n1\tgood, really\n0\t"she said ""no"""\n1\t"two\nlines with \xc3\xa9"\n'
            )
        case ".json":
            path.write_text(json.dumps(ROWS), encoding="utf-8")
        case ".jsonl":
            path.write_text("\n\n".join(map(json.dumps, ROWS)) + "\n", encoding="utf-8")
        case ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)


def _load(train: Path, **fields: object) -> TaskData:
    return load_task(classification(FilesSource(files={"train": str(train), "test": str(train)}), **fields))


def _refusal(folder: Path, name: str, content: str | bytes, **fields: object) -> str:
    """The message with which a file is refused, without the folder."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as caught:
        _load(path, **fields)
    assert name in str(caught.value)
    return str(caught.value).replace(str(folder), "")


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_format_gives_the_same_text(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"data.{ending}"
    _write(path)
    examples = _load(path).test
    assert [example.source for example in examples] == ["good, really", 'she said "no"', "two\nlines with é"]
    assert [(example.row, example.label) for example in examples] == [(0, "1"), (1, "0"), (2, "1")]
    assert [example.target for example in examples] == ["positive", "negative", "positive"]


def test_equal_rows_have_equal_digests_whatever_the_format(tmp_path: Path) -> None:
    digests = set()
    for ending in ("csv", "tsv", "json", "jsonl", "parquet"):
        path = tmp_path / f"data.{ending}"
        _write(path)
        digests.add(_load(path).digests["test"])
    assert len(digests) == 1


def test_a_byte_order_mark_is_no_part_of_the_first_column_name(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"\xef\xbb\xbftext,label\na,1\nb,0\n")
    assert len(_load(path).test) == 2


def test_a_line_separator_inside_a_json_text_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "a\u2028b", "label": 1}\r\n{"text": "c", "label": 0}', encoding="utf-8")
    assert [example.source for example in _load(path).test] == ["a\u2028b", "c"]


def test_truth_values_and_missing_cells_become_text(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('[{"t": "a", "l": true}, {"t": "b", "l": false}, {"t": null, "l": true}, {"l": true}]')
    data = _load(path, prompt="{t}", target="l", labels={"true": "yes", "false": "no"})
    assert [example.label for example in data.test] == ["true", "false"]
    assert data.reports["test"].empty == 2


def test_a_column_that_the_task_does_not_use_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    rows = [{"text": "a", "label": 1, "tags": ["x"]}, {"text": "b", "label": 0, "tags": []}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert len(_load(path).test) == 2


def test_a_csv_cell_may_be_longer_than_the_csv_module_allows_by_default(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"text,label\n{'a' * 200_000},1\nb,0\n")
    assert len(_load(path).test[0].source) == 200_000


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must exist, but there is no '.*absent\.csv'; correct the path"):
        _load(tmp_path / "absent.csv")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "data.csv").mkdir()
    with pytest.raises(DataError, match=r"data\.csv' is a folder"):
        _load(tmp_path / "data.csv")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is forbidden to this user")
def test_a_file_without_permission_is_told(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.touch(mode=0)
    with pytest.raises(DataError, match="no permission to read"):
        _load(path)


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX file system")
def test_a_file_that_the_system_cannot_open_is_told(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.symlink_to(path)
    with pytest.raises(DataError, match="must be readable"):
        _load(path)


def test_an_unknown_ending_gets_the_known_ones(tmp_path: Path) -> None:
    told = _refusal(tmp_path, "data.jsnl", "{}")
    assert "'.jsnl'" in told and "did you mean '.json" in told and ".parquet" in told


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "is empty" in _refusal(tmp_path, "data.csv", "\n")


@pytest.mark.parametrize(("name", "content"), [("data.csv", "text,label\n"), ("data.json", "[]")])
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str, content: str) -> None:
    assert "has none" in _refusal(tmp_path, name, content)


def test_a_file_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    assert "at line 2 (byte 0xe9)" in _refusal(tmp_path, "data.csv", b"text,label\ncaf\xe9,1\n")


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    assert "must be whole" in _refusal(tmp_path, "data.parquet", b"PAR1 and no more")


def test_broken_json_is_told_with_its_line(tmp_path: Path) -> None:
    assert "at line 3" in _refusal(tmp_path, "data.json", '[\n{"text": "a"},\n{"text"}]')
    assert "at line 2" in _refusal(tmp_path, "data.jsonl", '{"text": "a", "label": 1}\n{"text": \n')


def test_json_must_be_a_list_of_objects(tmp_path: Path) -> None:
    assert "list of objects, but '/data.json' holds a dict" in _refusal(tmp_path, "data.json", '{"a": 1}')
    assert "holds a str at row 1" in _refusal(tmp_path, "data.json", '[{"text": "a", "label": 1}, "b"]')
    assert "holds null at line 1" in _refusal(tmp_path, "data.jsonl", "null")


def test_endlessly_nested_json_is_refused(tmp_path: Path) -> None:
    assert "nested too deeply" in _refusal(tmp_path, "data.json", "[" * 200_000)


def test_a_missing_column_gets_near_matches_and_the_columns(tmp_path: Path) -> None:
    told = _refusal(tmp_path, "data.csv", "txt,label\na,1\n")
    assert "unknown name 'text'; did you mean 'txt'? (known: label, txt)" in told


@pytest.mark.parametrize(("row", "cells"), [("a", 1), ("a,b,1", 3)])
def test_a_csv_row_with_too_few_or_too_many_cells_is_told_with_its_line(
    tmp_path: Path, row: str, cells: int
) -> None:
    told = _refusal(tmp_path, "data.csv", f'text,label\n"two\nlines",1\n{row}\n')
    assert f"has {cells} instead of 2 at line 4" in told


def test_an_unclosed_quote_is_told_with_the_line_where_its_row_begins(tmp_path: Path) -> None:
    assert "in the row from line 3" in _refusal(tmp_path, "data.csv", 'text,label\na,1\n"b,0\nc,1\n')


def test_a_repeated_column_name_is_refused(tmp_path: Path) -> None:
    assert "repeats ['text']" in _refusal(tmp_path, "data.csv", "text,label,text\na,1,b\n")


@pytest.mark.parametrize("value", ["[1]", '{"a": 1}'])
def test_a_nested_cell_is_refused(tmp_path: Path, value: str) -> None:
    told = _refusal(tmp_path, "data.json", f'[{{"text": {value}, "label": 1}}]')
    assert "column 'text' holds a" in told and "row 0" in told


def test_half_of_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    assert "surrogate" in _refusal(tmp_path, "data.jsonl", '{"text": "\\ud83d", "label": 1}')


def test_a_label_outside_the_set_is_told_with_its_line_and_the_allowed_ones(tmp_path: Path) -> None:
    told = _refusal(tmp_path, "data.csv", "text,label\na,1\nb,2\n")
    assert "one of ['0', '1'], but column 'label' holds '2' at /data.csv, line 3" in told
