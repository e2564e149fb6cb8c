"""Malformed data files, labels and prompts."""

import csv
import gzip
import io
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from case import Case, Change, both, rows, with_text, with_value
from children import bound_by_permissions

MUTATIONS_PER_FORMAT = 22
TRAIN = rows("train", 24)
SPLITS = {"train": 24, "validation": 6, "test": 8}


def _delimited(table: list[list[str]], separator: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows([["text", "label"], *table])
    return text.getvalue().encode()


def _objects() -> list[dict[str, object]]:
    return [{"text": text, "label": int(label)} for text, label in TRAIN]


def _parquet(table: pa.Table | None = None, **options: Any) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_pylist(_objects()) if table is None else table, sink, **options)
    return sink.getvalue()


SOUND: Mapping[str, bytes] = {
    "csv": _delimited(TRAIN, ","),
    "tsv": _delimited(TRAIN, "\t"),
    "json": json.dumps(_objects(), indent=1).encode(),
    "jsonl": "".join(json.dumps(row) + "\n" for row in _objects()).encode(),
    "parquet": _parquet(),
}
"""24 rows in every format."""


def _flip(data: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(1, len(data))]


def _hole(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + data[start + draw.randrange(1, 40) :]


def _noise(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + draw.randbytes(draw.randrange(1, 20)) + data[start:]


def _structure(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    return (
        data[:start]
        + draw.choice([b'"', b",", b"\t", b"\n", b"\r", b"{", b"]", b"\\", b"\0", b"\x85"])
        + data[start:]
    )


DAMAGES: Mapping[str, Callable[[bytes, random.Random], bytes]] = {
    "a bit flipped": _flip,
    "cut short": _cut,
    "a hole": _hole,
    "noise": _noise,
    "a stray mark": _structure,
}
# From what is odd to (ending, content, whether it must be taken, rows of train if it is). None: as it comes.
FILES: Mapping[str, tuple[str, str | bytes, str, int | None]] = {
    # delimited
    "nothing": ("csv", b"", "refused", None),
    "spaces": ("csv", b"  \n \n", "refused", None),
    "a header alone": ("csv", b"text,label\n", "refused", None),
    "no header": ("csv", SOUND["csv"].partition(b"\n")[2], "refused", None),
    "one column": ("csv", b"text\na\nb\n", "refused", None),
    "a column twice": ("csv", b"text,label,label\na,1,0\nb,0,1\n", "refused", None),
    "an unused column twice": (
        "csv",
        "id,id,text,label\n" + "".join(f"1,2,{t},{n}\n" for t, n in TRAIN),
        "fine",
        24,
    ),
    "columns without a name": (
        "csv",
        ",text,,label\n" + "".join(f"1,{t},x,{n}\n" for t, n in TRAIN),
        "fine",
        24,
    ),
    "a row too short": ("csv", SOUND["csv"] + b"alone\n", "refused", None),
    "a row too long": ("csv", SOUND["csv"] + b"a,1,2\n", "refused", None),
    "a quote that is not closed": ("csv", b'text,label\n"a,1\nb,0\n', "refused", None),
    "a quote that swallows rows": ("csv", b'text,label\n"a,1\nb,0\nc",1\nd,0\n', "refused", None),
    "a quote that swallows rows, twice": (
        "csv",
        b'text,label\n"a,1\nb",0\n"c,1\nd",0\n' * 1 + b"e,1\n",
        "refused",
        None,
    ),
    "a quoted cell of several lines": (
        "csv",
        'text,label\n"a\nb",1\n' + "".join(f"{t},{n}\n" for t, n in TRAIN),
        "fine",
        25,
    ),
    "quotes inside a cell": (
        "csv",
        'text,label\n5" disc,1\n6" disc,0\n' + "".join(f"{t},{n}\n" for t, n in TRAIN),
        "fine",
        26,
    ),
    "quotes, doubled": ("csv", 'text,label\n"a ""b"" c",1\nd,0\n', "fine", 2),
    "semicolons": ("csv", SOUND["csv"].replace(b",", b";"), "fine", 24),
    "pipes": ("csv", SOUND["csv"].replace(b",", b"|"), "fine", 24),
    "tabs": ("csv", SOUND["tsv"], "fine", 24),
    "a byte order mark": ("csv", b"\xef\xbb\xbf" + SOUND["csv"], "fine", 24),
    "carriage returns alone": ("csv", SOUND["csv"].replace(b"\r\n", b"\r"), "any", 24),
    "line feeds alone": ("csv", SOUND["csv"].replace(b"\r\n", b"\n"), "fine", 24),
    "no last line end": ("csv", SOUND["csv"].rstrip(), "fine", 24),
    "blank lines": ("csv", SOUND["csv"].replace(b"\r\n", b"\r\n\r\n"), "fine", 24),
    "NUL bytes": ("csv", SOUND["csv"].replace(b"was", b"w\0s"), "any", 24),
    "Latin-1": ("csv", "text,label\ncafé,1\nthé,0\n".encode("latin-1"), "refused", None),
    "UTF-16": ("csv", SOUND["csv"].decode().encode("utf-16"), "fine", 24),
    "UTF-16 without a mark": ("csv", SOUND["csv"].decode().encode("utf-16-le"), "refused", None),
    "overlong UTF-8": ("csv", b"text,label\n\xc0\xaf,1\nb,0\n", "refused", None),
    "half a surrogate": ("csv", b"text,label\n\xed\xa0\x80,1\nb,0\n", "refused", None),
    "gzip": ("csv", gzip.compress(SOUND["csv"], mtime=0), "refused", None),
    "zip": ("csv", b"PK\x03\x04" + bytes(60), "refused", None),
    "a spreadsheet's lock": ("csv", random.Random(3).randbytes(165), "refused", None),
    "parquet in csv": ("csv", SOUND["parquet"], "refused", None),
    "JSON in csv": ("csv", SOUND["json"], "refused", None),
    "HTML": ("csv", b"<!doctype html>\n<html><body>404</body></html>\n", "refused", None),
    "a pointer of Git LFS": (
        "csv",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "refused",
        None,
    ),
    "line separators inside cells": ("csv", "text,label\na\u2028b,1\nc\x85d,0\n", "fine", 2),
    "a cell of a megabyte without a space": ("csv", "text,label\n" + "x" * 1_000_000 + ",1\nb,0\n", "any", 2),
    "a header of 10,000 columns": (
        "csv",
        ",".join(["text", "label", *map(str, range(10_000))]) + "\n" + ",".join(["a"] * 10_002),
        "refused",
        None,
    ),
    "control characters in cells": ("csv", "text,label\n\x1b[31ma\x07,1\nb\u202e,0\n", "any", 2),
    "control characters in labels": ("csv", "text,label\na,\x1b[31m\nb,0\n", "refused", None),
    "control characters in the header": ("csv", "text,la\x1b[31mbel\na,1\nb,0\n", "refused", None),
    "every cell empty": ("csv", "text,label\n" + ",\n" * 24, "refused", None),
    "every text empty": ("csv", "text,label\n" + ",1\n" * 24, "refused", None),
    "texts of spaces": ("csv", "text,label\n" + "  ,1\n" * 24, "any", 24),
    "texts of one Unicode space": ("csv", "text,label\n" + "\u3000,1\n\u200b,0\n" * 12, "any", 24),
    "tsv: a quote at a cell's beginning": ("tsv", 'text\tlabel\n"a\t1\nb\t0\nc"\t1\nd\t0\n', "any", 4),
    "tsv: a quote that is not closed": ("tsv", 'text\tlabel\n"a\t1\nb\t0\nc\t1\n', "any", 3),
    "tsv: quotes around a cell": ("tsv", 'text\tlabel\n"a b"\t1\nb\t0\n', "fine", 2),
    "tsv: quotes inside a cell": ("tsv", 'text\tlabel\na "b" c\t1\nb\t0\n', "fine", 2),
    "tsv: half of the cells begin with a quote": ("tsv", "text\tlabel\n" + 'a\t1\n"b\t0\n' * 50, "any", 100),
    "tsv: commas": ("tsv", SOUND["csv"], "fine", 24),
    "tsv: spaces for tabs": ("tsv", SOUND["tsv"].replace(b"\t", b"    "), "refused", None),
    # JSON
    "json: an object": ("json", b'{"text": "a", "label": 1}', "any", 1),
    "json: an object of lists": ("json", b'{"text": ["a", "b"], "label": [1, 0]}', "refused", None),
    "json: an object a line": ("json", SOUND["jsonl"], "fine", 24),
    "json: a number": ("json", b"7", "refused", None),
    "json: an empty list": ("json", b"[]", "refused", None),
    "json: a list of lists": ("json", b'[["a", 1]]', "refused", None),
    "json: a list of null": ("json", b"[null]", "refused", None),
    "json: a list 100,000 deep": ("json", b"[" * 100_000, "refused", None),
    "json: an object 100,000 deep": ("json", b'[{"text": ' + b'{"a":' * 100_000, "refused", None),
    "json: an integer of 5,000 digits": (
        "json",
        b'[{"text": "a", "label": ' + b"9" * 5000 + b"}]",
        "refused",
        None,
    ),
    "json: NaN and Infinity": (
        "json",
        b'[{"text": NaN, "label": 1}, {"text": Infinity, "label": 0}]',
        "any",
        2,
    ),
    "json: a trailing comma": ("json", b'[{"text": "a", "label": 1},]', "refused", None),
    "json: half a surrogate": (
        "json",
        b'[{"text": "\\ud800", "label": 1}, {"text": "b", "label": 0}]',
        "refused",
        None,
    ),
    "json: half a surrogate in a column's name": (
        "json",
        b'[{"\\ud800": 1, "text": "a", "label": 1}, {"text": "b", "label": 0}]',
        "any",
        2,
    ),
    "json: a key twice": (
        "json",
        b'[{"text": "a", "text": "b", "label": 1}, {"text": "c", "label": 0}]',
        "any",
        2,
    ),
    "json: cells that are lists": ("json", b'[{"text": ["a"], "label": 1}]', "refused", None),
    "json: cells that are objects": ("json", b'[{"text": {"a": 1}, "label": 1}]', "refused", None),
    "json: true and false as labels": (
        "json",
        b'[{"text": "a", "label": true}, {"text": "b", "label": false}]',
        "refused",
        None,
    ),
    "json: a float that is a label": (
        "json",
        b'[{"text": "a", "label": 1.0}, {"text": "b", "label": 0.0}]',
        "fine",
        2,
    ),
    "json: a float that is none": (
        "json",
        b'[{"text": "a", "label": 1.5}, {"text": "b", "label": 0}]',
        "refused",
        None,
    ),
    "json: UTF-16": ("json", SOUND["json"].decode().encode("utf-16"), "fine", 24),
    "jsonl: a list": ("jsonl", SOUND["json"], "any", 24),
    "jsonl: blank lines": ("jsonl", SOUND["jsonl"].replace(b"\n", b"\n\n"), "fine", 24),
    "jsonl: carriage returns": ("jsonl", SOUND["jsonl"].replace(b"\n", b"\r\n"), "fine", 24),
    "jsonl: two objects a line": ("jsonl", SOUND["jsonl"].replace(b"\n", b" ", 1), "refused", None),
    "jsonl: half a line": ("jsonl", SOUND["jsonl"] + b'{"text": ', "refused", None),
    "jsonl: commas behind the lines": ("jsonl", SOUND["jsonl"].replace(b"\n", b",\n"), "refused", None),
    "jsonl: separators inside texts": (
        "jsonl",
        '{"text": "a\u2028b", "label": 1}\n{"text": "c\x85d", "label": 0}\n',
        "fine",
        2,
    ),
    "jsonl: columns that are missing in half of the rows": (
        "jsonl",
        b'{"text": "a", "label": 1}\n{"label": 0}\n{"text": "b", "label": 0}\n',
        "any",
        3,
    ),
    "jsonl: an integer of 5,000 digits": (
        "jsonl",
        b'{"text": "a", "label": ' + b"9" * 5000 + b"}\n",
        "refused",
        None,
    ),
    # parquet
    "parquet: nothing but its mark": ("parquet", b"PAR1PAR1", "refused", None),
    "parquet: a footer of 2 GB": ("parquet", b"PAR1" + bytes(20) + b"\xff\xff\xff\x7fPAR1", "refused", None),
    "parquet: a csv": ("parquet", SOUND["csv"], "refused", None),
    "parquet: no rows": (
        "parquet",
        _parquet(pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())})),
        "refused",
        None,
    ),
    "parquet: no columns": ("parquet", _parquet(pa.table({})), "refused", None),
    "parquet: text as UTF-8 bytes": (
        "parquet",
        _parquet(pa.table({"text": [b"a", "é".encode()], "label": [1, 0]})),
        "fine",
        2,
    ),
    "parquet: bytes that are no text": (
        "parquet",
        _parquet(pa.table({"text": [b"\xff\xfe", b"b"], "label": [1, 0]})),
        "refused",
        None,
    ),
    "parquet: lists": (
        "parquet",
        _parquet(pa.table({"text": [["a"], ["b"]], "label": [1, 0]})),
        "refused",
        None,
    ),
    "parquet: a struct": (
        "parquet",
        _parquet(pa.table({"text": [{"a": 1}, {"a": 2}], "label": [1, 0]})),
        "refused",
        None,
    ),
    "parquet: dates": (
        "parquet",
        _parquet(pa.table({"text": pa.array([1, 2], pa.timestamp("ns")), "label": [1, 0]})),
        "any",
        2,
    ),
    "parquet: dates out of range": (
        "parquet",
        _parquet(pa.table({"text": pa.array([2**62, 2], pa.timestamp("ms")), "label": [1, 0]})),
        "any",
        2,
    ),
    "parquet: durations out of range": (
        "parquet",
        _parquet(pa.table({"text": pa.array([2**62, 2], pa.duration("s")), "label": [1, 0]})),
        "any",
        2,
    ),
    "parquet: decimals": (
        "parquet",
        _parquet(pa.table({"text": ["a", "b"], "label": pa.array([1, 0], pa.decimal128(5, 2))})),
        "any",
        2,
    ),
    "parquet: nulls": (
        "parquet",
        _parquet(pa.table({"text": pa.nulls(2), "label": [1, 0]})),
        "refused",
        None,
    ),
    "parquet: floats": ("parquet", _parquet(pa.table({"text": ["a", "b"], "label": [1.0, 0.0]})), "fine", 2),
    "parquet: truth values": (
        "parquet",
        _parquet(pa.table({"text": ["a", "b"], "label": [True, False]})),
        "refused",
        None,
    ),
    "parquet: dictionaries": (
        "parquet",
        _parquet(pa.table({"text": pa.array(["a", "b"]).dictionary_encode(), "label": [1, 0]})),
        "fine",
        2,
    ),
    "parquet: large strings": (
        "parquet",
        _parquet(pa.table({"text": pa.array(["a", "b"], pa.large_string()), "label": [1, 0]})),
        "fine",
        2,
    ),
    "parquet: a column twice": (
        "parquet",
        _parquet(
            pa.Table.from_arrays(
                [pa.array(["a", "b"]), pa.array([1, 0]), pa.array([0, 1])], ["text", "label", "label"]
            )
        ),
        "refused",
        None,
    ),
    "parquet: an unused column twice": (
        "parquet",
        _parquet(
            pa.Table.from_arrays(
                [pa.array(["a", "b"]), pa.array([1, 0]), pa.array([0, 1]), pa.array([0, 1])],
                ["text", "label", "x", "x"],
            )
        ),
        "fine",
        2,
    ),
    "parquet: row groups of one row": ("parquet", _parquet(row_group_size=1), "fine", 24),
    "parquet: checksums, and a bit flipped": (
        "parquet",
        _flip(_parquet(write_page_checksum=True, compression="none"), random.Random(11)),
        "any",
        24,
    ),
    # endings
    "an unknown ending": ("xlsx", SOUND["csv"], "refused", None),
    "a compressed ending": ("csv.gz", gzip.compress(SOUND["csv"], mtime=0), "fine", 24),
    "an ending in capitals": ("CSV", SOUND["csv"], "fine", 24),
    "an ending of markup": ("[b]", SOUND["csv"], "refused", None),
    "an ending of 200 characters": ("x" * 200, SOUND["csv"], "refused", None),
}
PLACES: Mapping[str, str] = {
    "nothing": "",
    "a file that is not there": "absent.csv",
    "a folder": ".",
    "a folder with an ending": "folder.csv",
    "a path through a file": "test.csv/train.csv",
    "a device": "/dev/null",
    "a device with an end of its own": "/dev/full",
    "a name of 5,000 characters": "x" * 5000 + ".csv",
    "a path of 5,000 folders": "x/" * 5000 + "a.csv",
    "a NUL": "a\0.csv",
    "half a surrogate": "\ud800.csv",
    "a user that is not there": "~nobody-of-this-name/a.csv",
    "a link to itself": "loop.csv",
    "a link to nothing": "dangling.csv",
    "markup": "[v2].csv",
    "an address": "https://127.0.0.1:9/a.csv",
    "a named pipe": "pipe.csv",
    "no permission": "secret.csv",
}
PROMPTS: Mapping[str, tuple[str, str]] = {
    "the target": ("{text} {label}", "refused"),
    "the target alone": ("{label}", "refused"),
    "the target by a repr": ("{text} {label!r}", "refused"),
    "nothing": ("", "refused"),
    "no column": ("Good or bad?", "refused"),
    "empty braces": ("{}", "refused"),
    "a number": ("{0}", "refused"),
    "an attribute": ("{text.__class__}", "refused"),
    "an item": ("{text[0]}", "refused"),
    "a conversion": ("{text!r}", "refused"),
    "a format": ("{text:>10}", "refused"),
    "a conversion and a format": ("{text!r:>10}", "refused"),
    "a format of 10**9": ("{text:>1000000000}", "refused"),
    "a nested format": ("{text:{label}}", "refused"),
    "an unknown conversion": ("{text!z}", "refused"),
    "a brace that is not closed": ("{text", "refused"),
    "a brace that is not opened": ("text}", "refused"),
    "doubled braces": ("{{json}} {text}", "fine"),
    "literal braces": ('Answer as {"a": 1}: {text}', "refused"),
    "spaces inside the braces": ("{ text }", "refused"),
    "an unknown column": ("{texts}", "refused"),
    "a column of another case": ("{Text}", "refused"),
    "a column twice": ("{text} and {text}", "fine"),
    "a column 1,000 times": ("{text}" * 1000, "any"),
    "control characters": ("\x1b[31m{text}\x07", "any"),
    "bidirectional characters": ("\u202e{text}", "any"),
    "half a surrogate": ("\ud800{text}", "refused"),
    "a text of 100,000 characters": ("x " * 50_000 + "{text}", "any"),
    "a thousand unknown columns": ("".join(f"{{c{n}}}" for n in range(1000)), "refused"),
}
COLUMNS: tuple[tuple[str, str], ...] = (
    ("reviews.text", "{reviews.text}"),
    ("text [en]", "{text [en]}"),
    ("review: body", "{review: body}"),
    ("review body", "{review body}"),
    ("text!", "{text!}"),
    ("0", "{0}"),
)
LABELS: Mapping[str, tuple[Any, str]] = {
    "one label": ({"0": "negative"}, "refused"),
    "no labels": ({}, "refused"),
    "a list": (["negative", "positive"], "refused"),
    "empty texts": ({"0": "", "1": ""}, "refused"),
    "texts of spaces": ({"0": " ", "1": "  "}, "refused"),
    "equal texts": ({"0": "a", "1": "a"}, "refused"),
    "texts that differ in case": ({"0": "Good", "1": "good"}, "refused"),
    "texts that differ in normal form": ({"0": "caf\u00e9", "1": "cafe\u0301"}, "refused"),
    "texts that differ in width": ({"0": "\uff41", "1": "a"}, "any"),
    "two emoji": ({"0": "\U0001f642", "1": "\U0001f641"}, "refused"),
    "two Chinese characters": ({"0": "好", "1": "坏"}, "refused"),
    "texts of which one begins the other": ({"0": "good", "1": "good bad"}, "fine"),
    "numbers as texts": ({"0": 0, "1": 1}, "any"),
    "null as a text": ({"0": None, "1": "positive"}, "any"),
    "a label that never occurs": ({"0": "negative", "1": "positive", "2": "neutral"}, "fine"),
    "a label that is missing": ({"1": "positive", "2": "neutral"}, "refused"),
    "a thousand labels": ({str(number): f"label {number}" for number in range(1000)}, "any"),
    "a text of 10,000 characters": ({"0": "x " * 5000, "1": "positive"}, "refused"),
    "half a surrogate": ({"0": "\ud800", "1": "positive"}, "refused"),
    "control characters": ({"0": "\x1b[31mred", "1": "positive"}, "any"),
    "a line break": ({"0": "a\nb", "1": "positive"}, "any"),
    "a key with spaces": ({" 0": "negative", "1": "positive"}, "any"),
    "a key with a dot": ({"0.0": "negative", "1.0": "positive"}, "any"),
}
LABELS_AS_YAML: tuple[tuple[str, str, tuple[str, str], str], ...] = (
    ("True and False", "{True: negative, False: positive}", ("True", "False"), "fine"),
    ("true and false", "{true: negative, false: positive}", ("true", "false"), "fine"),
    ("yes and no", "{yes: positive, no: negative}", ("yes", "no"), "fine"),
    ("on and off", "{on: positive, off: negative}", ("on", "off"), "fine"),
    ("leading zeros", "{01: negative, 02: positive}", ("01", "02"), "fine"),
    ("times", "{1:30: negative, 2:30: positive}", ("1:30", "2:30"), "fine"),
    ("dates", "{2024-01-01: negative, 2024-01-02: positive}", ("2024-01-01", "2024-01-02"), "fine"),
    ("floats", "{0.50: negative, 1.50: positive}", ("0.50", "1.50"), "fine"),
    ("exponents", "{1e3: negative, 2e3: positive}", ("1e3", "2e3"), "fine"),
    ("hexadecimal", "{0x1: negative, 0x2: positive}", ("0x1", "0x2"), "fine"),
    ("underscores", "{1_0: negative, 2_0: positive}", ("1_0", "2_0"), "fine"),
    ("null", "{null: negative, some: positive}", ("null", "some"), "fine"),
    ("a tilde", "{~: negative, some: positive}", ("~", "some"), "fine"),
    ("negative numbers", "{-1: negative, 1: positive}", ("-1", "1"), "fine"),
    ("texts that are numbers", "{a: 1, b: 2}", ("a", "b"), "fine"),
    ("texts that are truth values", "{a: true, b: false}", ("a", "b"), "fine"),
    ("GLUE's hidden labels", "{0: negative, 1: positive}", ("-1", "-1"), "refused"),
    ("quoted floats", '{"0.0": negative, "1.0": positive}', ("0", "1"), "any"),
)


def cases() -> Iterator[Case]:
    """Return all cases of this file."""
    for name, (ending, content, want, read) in FILES.items():
        counts = None if read is None else {"train": read}
        yield Case(kind="data file", name=name, change=_train(ending, content), want=want, rows=counts)
    yield from _mutations()
    for name, place in PLACES.items():
        yield Case(
            kind="data place",
            name=name,
            change=both(_odd_places, _named(place)),
            want="fine" if name == "markup" else "refused",
            setup=bound_by_permissions,
        )
    for name, (prompt, want) in PROMPTS.items():
        yield Case(
            kind="prompt", name=name, change=with_value(("tasks", "films", "prompt"), prompt), want=want
        )
    for column, prompt in COLUMNS:
        change = both(with_value(("tasks", "films", "prompt"), prompt), _renamed(column))
        yield Case(kind="prompt", name=f"a column called {column}", change=change, want="fine", rows=SPLITS)
    for name, (labels, want) in LABELS.items():
        yield Case(
            kind="labels",
            name=name,
            change=with_value(("tasks", "films", "labels"), labels),
            want=want,
            rows=SPLITS,
        )
    for name, labels, values, want in LABELS_AS_YAML:
        yield Case(kind="labels", name=name, change=_labelled(labels, values), want=want, rows=SPLITS)


def _train(ending: str, content: str | bytes) -> Change:
    name = f"odd.{ending}"
    return both(with_text(content, name), with_value(("tasks", "films", "source", "files", "train"), name))


def _mutations() -> Iterator[Case]:
    """Return every format damaged in every way, at seeded places."""
    for ending, sound in SOUND.items():
        for number in range(MUTATIONS_PER_FORMAT):
            name = list(DAMAGES)[number % len(DAMAGES)]
            draw = random.Random(f"{ending} {number}")
            damaged = DAMAGES[name](sound, draw)
            yield Case(kind=f"damaged {ending}", name=f"{name} ({number})", change=_train(ending, damaged))


def _named(place: str) -> Change:
    return with_value(("tasks", "films", "source", "files", "train"), place)


def _odd_places(folder: Path) -> None:
    (folder / "folder.csv").mkdir()
    (folder / "loop.csv").symlink_to("loop.csv")
    (folder / "dangling.csv").symlink_to("nowhere.csv")
    (folder / "[v2].csv").write_bytes(SOUND["csv"])
    (folder / "secret.csv").write_bytes(SOUND["csv"])
    (folder / "secret.csv").chmod(0)
    os.mkfifo(folder / "pipe.csv")


def _renamed(column: str) -> Change:
    """Rename the text column."""

    def change(folder: Path) -> None:
        for path in folder.glob("*.csv"):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("text,", f'"{column}",', 1), encoding="utf-8")

    return change


def _labelled(labels: str, values: tuple[str, str]) -> Change:
    """Return labels as someone writes them in YAML, and rows with those values."""

    def change(folder: Path) -> None:
        with_value(("tasks", "films", "labels"), "LABELS")(folder)
        study = folder / "study.yaml"
        study.write_text(study.read_text(encoding="utf-8").replace('"LABELS"', labels), encoding="utf-8")
        for path in folder.glob("*.csv"):
            head, *rest = path.read_text(encoding="utf-8").splitlines()
            replaced = [f"{line[:-1]}{values[int(line[-1])]}" for line in rest if line]
            path.write_text("\n".join([head, *replaced]) + "\n", encoding="utf-8")

    return change
