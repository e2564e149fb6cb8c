"""Reading of local files: what every format gives, and each way in which a file can be unusable."""

import gzip
import io
import json
import os
import tracemalloc
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from helpers.task_specs import classification, files
from tuneoff.errors import DataError
from tuneoff.spec import FilesSource
from tuneoff.tasks import TaskData, load_task
from tuneoff.tasks.files import read_file, unchanged
from tuneoff.tasks.table import text_rows

ROWS = [
    {"text": "good, really", "label": 1},
    {"text": 'she said "no"', "label": 0},
    {"text": "two\nlines with é", "label": 1},
]


_BAD_TEXT = [pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0"), pyarrow.py_buffer(b"\xff")]


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
    """Return the message with which a file is refused, without the folder."""
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
    with pytest.raises(DataError, match=r"there is no file '.*absent\.csv'; correct the path"):
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
    with pytest.raises(DataError, match="cannot read"):
        _load(path)


def test_an_unknown_ending_gets_the_known_ones(tmp_path: Path) -> None:
    told = _refusal(tmp_path, "data.jsnl", "{}")
    assert "unsupported file type '.jsnl'" in told and "did you mean '.json" in told and ".parquet" in told


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "is empty" in _refusal(tmp_path, "data.csv", "\n")


@pytest.mark.parametrize(("name", "content"), [("data.csv", "text,label\n"), ("data.json", "[]")])
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str, content: str) -> None:
    assert "has no rows" in _refusal(tmp_path, name, content)


def test_a_file_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    assert "byte 0xe9 at line 2" in _refusal(tmp_path, "data.csv", b"text,label\ncaf\xe9,1\n")


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    assert "cannot read '/data.parquet' as Parquet" in _refusal(tmp_path, "data.parquet", b"PAR1 and no more")


def test_broken_json_is_told_with_its_line(tmp_path: Path) -> None:
    assert "at line 3" in _refusal(tmp_path, "data.json", '[\n{"text": "a"},\n{"text"}]')
    assert "at line 2" in _refusal(tmp_path, "data.jsonl", '{"text": "a", "label": 1}\n{"text": \n')


def test_json_must_be_a_list_of_objects(tmp_path: Path) -> None:
    assert "'/data.json' holds a dict, but a .json" in _refusal(tmp_path, "data.json", '{"a": 1}')
    assert "holds a str at row 1" in _refusal(tmp_path, "data.json", '[{"text": "a", "label": 1}, "b"]')
    assert "holds null at line 1" in _refusal(tmp_path, "data.jsonl", "null")


def test_endlessly_nested_json_is_refused(tmp_path: Path) -> None:
    assert "nested too deeply" in _refusal(tmp_path, "data.json", "[" * 200_000)


def test_a_missing_column_gets_near_matches_and_the_columns(tmp_path: Path) -> None:
    told = _refusal(tmp_path, "data.csv", "txt,label\na,1\n")
    assert (
        "/data.csv has no column 'text' (used in prompt or target); did you mean 'txt'? (known: label, txt)"
        in told
    )


@pytest.mark.parametrize(("row", "cells"), [("a", 1), ("a,b,1", 3)])
def test_a_csv_row_with_too_few_or_too_many_cells_is_told_with_its_line(
    tmp_path: Path, row: str, cells: int
) -> None:
    told = _refusal(tmp_path, "data.csv", f'text,label\n"two\nlines",1\n{row}\n')
    assert f"has {cells} instead of 2 cells at line 4" in told


def test_an_unclosed_quote_is_told_with_the_line_where_its_row_begins(tmp_path: Path) -> None:
    assert "in the row from line 3" in _refusal(tmp_path, "data.csv", 'text,label\na,1\n"b,0\nc,1\n')


def test_a_repeated_column_that_the_task_uses_is_refused(tmp_path: Path) -> None:
    rule = "has 2 columns named 'text'; rename them"
    assert rule in _refusal(tmp_path, "data.csv", "text,label,text\na,1,b\n")
    table = pyarrow.Table.from_arrays(
        [pyarrow.array(["a"]), pyarrow.array([1]), pyarrow.array(["b"])], names=["text", "label", "text"]
    )
    assert rule in _refusal(tmp_path, "data.parquet", _parquet(table))
    told = _refusal(
        tmp_path, "data.jsonl", '{"text": "a", "label": 1}\n{"text": "a", "label": 1, "label": 0}\n'
    )
    assert "from line 2 on: an object repeats the key 'label'" in told


def test_repeated_and_unnamed_columns_that_the_task_does_not_use_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(",text,label,note,note,\n0,a,1,x,y,\n1,b,0,x,y,\n")
    (tmp_path / "data.jsonl").write_text(
        '{"text": "a", "label": 1, "x": 1, "x": 2}\n{"text": "b", "label": 0}'
    )
    columns = [["a", "b"], [1, 0], ["x", "x"], ["y", "y"]]
    table = pyarrow.Table.from_arrays([*map(pyarrow.array, columns)], names=["text", "label", "note", "note"])
    (tmp_path / "data.parquet").write_bytes(_parquet(table))
    for name in ("data.csv", "data.jsonl", "data.parquet"):
        assert [example.source for example in _load(tmp_path / name).test] == ["a", "b"]


def test_only_the_wanted_columns_are_kept(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text,label,note\na,1,x\n")
    (tmp_path / "data.json").write_text('[{"text": "a", "label": 1, "note": "x"}]')
    (tmp_path / "data.parquet").write_bytes(
        _parquet(pyarrow.table({"text": ["a"], "label": [1], "note": ["x"]}))
    )
    for name in ("data.csv", "data.json", "data.parquet"):
        table = read_file(tmp_path / name, ("text", "label"))
        assert table.records[0].cells.keys() == {"text", "label"}
        assert table.columns == ("text", "label", "note")


@pytest.mark.parametrize("value", ["[1]", '{"a": 1}'])
def test_a_nested_cell_is_refused(tmp_path: Path, value: str) -> None:
    told = _refusal(tmp_path, "data.json", f'[{{"text": {value}, "label": 1}}]')
    assert "column 'text' holds a" in told and "row 0" in told


def test_a_nested_parquet_column_is_refused_by_name_and_type(tmp_path: Path) -> None:
    table = pyarrow.table({"text": [["a"], ["b"]], "label": [1, 0]})
    assert "column 'text' of '/data.parquet' holds 'list<" in _refusal(
        tmp_path, "data.parquet", _parquet(table)
    )


def _parquet(table: pyarrow.Table) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (pyarrow.array([b"caf\xc3\xa9"], pyarrow.binary()), "café"),
        (pyarrow.array([b"abc"], pyarrow.binary(3)), "abc"),
        (pyarrow.array([b"abc"], pyarrow.large_binary()), "abc"),
        (pyarrow.array(["abc"], pyarrow.large_string()), "abc"),
        (pyarrow.array(["abc"], pyarrow.string_view()), "abc"),
        (pyarrow.array(["abc"]).dictionary_encode(), "abc"),
        (pyarrow.array([b"abc"]).dictionary_encode(), "abc"),
        (pyarrow.array([datetime(2024, 5, 1, 12, 30)], pyarrow.timestamp("ns")), "2024-05-01 12:30:00"),
        (pyarrow.array([datetime(2024, 5, 1, 12, 30)], pyarrow.timestamp("s")), "2024-05-01 12:30:00"),
        (pyarrow.array([date(2024, 5, 1)]), "2024-05-01"),
        (pyarrow.array([Decimal("1E+2")], pyarrow.decimal128(5, 1)), "100.0"),
        (pyarrow.array([Decimal("0.0000001")], pyarrow.decimal128(9, 7)), "0.0000001"),
        (pyarrow.array([True]), "true"),
        (pyarrow.array([0.5], pyarrow.float16()), "0.5"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pyarrow.Array) else "",
)
def test_a_parquet_column_of_single_values_is_text(tmp_path: Path, array: pyarrow.Array, text: str) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(_parquet(pyarrow.table({"text": array})))
    assert [row.cells["text"] for row in text_rows(read_file(path, ["text"]), ["text"])] == [text]


@pytest.mark.parametrize(
    ("array", "rule"),
    [
        (pyarrow.array([b"\xff"]), "column 'text' holds bytes that are not UTF-8 (b'\\xff')"),
        (
            pyarrow.array([2**62], pyarrow.timestamp("us")),
            "cannot read a value of '/data.parquet' between row 0 and row 0",
        ),
        (
            pyarrow.array([2**60], pyarrow.date64()),
            "cannot read a value of '/data.parquet' between row 0 and row 0",
        ),
        (
            pyarrow.Array.from_buffers(pyarrow.string(), 1, [None, *_BAD_TEXT]),
            "cannot read a value of '/data.parquet' between row 0 and row 0",
        ),
    ],
    ids=["bytes", "timestamp", "date", "string"],
)
def test_a_parquet_value_that_is_no_text_is_refused(tmp_path: Path, array: pyarrow.Array, rule: str) -> None:
    table = pyarrow.table({"text": array, "label": [1]})
    assert rule in _refusal(tmp_path, "data.parquet", _parquet(table))


def test_dots_in_parquet_column_names_are_part_of_them(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    columns = {
        "reviews": ["x", "y"],
        "reviews.text": ["a", "b"],
        "meta": [{"text": "z"}] * 2,
        "label": [1, 0],
    }
    path.write_bytes(_parquet(pyarrow.table(columns)))
    assert [example.source for example in _load(path, prompt="{reviews.text}").test] == ["a", "b"]


@pytest.mark.parametrize("name", ["reviews.text", "text [en]", "review: body", "a!r", " text", "größe", "0"])
def test_a_prompt_names_a_column_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps({name: text, "label": 1, "text": "z"}) for text in "ab"))
    examples = _load(path, prompt=f"{{{{x}}}} {{{name}}}!").test
    assert [example.source for example in examples] == ["{x} a!", "{x} b!"]


@pytest.mark.parametrize("field", ["text!r:>10", "text!r", "text:>10", "text.upper", "text[0]"])
def test_conversions_formats_attributes_and_indexes_in_braces_are_refused(tmp_path: Path, field: str) -> None:
    told = _refusal(tmp_path, "data.csv", "text,label\na,1\n", prompt=f"{{{field}}}")
    assert "without conversion, format, attribute or index: write {text}" in told


def test_braces_around_no_column_are_to_be_doubled(tmp_path: Path) -> None:
    told = _refusal(tmp_path, "data.csv", "text,label\na,1\n", prompt='Answer as {"label": "x"}: {text}')
    assert "meant literally, double them: {{...}}" in told


def test_json_lines_in_a_json_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    datasets.Dataset.from_list(ROWS).to_json(path)
    assert [example.source for example in _load(path).test] == [row["text"] for row in ROWS]
    datasets.Dataset.from_list(ROWS[:1]).to_json(path)
    assert len(read_file(path, ("text", "label")).records) == 1


def test_a_number_too_long_for_python_is_one_message(tmp_path: Path) -> None:
    told = _refusal(tmp_path, "data.json", f'[{{"text": "a", "label": {"1" * 5000}}}]')
    assert "cannot read '/data.json' from line 1 on" in told and len(told) < 400


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_line_ends_and_marked_encodings_make_no_difference(
    tmp_path: Path, end: str, encoding: str, ending: str
) -> None:
    lines = {
        "csv": ["text,label", "é,1", "b,0", ""],
        "tsv": ["text\tlabel", "é\t1", "b\t0", ""],
        "jsonl": ['{"text": "é", "label": 1}', '{"text": "b", "label": 0}', ""],
    }
    path = tmp_path / f"data.{ending}"
    path.write_bytes(end.join(lines[ending]).encode(encoding))
    assert [(example.source, example.label) for example in _load(path).test] == [("é", "1"), ("b", "0")]


def test_text_with_zero_bytes_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "byte 0x00 at line 2" in _refusal(tmp_path, "data.csv", "text,label\na\0,1\n")
    assert "byte 0x00 at line 1" in _refusal(tmp_path, "data.csv", "text,label".encode("utf-16-le"))


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_format_may_be_compressed_with_gzip(tmp_path: Path, ending: str) -> None:
    plain = tmp_path / f"data.{ending}"
    _write(plain)
    packed = tmp_path / f"packed.{ending}.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert _load(packed).digests == _load(plain).digests


def test_what_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    text = "text,label\n" + "a,1\n" * 1000
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(text.encode()))
    table = pyarrow.table({"text": ["a" * 50] * 1000, "label": [1] * 1000})
    (tmp_path / "data.parquet").write_bytes(_parquet(table))
    (tmp_path / "nulls.parquet").write_bytes(_parquet(pyarrow.table({"text": pyarrow.nulls(1000)})))
    for name in ("data.csv.gz", "data.parquet", "nulls.parquet"):
        with pytest.raises(DataError, match=rf"'.*{name}' unpacks to more than 2,000 bytes"):
            read_file(tmp_path / name, ["text"], most_unpacked=2000)
    assert len(read_file(tmp_path / "data.csv.gz", ["text"], most_unpacked=len(text)).records) == 1000


def test_a_small_compressed_file_takes_little_memory(tmp_path: Path) -> None:
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(b"text,label\na,0\n"))
    tracemalloc.start()
    try:
        assert len(read_file(tmp_path / "data.csv.gz", ["text"]).records) == 1
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        (
            "data.csv",
            gzip.compress(b"text,label\n", mtime=0),
            "is not text but gzip data; add .gz to its name",
        ),
        ("data.csv", b"PK\x03\x04\x14\0\x06\0", "is not text but a zip archive or an Excel sheet"),
        ("data.csv.gz", b"text,label\n", "is not a complete gzip file"),
        ("data.csv.gz", gzip.compress(b"text,label\na,1\n", mtime=0)[:-4], "is not a complete gzip file"),
        ("data.jsonl.zst", b"", "is compressed, and only gzip (.csv.gz)"),
        ("data.csv", "txt;lab\na;1\n", "seem to be separated by ';', not by ','"),
        ("data.tsv", "txt,lab\na,1\n", "seem to be separated by ',', not by tabs"),
        ("data.csv", "id;text,note;label\n1;a,b;1\n", "has no column 'text'"),
        (
            "data.csv",
            "a film,1\nb,0\n",
            "Its first line holds 'a film', '1': if that is a row, write a line with",
        ),
        (
            "data.jsonl",
            '[{"text": "a", "label": 1}]',
            "holds a list at line 1, but every row must be an object",
        ),
    ],
)
def test_the_likely_cause_is_named(tmp_path: Path, name: str, content: str | bytes, cause: str) -> None:
    assert cause in _refusal(tmp_path, name, content)


def test_a_header_with_near_matches_is_not_taken_for_a_row(tmp_path: Path) -> None:
    refusal = _refusal(tmp_path, "data.csv", "Text,Label\na,1\n")
    assert "did you mean 'Text'?" in refusal
    assert "first line" not in refusal


@pytest.mark.parametrize(("name", "separator"), [("data.csv", ";"), ("data.csv", "\t"), ("data.tsv", ",")])
def test_another_separator_is_taken_if_the_header_shows_it(tmp_path: Path, name: str, separator: str) -> None:
    path = tmp_path / name
    rows = [["label", "text"], ["1", "a | b"], ["0", "c: d"]]
    path.write_text("\n".join(map(separator.join, rows)))
    assert [example.source for example in _load(path).test] == ["a | b", "c: d"]


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX file system")
def test_pipes_and_links_to_nothing_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "absent.csv")
    with pytest.raises(DataError, match=r"'.*pipe\.csv' is a pipe or a device"):
        _load(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match=r"'.*link\.csv' is a broken link"):
        _load(tmp_path / "link.csv")


def test_a_name_too_long_for_the_system_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        _load(tmp_path / f"{'a' * 300}.csv")


@pytest.mark.parametrize("error", [None, DataError("half a row")])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, error: DataError | None) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text,label\n")
    with (
        path.open("rb") as file,
        pytest.raises(DataError, match=r"'.*data\.csv' changed while it was read"),
        unchanged(path, file),
    ):
        path.write_text("text,label\na,1\n")
        if error:
            raise error


@pytest.mark.parametrize("answer", [-1, -1.0, "", None])
def test_hidden_answers_are_named_with_what_to_do(tmp_path: Path, answer: object) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": 0}]
    source = files(tmp_path, train=rows, validation=rows, test=[row | {"label": answer} for row in rows])
    with pytest.raises(
        DataError, match=r"has no answers: .* in all rows; test on the validation split"
    ) as caught:
        load_task(classification(source))
    assert "source: {files: {train: ..., test: the validation file}}" in str(caught.value)


def test_a_label_that_is_called_minus_one_is_not_hidden(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": -1}, {"text": "b", "label": 1}]
    source = files(tmp_path, train=rows, test=rows[:1])
    assert [
        example.label for example in load_task(classification(source, labels={"-1": "x", "1": "y"})).test
    ] == ["-1"]


def test_a_split_without_the_answers_that_the_others_have_is_named(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": 0}]
    source = files(tmp_path, train=rows, test=[{"text": "a"}])
    with pytest.raises(
        DataError, match=r"test\.jsonl has no column 'label', which the other splits have; add it, or if"
    ):
        load_task(classification(source))


def test_half_of_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    assert "surrogate" in _refusal(tmp_path, "data.jsonl", '{"text": "\\ud83d", "label": 1}')


def test_a_label_outside_the_set_is_told_with_its_line_and_the_allowed_ones(tmp_path: Path) -> None:
    told = _refusal(tmp_path, "data.csv", "text,label\na,1\nb,2\n")
    assert "/data.csv, line 3: column 'label' holds '2', which is none of the labels ['0', '1']" in told
