"""Texts of users, data and errors are shown as they are, and are markup on no output."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from helpers import fabricated as made
from helpers.command_line import Outcome, tuneoff
from helpers.drawing import charts_drawn
from tuneoff.cli import main
from tuneoff.cli.predict import write as write_predictions
from tuneoff.cli.progress import Progress
from tuneoff.errors import visible
from tuneoff.reporting.document import Document, Figure, Link, Section, Statement, Table
from tuneoff.reporting.markdown import escaped, inline, markdown
from tuneoff.reporting.page import Answer, Description, How, PageView, TaskAnswers, parts, rendered
from tuneoff.reporting.titles import Title
from tuneoff.results import RunRecord
from tuneoff.spec import RunSpec, expand
from tuneoff.spec.run import digest_of
from tuneoff.study import RunFinished, RunStarted

HOSTILE = (
    "[/b]",
    "[red]x[/red] :smile:",
    "<script>alert(1)</script>",
    "a|b\n# c",
    "\x1b[31mred\u202e",
    "x" * 5000,
    "$x$ `y` _z_ **b** ~~s~~ &amp; https://a.b www.c.d",
    "![i](javascript:alert(1))",
)
HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, tuple(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.seen.append((f"/{tag}", ()))


def _tags(page: str) -> list[tuple[str, tuple[str, ...]]]:
    parser = _Tags()
    parser.feed(page)
    return parser.seen


def _document(text: str) -> Document:
    table = Table(("Method", "Value"), ((text, text), (Link(text, "../runs/a/record.json"), "-")), 2, text)
    return Document(
        text,
        (text,),
        (
            Section(
                Title.RESULTS,
                (text,),
                (Statement(text, Link("e", "#s")),),
                (table,),
                (Figure("f", text, b"", b""),),
            ),
        ),
    )


def _page(text: str) -> str:
    """A page with the text wherever one can be: answers, charts, methods, and what scripts read."""
    table = Table(("Method",), ((text,),))
    answer = Answer("", "shown", text, text, (text, text, text), price=text, rows=(text, "#examples?"))
    chart = {"data": {"values": [{"name": text}]}, "mark": "point", "title": text}
    views = {Title.RESULTS: (PageView("g", {"task": text}, text, text, chart),)}
    whole = _document(text)
    decision = Section(Title.DECISION, (text,), (Statement(text, Link("e", "#s")),))
    whole = Document(whole.title, whole.introduction, (decision, *whole.sections))
    return rendered(
        whole,
        parts(whole, views, {Title.RESULTS: table}),
        answers=(TaskAnswers(text, text, (answer,), ("g",), table),),
        how=How((Description(text, text, (text,)),), text, text, text),
        payload={"runs": {text: {"fields": [[text, text]]}}, "examples": [text]},
        library="",
    )


def _columns(markdown_text: str) -> list[int]:
    rows = [line for line in markdown_text.splitlines() if line.startswith("|")]
    return [len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows]


_TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text(
    "#-+=_*`[]()<>!|\\~$&:;/.@ \n1x", min_size=1
)


@pytest.mark.slow
@settings(max_examples=60)
@given(text=_TEXTS.filter(lambda text: text.split()))
@example("# a")
@example("1. a")
@example("---")
@example("a\n\n    code")
@example("a\\")
@example("](x) [y](")
def test_no_text_changes_the_structure_of_a_page(text: str) -> None:
    plain, hostile = _document("p"), _document(text)
    page, told = _page(visible(text)), markdown(hostile)
    assert _tags(page) == _tags(_page("p"))
    assert not HIDDEN.search(page + told)
    assert _columns(told) == [3, 3, 3, 3]
    assert len(told.splitlines()) == len(markdown(plain).splitlines())
    assert sum(line.startswith("#") for line in told.splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("eval_f1_macro -0.012", "eval_f1_macro -0.012"),
        ("_em_ and a_", r"\_em\_ and a\_"),
        ("# a", r"\# a"),
        ("- a", r"\- a"),
        ("+ a", r"\+ a"),
        ("12. a", r"12\. a"),
        ("1) a", r"1\) a"),
        ("---", r"\---"),
        ("==", r"\=="),
        ("$x$", r"\$x\$"),
        ("![a](b)", r"!\[a\](b)"),
        ("a <b> &amp;", "a &lt;b&gt; &amp;amp;"),
        ("see https://a.b or www.a.b", r"see https\://a.b or www\.a.b"),
        ("a@b.c", r"a\@b.c"),
    ],
)
def test_markdown_shows_what_would_be_markup(text: str, told: str) -> None:
    assert escaped(text) == told


def test_nothing_but_marks_is_escaped_in_a_cell() -> None:
    assert inline("-") == "-"
    assert inline("+0.012 to 1.5") == "+0.012 to 1.5"


def test_what_does_not_show_is_made_visible_and_scripts_stay_whole() -> None:
    assert visible("a\x1b[0m\u202eb\x85\ud800\r") == r"a\x1b[0m\u202eb\x85\ud800\r"
    kept = "Анна\t中文\n\u0645\u06cc\u200c\u062e 👩\u200d🚀 a\u00a0b"
    assert visible(kept) == kept


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Outcome]]:
    """The report of a study with a hostile text in each name that can be one, and what the terminal said."""
    folder = tmp_path_factory.mktemp("reports") / "a[v2] [b]"
    study = made.a_study(
        tasks={
            "sst2": made.SST2 | {"prompt": "[/i] \x85 {text}", "labels": {"0": HOSTILE[2], "1": HOSTILE[0]}}
        },
        methods={"prompt": made.METHODS["prompt"] | {"init": "text", "init_text": "x"}},
        ablations={"w": {"of": "prompt", "vary": {"init_text": list(HOSTILE)}}},
        seeds=[0],
    )
    runs = expand(study)
    broken = made.a_failure(runs[-1], message="no [/red] \x1b[31m space")
    made.write_folder(folder, study, records=[*map(made.a_record, runs[:-1]), broken])
    with charts_drawn():
        yield folder, tuneoff("report", folder)


@pytest.mark.slow
def test_the_terminal_shows_names_and_paths_as_they_are(hostile: tuple[Path, Outcome]) -> None:
    folder, outcome = hostile
    assert (outcome.code, outcome.err) == (1, "")
    assert f"report: {folder.as_posix()}/report/report.html" in outcome.out
    assert "init_text=[/b]" in outcome.out
    assert r"no [/red] \x1b[31m space" in outcome.out
    assert not HIDDEN.search(outcome.out)
    assert "accuracy" in outcome.out and "eval_" not in outcome.out


@pytest.mark.slow
def test_a_report_of_hostile_names_is_whole(hostile: tuple[Path, Outcome]) -> None:
    place = hostile[0] / "report"
    page, told = ((place / f"report.{ending}").read_text(encoding="utf-8") for ending in ("html", "md"))
    assert not HIDDEN.search(page + told)
    assert page.count("<script") == 3  # the page's own
    results = told.split("\n## Results\n")[1].split("\n## ")[0]
    assert len(set(_columns(results))) == 1
    pictures = sorted((place / "plots").iterdir())
    pictures = [path for path in pictures if path.suffix == ".png"]
    assert len(pictures) == 3  # the curves of the method and of the ablation, and the ablation's scores
    assert all(path.read_bytes().startswith(b"\x89PNG") and len(path.name) < 200 for path in pictures)


@pytest.mark.slow
def test_a_report_is_told_in_an_encoding_that_lacks_its_signs(tmp_path: Path) -> None:
    methods = {"prompt": made.METHODS["prompt"] | {"init": "text", "init_text": "x"}}
    ablations = {"a": {"of": "prompt", "vary": {"init_text": ["\u043c"]}}}
    made.write_folder(tmp_path, made.a_study(methods=methods, ablations=ablations, seeds=[0, 1]))
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    with redirect_stdout(out), pytest.raises(SystemExit) as end:
        main(["report", str(tmp_path)])
    assert not end.value.code
    assert b" +/- 0.00" in raw.getvalue()
    assert b"init_text=\\u043c" in raw.getvalue()


def test_the_progress_of_a_run_shows_texts_as_they_are() -> None:
    out = io.StringIO()
    with redirect_stdout(out), Progress(Console()) as progress:
        run = expand(made.a_study())[1]
        progress.show(RunStarted(run))
        progress.show(RunFinished(made.a_record(run, run_id="a[v2][/b]\x1b[31m")))
    assert out.getvalue().splitlines()[-1].startswith(r"a[v2][/b]\x1b[31m  complete  accuracy")


HIDING = "\x1b[31m\u202e</script><b>$x$ `y`"
"""What hides text, and what ends a script."""


def _hiding_record(run: RunSpec) -> RunRecord:
    """A record with such a text wherever one has any text."""
    record = made.a_record(run)
    assert record.data is not None
    texts = dict.fromkeys(("platform", "python", "device", "dtype", "model_revision"), HIDING)
    return record.model_copy(
        update={
            "scores": record.scores | {HIDING: 0.5},
            "validation": {HIDING: 0.5},
            "ranks": {HIDING: 2},
            "seeds": {HIDING: 1},
            "scoring": {HIDING: HIDING},
            "environment": made.an_environment(packages={HIDING: HIDING}, **texts),
            "data": record.data.model_copy(update={"revision": HIDING}),
        }
    )


@pytest.mark.slow
def test_no_text_of_a_record_is_markup_or_hidden_in_what_is_said_of_it(tmp_path: Path) -> None:
    methods = {name: made.METHODS[name] for name in ("zero_shot", "lora")}
    study = made.a_study(methods=methods, seeds=[0])
    untuned, tuned = expand(study)
    failed = made.a_failure(untuned, message=HIDING)
    for name, records in {
        "plain": map(made.a_record, (untuned, tuned)),
        "hiding": (failed, _hiding_record(tuned)),
    }.items():
        made.write_folder(tmp_path / name, study, records=records)
    outcome = tuneoff("report", tmp_path / "hiding")
    assert (outcome.code, outcome.err) == (1, "")
    assert tuneoff("report", tmp_path / "plain").code == 0
    page, told = (
        (tmp_path / "hiding" / "report" / f"report.{ending}").read_text("utf-8") for ending in ("html", "md")
    )
    whole = (tmp_path / "plain" / "report" / "report.html").read_text("utf-8")
    assert not HIDDEN.search(page + told + outcome.out)
    for tag in ("script", "/script", "b"):
        assert [one for one, _ in _tags(page)].count(tag) == [one for one, _ in _tags(whole)].count(tag)
    assert visible("\x1b[31m\u202e") in outcome.out


def test_the_status_of_a_folder_shows_what_its_texts_hide(tmp_path: Path) -> None:
    study = made.a_study(methods={"lora": made.METHODS["lora"]}, seeds=[0, 1, 2])
    made.write_folder(tmp_path, study)
    first, second, _ = sorted(tmp_path.glob("runs/*/record.json"))
    for path, part in ((first, "timings"), (second, "scores")):
        content = json.loads(path.read_text(encoding="utf-8"))
        del content["checksum"]
        content[part][HIDING] = "x"
        path.write_text(json.dumps(content | {"checksum": digest_of(content)}), encoding="utf-8")
    outcome = tuneoff("status", tmp_path)
    assert outcome.out.count(r"\x1b[31m\u202e</script>") == 2  # an unknown field, and a score that is none
    assert not HIDDEN.search(outcome.out + outcome.err)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("out", "told"), [(io.StringIO, "\x1b[31m\u202e"), (_Terminal, r"\x1b[31m\u202e")])
def test_predictions_hide_nothing_on_a_terminal_and_go_as_they_are_to_a_file(
    out: type[io.StringIO], told: str
) -> None:
    with redirect_stdout(out()) as written:
        write_predictions(pd.DataFrame({"text": ["\x1b[31m\u202e"], "answer": ["a\tb"]}), None)
    assert written.getvalue() == f"text,answer\n{told},a\tb\n"
