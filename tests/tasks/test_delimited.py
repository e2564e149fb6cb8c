"""Tables in delimited text against what wrote them: Python's csv module, pandas, and people."""

import csv
import io
from pathlib import Path

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneoff.errors import DataError
from tuneoff.tasks.delimited import read_delimited

CSV, TSV = ",", "\t"
PLAIN = st.text("ab;'é\u2028", min_size=1, max_size=5)
ROUGH = st.text('ab ,\t\n"', max_size=8)
SEPARATORS = st.sampled_from([CSV, TSV])
QUOTING = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])


def _read(text: str, separator: str, width: int = 2) -> list[list[str]]:
    columns = [f"c{column}" for column in range(width)]
    path = Path("data.tsv" if separator == TSV else "data.csv")
    table = read_delimited(path, text, columns, separator=separator)
    if set(columns) - set(table.columns):
        raise DataError("the header is damaged")
    return [[str(record.cells[column]) for column in columns] for record in table.records]


@st.composite
def _tables(draw: st.DrawFn, cells: st.SearchStrategy[str]) -> list[list[str]]:
    """Draw tables of two to four columns and up to six rows."""
    width = draw(st.integers(2, 4))
    return draw(st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=6))


def _header(rows: list[list[str]]) -> list[str]:
    return [f"c{column}" for column in range(len(rows[0]))]


def _written(rows: list[list[str]], separator: str, quoting: int, end: str) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=separator, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerows([_header(rows), *rows])
    return buffer.getvalue()


@given(_tables(ROUGH), SEPARATORS, QUOTING, st.sampled_from(["\n", "\r\n"]))
def test_what_the_csv_module_writes_is_read_back_or_refused_as_lines_like_rows(
    rows: list[list[str]], separator: str, quoting: int, end: str
) -> None:
    text = _written(rows, separator, quoting, end)
    try:
        assert _read(text, separator, len(rows[0])) == rows
    except DataError as error:
        assert "its lines look like rows" in str(error)
        assert end == "\n"
        assert any(separator in cell and "\n" in cell for row in rows for cell in row) or any(
            sum("\n" in cell for cell in row) > 1 for row in rows
        )


@given(_tables(st.text('ab "', max_size=8)), SEPARATORS, QUOTING)
def test_what_pandas_writes_is_read_back(rows: list[list[str]], separator: str, quoting: int) -> None:
    frame = pandas.DataFrame(rows, columns=_header(rows))
    text = frame.to_csv(index=False, sep=separator, quoting=quoting)  # type: ignore[call-overload]
    assert _read(text, separator, len(rows[0])) == rows


@given(_tables(PLAIN), SEPARATORS)
def test_what_pandas_writes_without_quotes_is_read_back(rows: list[list[str]], separator: str) -> None:
    frame = pandas.DataFrame(rows, columns=_header(rows))
    text = frame.to_csv(index=False, sep=separator, quoting=csv.QUOTE_NONE)
    assert _read(text, separator, len(rows[0])) == rows


@given(
    _tables(PLAIN),
    SEPARATORS,
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.data(),
)
def test_stray_quotes_lose_no_row_in_silence(
    rows: list[list[str]], separator: str, quoting: int, data: st.DataObject
) -> None:
    text = _written(rows, separator, quoting, "\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        text = f'{text[:at]}"{text[at:]}'
    try:
        read = _read(text, separator, len(rows[0]))
    except DataError:
        return
    assert len(read) == len(rows)


@given(_tables(PLAIN), SEPARATORS, st.data())
def test_a_quote_before_one_cell_and_one_after_a_later_one_lose_no_row_in_silence(
    rows: list[list[str]], separator: str, data: st.DataObject
) -> None:
    cells = [[*row] for row in rows]
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(rows) - 1)] * 2)))
    column = data.draw(st.integers(0, len(rows[0]) - 1))
    cells[first][column] = f'"{cells[first][column]}'
    cells[last][column] = f'{cells[last][column]}"'
    text = "\n".join(map(separator.join, [_header(rows), *cells]))
    try:
        read = _read(text, separator, len(rows[0]))
    except DataError:
        assert first < last
    else:
        assert len(read) == len(rows)


@given(st.lists(st.text("ab\"' ", max_size=6).filter(str.strip), min_size=1, max_size=6))
def test_quotes_in_tab_separated_text_stay_or_enclose_a_cell(texts: list[str]) -> None:
    lines = ["c0\tc1", *(f"{text}\tx" for text in texts)]
    try:
        read = [text for text, _ in _read("\n".join(lines), TSV)]
    except DataError as error:
        assert "its lines look like rows" in str(error)
        return
    assert len(read) == len(texts)
    for cell, text in zip(read, texts, strict=True):
        enclosed = text[1:-1].replace('""', "") if len(text) > 1 and text[0] == text[-1] == '"' else None
        proper = enclosed is not None and '"' not in enclosed
        assert cell == (text[1:-1].replace('""', '"') if proper else text)


@pytest.mark.parametrize("separator", [CSV, TSV])
def test_stray_quotes_around_rows_are_refused_with_their_lines(separator: str) -> None:
    rows = ["c0,c1", "x,0", '"a,1', "b,0", 'c",1', "d,0"]
    with pytest.raises(
        DataError, match=r"line 3 to line 5, and its lines look like rows of 2 cells"
    ) as caught:
        _read("\n".join(rows).replace(",", separator), separator)
    assert "remove the stray quotes in lines 3 and 5" in str(caught.value)


@pytest.mark.parametrize(
    "lines",
    [
        ["1,a", '0,"b', "1,c", '0,d"'],
        ["a, 1", '"b, 0', "c, 1", 'd", 0'],
        ['"well, yes,1', "no,0", 'it is, I think",1'],
        ['"a,1', "", 'b",0'],
        ["a,1", '"b,0', "c,1", '"'],
    ],
    ids=["answer first", "blank after comma", "prose with commas", "empty line", "quote alone"],
)
def test_rows_between_stray_quotes_are_seen_in_csv_as_people_write_it(lines: list[str]) -> None:
    with pytest.raises(DataError, match=r"its lines look like rows|instead of 2 cells"):
        _read("\n".join(["c0,c1", *lines]), CSV)


@pytest.mark.parametrize(
    ("separator", "lines"),
    [
        (TSV, ["\t1\t'a", "\t0\tb", "\t1\tc'", "\t0\td"]),
        (TSV, ["\t'a\t1", *[f"\trow {row}\t0" for row in range(197)], "\tb'\t0", "\tc\t1"]),
        (TSV, ["x\t1\t'a", "\t0\tb", "\t1\tc'", "y\t0\td"]),
        (TSV, ["a\t'x\t", "\t\t", "\t\t", "b\ty'\t"]),
        (TSV, ["'\tx\t0", "\ty\t1", "'\tz\t0"]),
        (CSV, ["'a,0,x", "b,0,", "c,1,", "d',1,no"]),
        (CSV, ["'a,0,", "b,0,", "c',1,no"]),
    ],
)
def test_rows_between_stray_quotes_are_seen_where_cells_are_empty(separator: str, lines: list[str]) -> None:
    text = "\n".join([separator.join(["c0", "c1", "c2"]), *lines]).replace("'", '"')
    with pytest.raises(DataError, match="its lines look like rows"):
        _read(text, separator, 3)


@pytest.mark.parametrize(
    ("separator", "lines"),
    [(CSV, ["'a,", "b,", "c',x"]), (CSV, ["'a, x", "b, y", "c',z"]), (TSV, ["x\t'a", "\tb", "\tc'"])],
)
def test_the_only_cell_of_several_lines_may_not_look_like_rows_at_all(
    separator: str, lines: list[str]
) -> None:
    text = "\n".join([f"c0{separator}c1", *lines]).replace("'", '"')
    with pytest.raises(DataError, match="its lines look like rows"):
        _read(text, separator)


@given(st.data(), st.integers(2, 4), st.integers(3, 8), SEPARATORS)
def test_a_pair_of_stray_quotes_loses_no_row_in_silence_where_cells_are_empty(
    data: st.DataObject, width: int, count: int, separator: str
) -> None:
    cell = st.sampled_from(["", "", "a", "b c"])
    rows = data.draw(st.lists(st.lists(cell, min_size=width, max_size=width), min_size=count, max_size=count))
    for row in rows:
        row[-2] = row[-2] or "x"
    first, last = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=2, max_size=2)))
    column = data.draw(st.integers(0, width - 1))
    text = _written_plainly(rows, separator, (first, last), column)
    with pytest.raises(DataError):
        _read(text, separator, width)


def _written_plainly(rows: list[list[str]], separator: str, quoted: tuple[int, int], column: int) -> str:
    """Write a table without quoting, but a quote before a cell of one row and one after it later."""
    cells = [[*row] for row in rows]
    cells[quoted[0]][column] = f'"{cells[quoted[0]][column]}'
    cells[quoted[1]][column] += '"'
    return "\n".join(map(separator.join, [_header(rows), *cells]))


@pytest.mark.parametrize(("separator", "line"), [(";", "sep=;"), ("\t", "sep=\t"), ("|", '"sep=|"')])
def test_a_first_line_that_names_the_separator_is_read_past(separator: str, line: str) -> None:
    text = f"{line}\r\n" + 'c0,c1\r\n"a, b,c",1\r\nd,0\r\n'.replace(",", separator)
    columns = ["c0", "c1"]
    table = read_delimited(Path("data.csv"), text, columns, separator=CSV)
    cell = "a, b,c".replace(",", separator)
    assert table.columns == ("c0", "c1")
    assert [(record.place, record.cells) for record in table.records] == [
        ("line 3", {"c0": cell, "c1": "1"}),
        ("line 4", {"c0": "d", "c1": "0"}),
    ]


@pytest.mark.parametrize("separator", [CSV, TSV])
def test_row_names_without_a_column_name_are_named_as_the_cause(separator: str) -> None:
    lines = ['"c0","c1"', '"1","a",0', '"2","b",1']
    with pytest.raises(DataError, match=r"3 instead of 2 cells at line 2; .* row name .* col\.names=NA"):
        _read("\n".join(lines).replace(",", separator), separator)
    with pytest.raises(DataError, match=r"3 instead of 2 cells at line 3; quote cells that contain"):
        _read("\n".join(["c0,c1", "a,0", "b, c,1"]).replace(",", separator), separator)


def test_a_literal_quote_elsewhere_shows_that_the_quotes_of_a_tsv_file_are_literal() -> None:
    text = 'c0\tc1\n"a\t1\nb\t0\nc"\t1\nsaid "d"\t0\n'
    assert _read(text, TSV) == [['"a', "1"], ["b", "0"], ['c"', "1"], ['said "d"', "0"]]


def test_a_quote_without_a_partner_is_literal_in_tsv_and_an_error_in_csv() -> None:
    assert _read('c0\tc1\n"a\t1\nb\t0\n', TSV) == [['"a', "1"], ["b", "0"]]
    with pytest.raises(DataError, match=r"quotes of 'data\.csv' do not match in the row from line 2"):
        _read('c0,c1\n"a,1\nb,0\n', CSV)


@pytest.mark.parametrize(
    ("separator", "cell"),
    [
        (CSV, "Ann: Hi, are you there?\nBob: Yes, I am.\nAnn: Good, see you"),
        (CSV, "Ann: ok,ok\nBob: fine\nAnn: bye"),
        (CSV, "The woods are lovely,\nBut I have promises to keep,\nAnd miles to go"),
        (TSV, "def double(x):\n\treturn 2 * x"),
        (TSV, "for x in y:\n\tif x:\n\t\tprint(x)"),
        (TSV, "Ann: Hi\nBob: Hello\nAnn: Bye\n"),
    ],
    ids=["dialogue", "comma without blank", "verse", "code", "indented twice", "turns"],
)
@pytest.mark.parametrize("first", [True, False])
def test_texts_of_several_lines_are_read_whole(separator: str, cell: str, first: bool) -> None:
    rows = [[cell, "x"] if first else ["x", cell]] * 3
    assert _read(_written(rows, separator, csv.QUOTE_MINIMAL, "\n"), separator) == rows
    assert _read(_written(rows, separator, csv.QUOTE_ALL, "\n"), separator) == rows


def test_lines_that_end_otherwise_than_rows_are_no_rows() -> None:
    rows = [["a,1\nb,0\nc", "1"]]
    assert _read(_written(rows, CSV, csv.QUOTE_MINIMAL, "\r\n"), CSV) == rows


def test_a_row_of_the_wrong_width_is_named_with_the_lines_of_its_quoted_cell() -> None:
    with pytest.raises(
        DataError, match=r"1 instead of 2 cells at line 2 \(a quoted cell extends to line 3\)"
    ):
        _read('c0,c1\n"a\nb"\nc,1\n', CSV)
