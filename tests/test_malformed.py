"""Malformed studies and arguments: each one ends in one short message and exit code 2, at once."""

import io
import os
import string
import subprocess
import sys
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from helpers import small
from helpers.command_line import Outcome, contents, tuneoff
from tuneoff.cli import main
from tuneoff.errors import StudyError
from tuneoff.spec.load import _check_size_with_defaults
from tuneoff.spec.plan import MOST_RUNS, check_size
from tuneoff.spec.yaml import MOST_VALUES

LONG, HUGE = "x" * 300, "x" * 20_000
DIGITS = "9" * 5000
THOUSAND = [*range(1, 1001)]


def _aliases(first: str, pattern: str) -> str:
    """A few hundred bytes of YAML that stand for billions of values."""
    lines = [f"a: &a {first}"]
    for before, name in zip(string.ascii_lowercase, string.ascii_lowercase[1:10], strict=False):
        lines.append(f"{name}: &{name} " + pattern.format(",".join([f"*{before}"] * 9)))
    return "\n".join(lines)


FILES = {
    "an alias bomb": _aliases("[x, x, x, x, x, x, x, x, x]", "[{}]"),
    "a merge bomb": _aliases("{x: 1}", "{{<<: [{}]}}"),
    "a mapping bomb": _aliases("{x: 1}", "{{y: [{}]}}"),
    "an alias of itself": "a: &a {b: *a}",
    "an unknown alias": "a: *b",
    "an unknown merge": "<<: *b",
    "a merge of text": "<<: x",
    "a merge of numbers": "<<: [1]",
    "a merge as a value": "a: <<",
    "an int that is none": "a: !!int abc",
    "an empty int": "a: !!int ''",
    "a float that is none": "a: !!float abc",
    "a bool that is none": "a: !!bool maybe",
    "a date that is none": "a: !!timestamp x",
    "a day that is none": "a: 2024-13-45",
    "an hour that is none": "a: 2024-01-01T99:00:00Z",
    "a mapping that is a list": "a: !!map [a]",
    "a list that is a mapping": "a: !!seq {a: b}",
    "a text that is a list": "a: !!str [a]",
    "bytes": "a: !!binary aGVsbG8=",
    "bytes that are none": "a: !!binary abc",
    "a set": "a: !!set {a}",
    "an ordered mapping": "a: !!omap [a: 1]",
    "pairs": "a: !!pairs [a: 1]",
    "a Python object": "!!python/object/apply:os.getcwd []",
    "a Python name": "a: !!python/name:os.system x",
    "an unknown tag": "a: !wanted b",
    "a key that is a list": "? [a]\n: b",
    "a key that is a mapping": "{a: b}: c",
    "a key twice": "a: 1\na: 2",
    "two documents": "---\na: 1\n---\nb: 1",
    "an unknown version": "%YAML 3.0\n---\na: 1",
    "tabs": "a:\n\tb: c",
    "an open list": "a: [1",
    "an open quote": "a: 'b",
    "a list": "- a",
    "a number": "1",
    "a text": "a",
    "a comment": "# a",
    "nothing": "",
    "deep lists": "a: " + "[" * 5000,
    "deep mappings": "a: " + "{a: " * 200,
    "a number of many digits": f"a: {DIGITS}",
    "a number of many hexadecimal digits": "a: 0x" + "f" * 20_000,
    "a number above 64 bits": "a: 9223372036854775808",
    "a key of many digits": f"{DIGITS}: a",
    "half a surrogate pair": 'a: "\\ud800"',
    "half a surrogate pair in a key": '"\\ud800": a',
    "NUL": "a: \0",
    "an escape character": "a: \x1b[31m",
    "an escaped escape character in a key": '"\\e[31m": 1',
    "many unknown keys": "\n".join(f"a{number}: 1" for number in range(500)),
    "a long key": f"{HUGE}: 1",
    "Latin-1": b"a: caf\xe9",
    "UTF-16": "a: b".encode("utf-16"),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_malformed_study_file_is_refused_in_a_few_lines(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    _refused(tuneoff("plan", path))
    assert contents(tmp_path).keys() == {"study.yaml"}


OVERRIDES = {
    "a rank that fits nowhere": "methods.lora.rank=1000000000000000",
    "a rank above 64 bits": "methods.lora.rank=9223372036854775808",
    "a length that fits nowhere": "methods.p={kind: prefix, length: 10000000000000}",
    "a projection that fits nowhere": "methods.p={kind: prefix, projection: 10000000000000}",
    "a prompt that fits nowhere": "methods.p={kind: prompt, length: 10000000000000}",
    "no end of epochs": "training={num_train_epochs: 1e308}",
    "no end of trials": "search={trials: 9223372036854775807}",
    "infinity": "methods.lora.learning_rate=.inf",
    "a number that is infinite": "methods.lora.learning_rate=1e999",
    "a long name": f"name={LONG}",
    "a long name of a method": f"methods.{LONG}={{kind: full}}",
    "a long name of a task": f"tasks.{LONG}={{}}",
    "a long name of an ablation": f"ablations.{LONG}={{of: lora, vary: {{rank: [1]}}}}",
    "a long reference": f"comparison.references=[{LONG}]",
    "a long kind": f"methods.lora.kind={HUGE}",
    "a long label": f"tasks.films.positive={HUGE}",
    "long labels twice": f"tasks.films.labels={{0: {HUGE}, 1: {HUGE}}}",
    "a long value": f"training.max_steps={HUGE}",
    "a long file name": f"tasks.films.source.files.train={LONG}.csv",
    "a long model folder": f"model.id=./{LONG}",
    "a long path": f"{'a.' * 5000}b=1",
    "a path of dots": "." * 5000 + "=1",
    "a long override": HUGE,
    "a long builtin name": f"tasks.films.source={{builtin: [{HUGE}]}}",
    "a name with NUL": 'name="a\\0b"',
    "a name with a line break": 'name="a\\nb"',
    "a name with a trailing line break": 'name="a\\n"',
    "a name that leads elsewhere": "name=../a",
    "a path with NUL": 'tasks.films.source.files.train="a\\0b.csv"',
    "half a surrogate pair": 'tasks.films.target="\\ud800"',
    "half a surrogate pair in a key": 'tasks.films.labels={"\\ud800": a, b: c}',
    "a byte that is no UTF-8": "name=\udcff",
    "a byte that is no UTF-8 in a key": "\udcff=1",
    "an escape character": "name=\x1b[31m",
    "an escape character in a key": "\x1b[31m=1",
    "an alias bomb": "name={" + _aliases("[x, x, x]", "[{}]").replace("\n", ", ") + "}",
    "text in braces": "tasks.films.target={text}",
    "text in braces for a prompt's beginning": "methods.p={kind: prompt, init: text, init_text: {a}}",
    "braces that are doubled": "tasks.films.prompt={{text}}",
    "an open quote": "name='a",
    "an int that is none": "name=!!int abc",
    "bytes": "model.revision=!!binary aGVsbG8=",
    "a million variants": f"ablations.a={{of: lora, vary: {{rank: {THOUSAND}, alpha: {THOUSAND}}}}}",
    "too many seeds": f"seeds={[*range(20_000)]}",
    "a search of what is varied": "search={space: {rank: [1, 8, linear]}}",
    "a search of no field": f"search={{space: {{{LONG}: [1, 8, linear]}}}}",
    "a search of an unknown method": f"search={{spaces: {{{LONG[:60]}: {{rank: [1, 8, linear]}}}}}}",
}


@pytest.mark.slow
@pytest.mark.parametrize("override", OVERRIDES.values(), ids=OVERRIDES)
def test_a_malformed_override_is_refused_in_a_few_lines(tmp_path: Path, override: str) -> None:
    study = small.study(tmp_path)
    before = contents(tmp_path)
    _refused(tuneoff("plan", study, "--set", override))
    assert contents(tmp_path) == before


ARGUMENTS = {
    "a folder that is no UTF-8": ["run", "STUDY", "--out", "a\udcff"],
    "a folder with NUL": ["run", "STUDY", "--out", "a\0b"],
    "a folder without a study": ["report", "[/b]"],
    "a folder without a study, and markup": ["status", "[v2]"],
    "a folder that is no UTF-8, to report": ["report", "a\udcff"],
    "a folder with NUL, for its status": ["status", "a\0b"],
    "a long folder": ["status", LONG],
    "a folder of a long path": ["report", "x/" * 3000],
    "a study that is no UTF-8": ["plan", "a\udcff.yaml"],
    "a study with NUL": ["plan", "a\0b"],
    "a study of a long name": ["plan", HUGE],
    "a study with an escape character": ["plan", "\x1b[31m"],
    "a study that is a folder": ["plan", "."],
    "no name": ["plan", ""],
    "an unknown command": ["\x1b[31m\u202e"],
    "an unknown option": ["plan", "STUDY", "--\x1b[31m"],
    "a number that is none": ["run", "STUDY", "--workers", "\x1b[31m"],
    "an executor that is none": ["run", "STUDY", "--executor", "[/b]"],
}


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_malformed_argument_is_refused_in_a_few_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    study = small.study(tmp_path)
    before = contents(tmp_path)
    _refused(tuneoff(*(str(study) if one == "STUDY" else one for one in arguments)))
    assert contents(tmp_path) == before


def _refused(outcome: Outcome) -> None:
    """The command ended in one error that can be read: exit code 2, nothing hidden or endless."""
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.casefold().count("error: ") == 1
    assert "Traceback" not in outcome.err
    assert outcome.err.replace("\n", "").isprintable()
    assert len(outcome.err) < 5000
    assert max(map(len, outcome.err.splitlines())) < 1000


def test_there_are_at_least_a_hundred_of_them() -> None:
    assert len(FILES) + len(OVERRIDES) + len(ARGUMENTS) > 100


def test_what_a_message_quotes_is_cut(tmp_path: Path) -> None:
    outcome = tuneoff("plan", small.study(tmp_path), "--set", f"training.max_steps={HUGE}")
    assert f"but got '{HUGE[:199]}... (20,002 characters)" in outcome.err


def test_text_in_braces_is_a_prompt_without_quotes(tmp_path: Path) -> None:
    for given in ("{text}", "{text}, good or bad?"):
        assert small.spec(tmp_path, [f"tasks.films.prompt={given}"]).tasks["films"].prompt == given
    expected = tuneoff("plan", small.study(tmp_path), "--set", "tasks.films.target={text}").err
    assert "put quotes around text in braces" in expected


def test_a_bare_equals_sign_is_text(tmp_path: Path) -> None:
    labels = small.spec(tmp_path, ["tasks.films.labels={0: =, 1: b}"]).tasks["films"].model_dump()["labels"]
    assert labels == {"0": "=", "1": "b"}


def test_a_study_may_have_so_many_runs_and_none_more(tmp_path: Path) -> None:
    study = small.spec(tmp_path, ["ablations={}", "methods={zero_shot: {kind: none}, full: {kind: full}}"])
    most = study.model_copy(update={"seeds": tuple(range((MOST_RUNS - 1) // 2))})  # of two train sizes
    check_size(most)
    more = study.model_copy(update={"seeds": (*most.seeds, MOST_RUNS)})
    with pytest.raises(
        StudyError, match=r"at most 100,000 runs, but this one has 100,001 \(tasks: 1, methods"
    ):
        check_size(more)


def test_what_is_accepted_can_be_read_back_with_all_its_defaults(tmp_path: Path) -> None:
    study = small.spec(tmp_path)
    # a few values each in a file, but a dozen with their defaults
    methods = {f"m{number}": study.methods["lora"] for number in range(MOST_VALUES // 10)}
    _check_size_with_defaults(study, "study.yaml")
    with pytest.raises(StudyError, match=r"with its defaults a study may hold at most 100,000 values"):
        _check_size_with_defaults(study.model_copy(update={"methods": methods}), "study.yaml")


def test_an_error_is_reported_in_any_encoding() -> None:
    raw = io.BytesIO()
    err = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    with redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(["plan", "м.yaml"])
    assert end.value.code == 2
    assert b"there is no file '\\u043c.yaml'" in raw.getvalue()


@pytest.mark.subprocess
@pytest.mark.skipif(os.name != "posix", reason="pipes end otherwise elsewhere")
def test_a_reader_that_has_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tuneoff", "studies"]
    with open(writer, "wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.subprocess
@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_an_output_that_is_full_is_one_message() -> None:
    command = [sys.executable, "-m", "tuneoff", "studies"]
    with open("/dev/full", "wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("methods.lora.rank=97", "must not exceed the smaller side of every matrix that it changes, 96"),
        # 115 TB of keys and values
        (
            "methods.lora={kind: prefix, length: 50000000000}",
            "method 'lora' cannot be run on task 'films': it does not",
        ),
        ("methods.lora={kind: prompt, length: 100001}", "less than or equal to 100000"),
        ("methods.lora={kind: prefix, init: vocabulary, length: 100001}", "at most 100,000 words"),
    ],
)
def test_a_plan_with_a_run_that_cannot_be_is_one_error(tmp_path: Path, override: str, expected: str) -> None:
    outcome = tuneoff("plan", small.study(tmp_path), "--set", "ablations={}", "--set", override)
    _refused(outcome)
    assert expected in outcome.err
