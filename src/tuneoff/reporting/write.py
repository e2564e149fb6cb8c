"""Write a report: into a folder beside the old one, which it then replaces."""

import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from filelock import FileLock
from pydantic_core import to_json

from tuneoff.errors import StoreError
from tuneoff.reporting.charts import chart_library, pictures
from tuneoff.reporting.conclusions import conclusions
from tuneoff.reporting.data import ReportData, load_report_data
from tuneoff.reporting.decision import decision_json, decision_statements
from tuneoff.reporting.document import Figure, Statement
from tuneoff.reporting.figures import (
    Drawing,
    comparison_figures,
    curve_figures,
    cut_figures,
    decision_figures,
    difference_figures,
    frontier_figures,
    named_apart,
    search_figures,
)
from tuneoff.reporting.markdown import markdown
from tuneoff.reporting.page import pages
from tuneoff.reporting.ranks import rank_figures
from tuneoff.reporting.result import Result
from tuneoff.reporting.sections import document
from tuneoff.reporting.tables import summary_csv
from tuneoff.reporting.titles import Title
from tuneoff.results import ReportFolder, StudyFolder


def write_report(folder: Path) -> Result:
    """Write a study's report.md, report.html, summary.csv, runs.csv, decision.json, health.json and plots.

    An older report is replaced at the end; it stays as it was if anything fails before.

    Raises:
        StoreError: the folder holds no study, a record is damaged, or the report cannot be written.
    """
    data = load_report_data(folder)
    found = conclusions(data)
    texts, figures, warnings = rendered(data, found)
    layout = StudyFolder(folder)
    report = layout.report
    target = report.path
    try:
        # the shards of a study may end at once
        with (
            FileLock(layout.report_lock),
            tempfile.TemporaryDirectory(prefix=".report-", dir=folder, ignore_cleanup_errors=True) as place,
        ):
            fresh = Path(place) / "new"
            _write(fresh, texts, figures)
            _swap(fresh, target, old=Path(place) / "old")
    except OSError as error:
        raise StoreError(
            f"cannot write the report: {error.filename or target} is not writable "
            f"({error.strerror or error}); free space or permit writing there, close programs that show the "
            "report, and report again"
        ) from error
    return Result(
        folder=folder,
        decisions=tuple(one.text for one in decision_statements(data)),
        conclusions=tuple(one.text for one in found),
        warnings=warnings,
        data=data,
    )


def rendered(
    data: ReportData, found: tuple[Statement, ...]
) -> tuple[dict[str, str], tuple[Figure, ...], tuple[str, ...]]:
    """Return the texts of a report by file name, its figures, and warnings about what it lacks."""
    with ThreadPoolExecutor(1) as beside:
        library = beside.submit(chart_library)  # a process makes it while others draw
        figures, warnings = _drawn_figures(
            {
                Title.DECISION: tuple(decision_figures(data)),
                Title.COMPARISONS: tuple(difference_figures(data)),
                Title.CHARTS: (*frontier_figures(data), *comparison_figures(data)),
                Title.CUTS: tuple(cut_figures(data)),
                Title.SEARCH: tuple(search_figures(data)),
                Title.RANKS: tuple(rank_figures(data)),
                Title.CURVES: tuple(curve_figures(data)),
            }
        )
        whole = document(data, found, figures=figures, warnings=warnings)
    report = ReportFolder(Path())
    texts = {
        report.markdown.name: markdown(whole),
        **pages(data, whole, library=library.result()),
        report.summary.name: summary_csv(data).to_csv(index=False, lineterminator="\n"),
        report.runs.name: data.runs.to_csv(index=False, lineterminator="\n"),
        report.health.name: _health(data),
        report.decision.name: to_json(decision_json(data), indent=2).decode() + "\n",
    }
    return texts, tuple(chain.from_iterable(figures.values())), warnings


def _drawn_figures(
    planned: Mapping[Title, tuple[Drawing, ...]],
) -> tuple[dict[Title, tuple[Figure, ...]], tuple[str, ...]]:
    """Draw all figures together, in one process; return them by section, and a warning if some failed."""
    sections = [title for title, drawings in planned.items() for _ in drawings]
    drawings = named_apart(chain.from_iterable(planned.values()))
    drawn = pictures([one.chart for one in drawings])
    figures: dict[Title, list[Figure]] = {title: [] for title in planned}
    for title, drawing, picture in zip(sections, drawings, drawn, strict=True):
        if picture:
            figures[title].append(Figure(drawing.stem, drawing.caption, picture.png, picture.svg))
    failed = sum(picture is None for picture in drawn)
    warnings: tuple[str, ...] = ()
    if failed:
        warnings = (
            f"{failed} of {len(drawn)} charts could not be drawn and are missing. The renderer reserves 70 "
            "GB of addresses (not of memory): where these are limited (ulimit -v), report again without it.",
        )
    return {title: tuple(own) for title, own in figures.items()}, warnings


def _health(data: ReportData) -> str:
    """Return the findings about each run as JSON: a list by run id, empty where it passed all checks."""
    by_run = {}
    for run_id, findings in data.judgement.findings.items():
        by_run[run_id] = [{"level": one.level, **asdict(one)} for one in findings]
    return to_json(by_run, indent=2).decode() + "\n"


def _write(folder: Path, texts: dict[str, str], figures: Iterable[Figure]) -> None:
    report = ReportFolder(folder)
    report.plots.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    for figure in figures:
        report.figure(figure.stem, "png").write_bytes(figure.png)
        report.figure(figure.stem, "svg").write_bytes(figure.svg)


def _swap(fresh: Path, target: Path, *, old: Path) -> None:
    """Put the new folder in the place of the old one, which comes back if that fails."""
    if target.exists():
        target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
