"""From what is known of a study to a document: its sections in order."""

from collections import Counter
from dataclasses import replace

from tuneoff.report import settings, tables
from tuneoff.report.data import ReportData
from tuneoff.report.document import Document, Figure, Section, Table
from tuneoff.report.tables import written_state

SCORES_NOTE = (
    "Scores are fractions between 0 and 1 on the test split. ± is the sample standard deviation over seeds, "
    "left out where there is one run. Only complete runs count; n is their number. eval_loss is in nats per "
    "token, eval_runtime in seconds. Trainable % is relative to the parameters of the untouched model."
)
RUNS_NOTE = "A row per planned run, in the order of the results; the link leads to the run's record."
CONFIGURATION_NOTE = (
    "weight_decay=none and lr_scheduler_type=none in a method stand for the value under Model and training."
)
SEARCH_NOTE = (
    "Every method got the same number of trials of the same length; scores are on validation, with seeds "
    "that no result uses. At the edge: no value beyond the best one was tried, so a better one may lie there."
)
SEEDS_NOTE = "A run's seed gives one seed to each random stream, the same for every method."
DATA_NOTE = (
    "read: rows in the source. empty: rows without an input or target, left out. duplicates: rows that "
    "repeat an earlier one, kept. overlap: rows whose input also occurs in train. used: rows trained on or "
    "scored. truncated: used rows that were cut to the longest allowed length."
)


TIME_NOTE = (
    "Train is the optimiser steps alone; total also holds loading, evaluations and the test. Runs that share "
    "a machine slow each other down."
)


def document(
    data: ReportData, *, results: tuple[Table, ...], figures: dict[str, tuple[Figure, ...]]
) -> Document:
    """The whole report, with the given tables of results, and figures by section."""
    sections = (
        Section("Results", (SCORES_NOTE,), results),
        Section("Runs that are not complete", tables=(tables.failures_table(data),)),
        Section("Comparisons", figures=figures["comparisons"]),
        Section("Search", (SEARCH_NOTE,), (tables.search_table(data),), figures["search"]),
        Section("Learning curves", figures=figures["curves"], embedded=False),
        Section("Runs", (RUNS_NOTE,), (tables.runs_table(data),)),
        Section("Configuration", (CONFIGURATION_NOTE,), _configuration(data)),
        Section("Data", (DATA_NOTE,), (settings.data_table(data), settings.sources_table(data))),
        Section("Versions and machine", (_sameness(data),), (settings.environment_table(data),)),
        Section("Seeds", (SEEDS_NOTE,), (settings.seeds_table(data),)),
        Section("Wall time", (TIME_NOTE,), (settings.time_table(data),)),
    )
    filled = (replace(one, tables=tuple(table for table in one.tables if table.rows)) for one in sections)
    shown = tuple(section for section in filled if section.tables or section.figures)
    return Document(f"{data.study.name}: fine-tuning methods compared", _lead(data), shown)


def progress(data: ReportData) -> str:
    """How many runs are complete, and what became of the others: `1 of 3 runs are complete; 2 failed`."""
    states = Counter(record.state for record in data.records)
    others = [
        f"{number} {written_state(state)}" for state, number in sorted(states.items()) if state != "complete"
    ]
    if missing := len(data.plan) - len(data.records):
        others.append(f"{missing} not run yet")
    rest = f"; {', '.join(others)}" if others else ""
    return f"{states['complete']} of {len(data.plan)} runs are complete{rest}."


def _lead(data: ReportData) -> tuple[str, ...]:
    tasks, methods = ", ".join(data.study.tasks), ", ".join(name for name, _ in data.variants)
    lead = [progress(data), f"Model: {data.study.model.id}. Tasks: {tasks}. Methods: {methods}."]
    if not (data.runs["state"] == "complete").any():
        lead.append("No run is complete, so there are no scores to compare.")
    if data.strangers:
        ids = ", ".join(data.strangers)
        lead.append(f"Records in this folder that belong to no run of this study are left out: {ids}.")
    return tuple(lead)


def _configuration(data: ReportData) -> tuple[Table, ...]:
    return settings.model_table(data), settings.methods_table(data), settings.tasks_table(data)


def _sameness(data: ReportData) -> str:
    if names := settings.differing(data):
        told = ", ".join(names)
        return f"These differ between runs, so scores and times may differ for that reason: {told}."
    return "These were the same in all runs."
