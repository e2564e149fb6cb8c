"""Put the page together: the template filled with sections, the style, the scripts and their data."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from tuneoff.errors import visible
from tuneoff.reporting.charts import MOST_SEEDS
from tuneoff.reporting.charts.pictures import readable
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.document import Document, Link, Section, Table
from tuneoff.reporting.evidence import checks_table, health_table
from tuneoff.reporting.formatting import ABSENT_MEANS
from tuneoff.reporting.page.answers import TaskAnswers, answers
from tuneoff.reporting.page.examples import page_examples
from tuneoff.reporting.page.how import How, how
from tuneoff.reporting.page.runs import file_of_runs, ids_in, page_runs, pages_of_runs, tables_of_runs
from tuneoff.reporting.page.views import PageView, views
from tuneoff.reporting.rendering import environment
from tuneoff.reporting.tables import by_task
from tuneoff.reporting.titles import Title, anchor
from tuneoff.results import ReportFolder

SCRIPTS = ("elements.js", "tables.js", "views.js", "runs.js", "examples.js", "theme.js", "main.js")
"""One script on the page, in this order: a later file may use what an earlier one defines."""
STYLES = ("style.css", "examples.css")
ORDER = (
    *(Title.DECISION, Title.CONCLUSIONS, Title.COMPARISONS, Title.CURVES, Title.EXAMPLES, Title.RESULTS),
    *(Title.CHARTS, Title.INTERVALS, Title.FORGETTING, Title.CROSSOVERS, Title.CUTS, Title.RANKS),
    *(Title.HEALTH, Title.FAILURES, Title.SEARCH, Title.RUNS, Title.HOW, Title.CONFIGURATION, Title.DATA),
    *(Title.ENVIRONMENT, Title.SEEDS, Title.TIME),
)
"""The page's sections."""
FOLDED = frozenset({Title.CONFIGURATION, Title.DATA, Title.ENVIRONMENT, Title.SEEDS, Title.TIME})
"""Sections of which the page shows the title alone until they are opened."""
BY_TASK = frozenset({Title.RESULTS, Title.INTERVALS, Title.FORGETTING, Title.COMPARISONS})
"""Sections whose table is one for each task, with what matters of it in the first columns."""
HEADLINES = {
    Title.CONCLUSIONS: "Everything the comparisons allow to say, in sentences made by rule.",
    Title.COMPARISONS: "How far each method is from a reference, and what may be claimed of that.",
    Title.CURVES: "Every run of a task in one plot. Choose a method in the legend to make it stand out.",
    Title.EXAMPLES: "Every test row with each method's answer; first those where methods differ most.",
    Title.RESULTS: "All scores, as means over seeds.",
    Title.CHARTS: "What more training rows or other settings change.",
    Title.INTERVALS: "How far each mean may be off, for other seeds and other test examples.",
    Title.FORGETTING: "How much worse the tuned model is at general text than the untouched one.",
    Title.CROSSOVERS: "Where one method overtakes another as training rows grow.",
    Title.CUTS: "What is left of the score if LoRA stores less, cut after training without any more of it.",
    Title.HEALTH: "Findings that say whether a number can be used.",
    Title.FAILURES: "Runs that have no result.",
    Title.SEARCH: "How the settings were chosen, on validation alone.",
    Title.RANKS: "Which layers needed a higher rank.",
    Title.RUNS: "Choose a run to see its curve, its record and its files.",
    Title.HOW: "The methods in words, and what it takes to do this again.",
}
"""What a reader finds in a section, in one sentence."""
MOST_FINDINGS = 8
"""Findings that are listed at once; of more, the checks are."""


@dataclass(frozen=True)
class Part:
    """A section as the page shows it."""

    section: Section
    headline: str = ""
    """What to look for, in one sentence; the section's paragraphs are one click deeper."""
    views: tuple[PageView, ...] = ()
    deeper: Table | None = None
    """A table that is shown once its caption is clicked."""
    pages: tuple[Link, ...] = ()
    """The pages that have a part of the section's table each, where it is too long for one."""

    @property
    def anchor(self) -> str:
        """The name by which the section is linked to."""
        return anchor(self.section.title)

    @property
    def folded(self) -> bool:
        """Whether it shows its title alone until it is opened."""
        return self.section.title in FOLDED

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of its charts, in their order."""
        return tuple(dict.fromkeys(view.group for view in self.views))


def pages(data: ReportData, whole: Document, *, library: str) -> dict[str, str]:
    """Return the whole page, and pages of the runs that it has no room for, by file name.

    The page draws its own figures in place of the document's.
    `library` is the script that draws its charts; without it, "", the page has its tables and texts alone.
    """
    runs = tables_of_runs(data)
    first = {ReportFolder(Path()).html.name: _page(data, whole.without_figures(), runs, library=library)}
    return first | _further_pages(data, runs, library=library)


def _page(data: ReportData, whole: Document, runs: tuple[Table, ...], *, library: str) -> str:
    """Return the page of the whole report, which has the first of the tables of runs."""
    for section in whole.sections:
        if section.title in BY_TASK:
            tables = tuple(one for table in section.tables for one in by_task(data, table))
            whole = whole.with_tables(section.title, tables)
    deeper = {}
    checks, findings = checks_table(data), health_table(data)
    if len(findings.rows) > MOST_FINDINGS:
        whole = whole.with_tables(Title.HEALTH, (checks,))
        all_of_them = replace(findings, caption=f"All {len(findings.rows)} findings")
        deeper[Title.HEALTH] = all_of_them.shortened(ReportFolder(Path()).health.name)
    examples, drawn = page_examples(data), views(data)
    in_charts = {run for own in drawn.values() for one in own if one.curves for run in one.curves.runs}
    sections = parts(whole, drawn, deeper, pages=pages_of_runs(runs), has_examples=bool(examples))
    return rendered(
        whole,
        sections,
        answers=answers(data),
        how=how(data),
        payload=page_runs(data, in_charts | ids_in(runs[0])) | {"examples": examples},
        library=library,
    )


def _further_pages(data: ReportData, runs: tuple[Table, ...], *, library: str) -> dict[str, str]:
    """Return the pages of all tables of runs but the first."""
    links = pages_of_runs(runs)
    texts = {}
    for number, table in enumerate(runs[1:], start=2):
        section = Section(Title.RUNS, tables=(table,))
        title = f"{data.study.name}: runs {links[number - 1].text}"
        texts[file_of_runs(number)] = rendered(
            Document(title, (), (section,)),
            (Part(section, HEADLINES[Title.RUNS], pages=links),),
            payload=page_runs(data, ids_in(table)) | {"examples": []},
            library=library,
        )
    return texts


def parts(
    whole: Document,
    drawn: Mapping[Title, tuple[PageView, ...]],
    deeper: Mapping[Title, Table],
    *,
    pages: tuple[Link, ...] = (),
    has_examples: bool = False,
) -> tuple[Part, ...]:
    """Return the sections in the page's order, each with its headline, charts and further table.

    `pages` are those of the runs.
    """
    by_title = {section.title: section for section in whole.sections}
    of_the_page_alone = {Title.HOW, Title.EXAMPLES} if has_examples else {Title.HOW}
    found = []
    for title in dict.fromkeys((*ORDER, *by_title)):
        section = by_title.get(title, Section(title))
        if title in by_title or title in drawn or title in of_the_page_alone:
            charts = drawn.get(title, ())
            own = pages if title == Title.RUNS else ()
            found.append(Part(section, HEADLINES.get(title, ""), charts, deeper.get(title), own))
    return tuple(found)


@cache
def _template() -> jinja2.Template:
    templates = environment(autoescape=True, finalize=_visible)
    templates.tests["link"] = lambda entry: isinstance(entry, Link)
    return templates.get_template("page.html.j2")


def rendered(
    whole: Document,
    sections: tuple[Part, ...],
    *,
    answers: tuple[TaskAnswers, ...] = (),
    how: How | None = None,
    payload: Mapping[str, Any],
    library: str,
) -> str:
    """Return the page of these parts; `payload` is for the scripts, beside the charts."""
    views: dict[str, list[dict[str, Any]]] = {}
    for one in (view for part in sections for view in part.views):
        views.setdefault(one.group, []).append(_view(one))
    scripts = (library, "\n".join(map(_static, SCRIPTS)))
    styles = tuple(map(_static, STYLES))
    return _template().render(
        document=whole,
        parts=sections,
        answers=answers,
        how=how,
        absent_means=ABSENT_MEANS,
        has_examples=bool(payload.get("examples")),
        most_seeds=MOST_SEEDS,
        policy=policy(scripts, styles),
        scripts=scripts,
        styles=styles,
        data=json_for_html({"views": views, **payload}),
    )


def policy(scripts: Iterable[str], styles: Iterable[str]) -> str:
    """Return the Content-Security-Policy that allows these inline scripts and styles, and nothing else."""
    allowed = {"script-src": scripts, "style-src": styles}
    rules = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    rules += [f"{name} {' '.join(map(_source, texts))}" for name, texts in allowed.items()]
    return "; ".join(rules)


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def json_for_html(value: Any) -> str:
    """Return a value as JSON that no HTML parser takes for markup, wherever it stands in a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _view(one: PageView) -> dict[str, Any]:
    """Return a chart for the scripts, without what it lacks."""
    value = {
        "choices": one.choices,
        "title": one.title,
        "caption": one.caption,
        "spec": one.spec,
        "narrow": one.narrow,
        "curves": one.curves and one.curves._asdict(),
    }
    return {name: readable(part) for name, part in value.items() if part is not None}


def _static(name: str) -> str:
    return files("tuneoff.reporting.page").joinpath("static", name).read_text(encoding="utf-8")


def _visible(value: object) -> object:
    """Make control characters in a template's texts visible; what is marked as safe stays."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
