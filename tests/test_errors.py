from tuneoff.errors import LONGEST_VALUE, first_line, shown


def test_a_value_is_shown_as_its_repr() -> None:
    assert shown("plain") == "'plain'"
    assert shown([1, None]) == "[1, None]"


def test_a_long_value_is_cut() -> None:
    text = shown("x" * 5000)
    assert text.startswith("'" + "x" * (LONGEST_VALUE - 1) + "...")
    assert len(text) < LONGEST_VALUE + 40


def test_what_does_not_print_is_escaped() -> None:
    assert shown("a\x1b[31m\u202eb\r\n") == r"'a\x1b[31m\u202eb\r\n'"


def test_an_integer_of_too_many_digits_has_no_traceback() -> None:
    assert shown(10**5000) == "int too large to show"


def test_an_error_of_another_library_is_its_first_line_cut() -> None:
    assert first_line(RuntimeError("\n  sizes differ\nframe #0: at::add\nframe #1: run")) == "sizes differ"
    assert first_line(KeyError()) == "KeyError"
    assert first_line(ValueError("x" * 5000)) == "x" * LONGEST_VALUE + "... (5,000 characters)"
    assert first_line(ValueError("x" * 501), longest=500).startswith("x" * 500 + "... ")


def test_no_user_or_password_of_a_url_is_in_a_message() -> None:
    for url in ("http://ann:s3cret@hub:8080/api", "postgresql://ann:s3cr@et@base/runs", "https://s3cret@hub"):
        told = first_line(ConnectionError(f"no answer from {url} (try again)"))
        assert told.startswith("no answer from ") and told.endswith(" (try again)")
        assert url.rpartition("@")[2] in told
        assert "s3c" not in told and "ann" not in told
    plain = "see https://a.b/c and mail a@b.c"
    assert first_line(ValueError(plain)) == plain
