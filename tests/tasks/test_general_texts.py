"""General texts: those that come with tuneoff, and those of a file."""

from pathlib import Path

import pytest

from tuneoff.errors import DataError
from tuneoff.spec import ForgettingSpec
from tuneoff.tasks import general_texts, texts_digest


def read(path: Path, **settings: object) -> tuple[str, ...]:
    return general_texts(ForgettingSpec(texts=str(path), **settings))


def test_the_builtin_texts_are_about_two_hundred_different_short_ones() -> None:
    texts = general_texts(ForgettingSpec(texts="builtin"))
    assert 150 <= len(texts) == len(set(texts))
    assert all(15 <= len(text.split()) <= 50 and text.isascii() for text in texts)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_text_file_has_a_text_on_each_line_that_is_not_blank(tmp_path: Path, end: str) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(end.join(["one text ", "", "  ", "zwei Stra\u00dfen\u2028more"]).encode())
    assert read(path) == ("one text", "zwei Stra\u00dfen\u2028more")


def test_a_table_has_them_in_a_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,body\none,two\nthree,\n", encoding="utf-8")
    (tmp_path / "t.jsonl").write_text('{"body": "two"}\n{"body": "four"}\n', encoding="utf-8")
    assert read(tmp_path / "t.csv") == ("one", "three")
    assert read(tmp_path / "t.jsonl", column="body") == ("two", "four")


@pytest.mark.parametrize(
    ("name", "content", "settings", "message"),
    [
        ("t.txt", b"only one\n\n", {}, "at least 2 texts, but .* has 1"),
        ("t.txt", b"caf\xe9\nbar\n", {}, "not UTF-8 text: byte 0xe9 at line 1"),
        (
            "t.csv",
            b"texts,label\na,b\nc,d\n",
            {},
            "no column 'text'; did you mean 'texts'.*forgetting.column",
        ),
        ("t.csv", b"body\na\n", {"column": "body"}, "at least 2 texts"),
        ("t.md", b"a\nb\n", {}, "a .txt file or a table"),
        ("t.txt.gz", b"a\nb\n", {}, "a .txt file or a table"),
        (None, b"", {}, "there is no file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    tmp_path, name, content, settings, message
) -> None:
    path = tmp_path / (name or "missing.txt")
    if name:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read(path, **settings)
    assert "\n" not in str(caught.value)


def test_the_digest_is_of_the_texts_and_of_their_use() -> None:
    spec = ForgettingSpec(texts="builtin")
    moved = ForgettingSpec(texts="elsewhere.txt")
    assert texts_digest(spec, ("a", "b")) == texts_digest(moved, ("a", "b"))
    others = [
        texts_digest(spec, ("a", "c")),
        texts_digest(ForgettingSpec(texts="builtin", max_length=9), ("a", "b")),
        texts_digest(ForgettingSpec(texts="builtin", objective="continuation"), ("a", "b")),
    ]
    assert len({texts_digest(spec, ("a", "b")), *others}) == 4
