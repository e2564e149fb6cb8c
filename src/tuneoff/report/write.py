"""Writing a report: made in a folder beside the old one, which it then replaces."""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from pydantic_core import to_json

from tuneoff.errors import StoreError
from tuneoff.report.charts import pictures
from tuneoff.report.conclusions import conclusions
from tuneoff.report.data import ReportData, load_report_data
from tuneoff.report.document import Figure, Statement
from tuneoff.report.figures import comparison_figures, curve_figures, named_apart, search_figures
from tuneoff.report.html import html
from tuneoff.report.markdown import markdown
from tuneoff.report.sections import RESULTS, document
from tuneoff.report.tables import summary_csv, task_tables
from tuneoff.spec.results import HEALTH_FILE, REPORT


class WrittenReport(NamedTuple):
    """A report on disk."""

    path: Path
    """Of report.md."""
    conclusions: tuple[str, ...]
    warnings: tuple[str, ...]
    """What the report lacks, and why."""
    data: ReportData
    """What it was made from."""


def write_report(folder: Path) -> WrittenReport:
    """What was found, and where: report.md, written with report.html, summary.csv and plots from the runs.

    An older report is replaced at the end; it stays as it was if anything fails before.

    Raises:
        StoreError: the folder holds no study, a record is damaged, or the report cannot be written.
    """
    data = load_report_data(folder)
    found = conclusions(data)
    texts, figures, warnings = rendered(data, found)
    target = folder / REPORT
    try:
        with tempfile.TemporaryDirectory(prefix=".report-", dir=folder, ignore_cleanup_errors=True) as place:
            fresh = Path(place) / "new"
            _write(fresh, texts, figures)
            _swap(fresh, target, old=Path(place) / "old")
    except OSError as error:
        raise StoreError(
            f"a report must be writable, but {error.filename or target} is not ({error.strerror or error}); "
            "free space or permit writing there, close programs that show the report, and report again"
        ) from error
    return WrittenReport(target / "report.md", tuple(one.text for one in found), warnings, data)


def rendered(
    data: ReportData, found: tuple[Statement, ...]
) -> tuple[dict[str, str], tuple[Figure, ...], tuple[str, ...]]:
    """The texts of a report by file name, its figures, and what it lacks."""
    planned = {
        "comparisons": tuple(comparison_figures(data)),
        "search": tuple(search_figures(data)),
        "curves": tuple(curve_figures(data)),
    }
    named = named_apart(chain.from_iterable(planned.values()))
    drawn = [
        Figure(one.stem, one.caption, picture) if picture else None
        for one, picture in zip(named, pictures([one.chart for one in named]), strict=True)
    ]
    warnings = _undrawn(drawn)
    rest = iter(drawn)
    figures = {
        section: tuple(one for one in islice(rest, len(own)) if one) for section, own in planned.items()
    }
    whole = document(data, found, figures=figures, warnings=warnings)
    texts = {
        "report.md": markdown(whole),
        "report.html": html(whole.with_tables(RESULTS, task_tables(data))),
        "summary.csv": summary_csv(data).to_csv(index=False, lineterminator="\n"),
        HEALTH_FILE: _health(data),
    }
    return texts, tuple(chain.from_iterable(figures.values())), warnings


def _undrawn(figures: Sequence[Figure | None]) -> tuple[str, ...]:
    lacking = sum(one is None for one in figures)
    if not lacking:
        return ()
    return (
        f"{lacking} of {len(figures)} charts could not be drawn and are left out. The renderer reserves 70 "
        "GB of addresses (not of memory): where these are limited (ulimit -v), report again without it.",
    )


def _write(folder: Path, texts: dict[str, str], figures: Iterable[Figure]) -> None:
    (folder / "plots").mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    for figure in figures:
        (folder / figure.href).write_bytes(figure.png)


def _health(data: ReportData) -> str:
    """Return the findings about each run as JSON: a list by run id, empty where nothing was found."""
    findings = {
        run_id: [{"level": one.level, **asdict(one)} for one in own]
        for run_id, own in data.judgement.findings.items()
    }
    return to_json(findings, indent=2).decode() + "\n"


def _swap(fresh: Path, target: Path, *, old: Path) -> None:
    """Puts the new folder in the place of the old one, which comes back if that fails."""
    if target.exists():
        target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
