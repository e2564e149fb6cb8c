"""The runs on their pages: the table, and of each its curve, main fields, versions, findings and files."""

from collections.abc import Collection
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tuneoff.errors import visible
from tuneoff.reporting import charts
from tuneoff.reporting.charts.pictures import readable
from tuneoff.reporting.charts.style import View
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.decision import price_in_words
from tuneoff.reporting.document import Link, Table
from tuneoff.reporting.formatting import byte_size, count, decimal, duration, in_words, percent
from tuneoff.reporting.settings import as_text, circumstances
from tuneoff.reporting.tables import runs_table
from tuneoff.reporting.titles import Title, anchor
from tuneoff.results import ReportFolder, RunFolder, RunRecord, StudyFolder, metric_name


def tables_of_runs(data: ReportData) -> tuple[Table, ...]:
    """Return the table of all runs as the pages show it."""
    return runs_table(data).parts(ReportFolder(Path()).runs.name)


def pages_of_runs(tables: tuple[Table, ...]) -> tuple[Link, ...]:
    """Return a link to each page with a part of the runs, such as `1,001 to 2,000`; none if one has all."""
    if len(tables) == 1:
        return ()
    ends = list(accumulate((len(table.rows) for table in tables), initial=0))
    return tuple(
        Link(f"{start + 1:,} to {end:,}", file_of_runs(number))
        for number, (start, end) in enumerate(pairwise(ends), start=1)
    )


def file_of_runs(number: int) -> str:
    """Return the address of a page of runs, counted from 1, which is the whole report's."""
    files = ReportFolder(Path())
    return f"{files.html.name}#{anchor(Title.RUNS)}" if number == 1 else files.runs_page(number).name


def ids_in(table: Table) -> set[str]:
    """Return the ids of the runs in a table of runs."""
    return {entry.text if isinstance(entry, Link) else entry for entry, *_ in table.rows}


def page_runs(data: ReportData, shown: Collection[str]) -> dict[str, Any]:
    """Return the runs by id, the curves by id, the charts of a run's curve by task, and the environments.

    Of the runs, those whose ids are `shown`.
    """
    records = [record for record in data.records if record.run_id in shown]
    environments: dict[tuple[tuple[str, str], ...], int] = {}
    runs = {}
    for record in records:
        place = None
        if record.environment:
            found = tuple(circumstances(record.environment).items())
            place = environments.setdefault(found, len(environments))
        runs[record.run_id] = _run(data, record) | {"environment": place}
    return {
        "runs": runs,
        "curves": {record.run_id: _curve(data, record) for record in records},
        "runCharts": {task: _chart(spec.main_metric) for task, spec in data.study.tasks.items()},
        "environments": [[[visible(name), visible(value)] for name, value in one] for one in environments],
    }


def _run(data: ReportData, record: RunRecord) -> dict[str, Any]:
    findings = data.judgement.findings.get(record.run_id, ())
    return {
        "task": record.spec.task_name,
        "method": readable(record.spec.method_name),  # as the charts' legends have it
        "seed": charts.run_label(record),
        "fields": [[visible(name), visible(value)] for name, value in _fields(record)],
        "failure": visible(f"{record.failure.kind}: {record.failure.message}") if record.failure else None,
        "findings": [[one.level, one.check, visible(one.evidence)] for one in findings],
        "files": [[name, href] for name, href in _files(record)],
    }


def _fields(record: RunRecord) -> list[tuple[str, str]]:
    """Return the main fields of a record, each with its value in words."""
    spec, counts, times = record.spec, record.footprint, record.timings
    fields = [
        ("task", spec.task_name),
        ("method", spec.method_name),
        ("train size", str(spec.train_size)),
        ("seed", str(spec.seed)),
        ("state", in_words(record.state)),
    ]
    fields += [
        (f"test {metric_name(name)}", decimal(value, places=4)) for name, value in record.scores.items()
    ]
    fields += [
        (f"validation {metric_name(name)}", decimal(value, places=4))
        for name, value in record.validation.items()
    ]
    fields += [("kept step", count(record.best_step)), ("steps done", count(record.steps))]
    fields.append(("tokens trained on", count(record.tokens)))
    if counts:
        share = f"{count(counts.trainable)} ({percent(counts.trainable_percent)}%)"
        fields += [
            ("trained parameters", share),
            ("stored", price_in_words("stored_bytes", counts.stored_bytes)),
        ]
        fields.append(("deployed parameters", count(counts.deployed)))
    if times:
        fields += [
            ("training", price_in_words("training_seconds", times.train)),
            ("whole run", duration(record.seconds or times.total)),
        ]
        fields.append(("answers per second", decimal(times.eval_samples_per_second, places=1)))
        fields.append(("memory in training", byte_size(times.training_peak_bytes)))
    fields += [
        (f"rows of {task} in an epoch", f"{count(own.epoch_rows)} (of {count(own.rows)})")
        for task, own in record.shares.items()
    ]
    if record.weights_of:
        fields.append(("trained by", record.weights_of.run_id))
    settings = spec.method.model_dump(exclude={"kind"})
    fields += [(name, as_text(value)) for name, value in settings.items()]
    return fields


def _files(record: RunRecord) -> list[tuple[str, str]]:
    """Return the files in a run's folder with their addresses, from the report's folder."""
    names = (RunFolder(Path()).record.as_posix(), *sorted(record.files))
    folder = StudyFolder(Path("..")).run(record.run_id).path.as_posix()
    return [(name, quote(f"{folder}/{name}", safe="/=+,@")) for name in names]


def _curve(data: ReportData, record: RunRecord) -> dict[str, Any]:
    """Return a run's curve with five significant digits, which no screen shows more of."""
    curve = charts.run_curve(record, data.curves[record.run_id])
    panels = [[list(steps), [float(f"{value:.5g}") for value in values]] for steps, values in curve.panels]
    return {"panels": panels, "kept": curve.kept}


def _chart(metric: str) -> dict[str, View]:
    """Return the three panels of a run's curve, side by side and one below the other, without data."""
    nothing = charts.curve_data((), {})
    panels = []
    for title in charts.panel_titles(metric):
        chart = charts.draw_curve_panel(nothing, (), title=title, width=240, height=200)
        chart["encoding"]["color"] = {"value": charts.ACCENT}
        panels.append(chart)
    return {"spec": {"hconcat": panels, "spacing": 24}, "narrow": {"vconcat": panels, "spacing": 24}}
