"""From what is known of a study to a document: its sections in order."""

from collections import Counter
from dataclasses import replace

from tuneoff.report import evidence, settings, tables
from tuneoff.report.conclusions import COMPARISONS, CROSSOVERS, FAILURES, HEALTH, INTERVALS, SEARCH
from tuneoff.report.data import ReportData
from tuneoff.report.document import Document, Figure, Section, Statement, Table
from tuneoff.report.tables import state_in_words

RESULTS = "Results"
SCORES_NOTE = (
    "Scores are fractions between 0 and 1 on the test split. ± is the sample standard deviation over seeds, "
    "left out where there is one run. Only complete runs count; n is their number. eval_loss is in nats per "
    "token, eval_runtime in seconds. Trainable % is relative to the parameters of the base model."
)
RUNS_NOTE = "A row per planned run, in the order of the results; the link leads to the run's record."
CONFIGURATION_NOTE = (
    "weight_decay=none and lr_scheduler_type=none in a method stand for the value under Model and training."
)
SEARCHED_NOTE = "Searched settings have the values that their search chose, once it has ended."
INTERVALS_NOTE = (
    "The mean of the main metric with its 95% interval over other seeds and other test examples. The two "
    "standard errors say how much of it is due to the seeds alone and to the finite test set alone; with one "
    "seed the interval holds for that model only."
)
COMPARISONS_NOTE = (
    "Method minus reference on the same seeds and the same test examples, with the 95% interval. p is "
    "Holm's, over the methods' rows of one task and train size; ablation variants are a family of their own, "
    "and rows of one seed are in none. The sign-flip test looks at the seeds alone and cannot go below the "
    "value behind it. Effect size is Cohen's d_z over test examples. docs/statistics.md explains all columns."
)
CROSSOVERS_NOTE = (
    "Training rows at which two methods score alike, on a straight line over log rows between two train "
    "sizes. Only pairs are listed of which each is shown to be ahead at some size, with Holm's "
    "adjustment over all pairs and sizes. The interval holds every place at which no difference is shown."
)
HEALTH_NOTE = (
    "What was found about single runs. ill: the number is no result of the method. note: read it with care. "
    "Runs without a row have nothing against them. docs/health.md has the rules."
)
SEARCH_NOTE = (
    "Every method was given as many trials, each of the steps shown; those that failed, diverged or ran out "
    "of memory count among them, without a score. Scores are on validation, with seeds that no result uses. "
    "At the edge: no value beyond the best one was tried, so a better one may lie there."
)
SEEDS_NOTE = "A run's seed gives one seed to each random stream, the same for every method."
DATA_NOTE = (
    "read: rows in the source. empty: rows without an input or target, left out. duplicates: rows that "
    "repeat an earlier one, kept. overlap: rows whose input also occurs in train. used: rows trained on or "
    "scored. truncated: used rows that were cut to the longest allowed length."
)


TIME_NOTE = (
    "Train is the optimizer steps alone; total also holds loading, evaluations and the test. Runs that share "
    "a machine slow each other down."
)


def document(
    data: ReportData,
    found: tuple[Statement, ...],
    *,
    figures: dict[str, tuple[Figure, ...]],
    warnings: tuple[str, ...] = (),
) -> Document:
    """The whole report, with the given conclusions, figures by section, and what it lacks."""
    curves = figures["curves"]
    sections = (
        Section("What the study found", statements=found),
        Section(RESULTS, (SCORES_NOTE,), tables=(tables.summary_table(data),)),
        Section(INTERVALS, _intervals_note(data), tables=(evidence.intervals_table(data),)),
        Section(COMPARISONS, (COMPARISONS_NOTE,), tables=(evidence.comparisons_table(data),)),
        Section(CROSSOVERS, (CROSSOVERS_NOTE,), tables=(evidence.crossovers_table(data),)),
        Section(HEALTH, (HEALTH_NOTE,), tables=(evidence.health_table(data),)),
        Section(FAILURES, tables=(tables.failures_table(data),)),
        Section("Comparisons", figures=figures["comparisons"]),
        Section(SEARCH, (SEARCH_NOTE,), tables=(tables.search_table(data),), figures=figures["search"]),
        Section("Learning curves", _curves_note(data, len(curves)), figures=curves, embedded=False),
        Section("Runs", (RUNS_NOTE,), tables=(tables.runs_table(data),)),
        Section("Configuration", _configuration_notes(data), tables=_configuration(data)),
        Section("Data", (DATA_NOTE,), tables=(settings.data_table(data), settings.sources_table(data))),
        Section("Versions and machine", (_sameness(data),), tables=(settings.environment_table(data),)),
        Section("Seeds", (SEEDS_NOTE,), tables=(settings.seeds_table(data),)),
        Section("Wall time", (TIME_NOTE,), tables=(settings.time_table(data),)),
    )
    filled = (replace(one, tables=tuple(table for table in one.tables if table.rows)) for one in sections)
    shown = tuple(one for one in filled if one.tables or one.figures or one.statements)
    return Document(f"{data.study.name}: fine-tuning methods compared", (*_lead(data), *warnings), shown)


def progress(data: ReportData) -> str:
    """How many runs are complete, and what became of the others: `1 of 3 runs are complete; 2 failed`."""
    states = Counter(record.state for record in data.records)
    others = [
        f"{number} {state_in_words(state)}" for state, number in sorted(states.items()) if state != "complete"
    ]
    left_out = len({one.name for one in data.left_out} & {run.run_id for run in data.plan})
    if left_out:
        others.append(f"{left_out} left out")
    if missing := len(data.plan) - len(data.records) - left_out:
        others.append(f"{missing} not run yet")
    rest = f"; {', '.join(others)}" if others else ""
    return f"{states['complete']} of {len(data.plan)} runs are complete{rest}."


def _lead(data: ReportData) -> tuple[str, ...]:
    tasks, methods = ", ".join(data.study.tasks), ", ".join(name for name, _ in data.variants)
    lead = [progress(data), f"Model: {data.study.model.id}. Tasks: {tasks}. Methods: {methods}."]
    if not (data.runs["state"] == "complete").any():
        lead.append("No run is complete, so there are no scores to compare.")
    if data.left_out:
        names = ", ".join(one.name for one in data.left_out)
        lead.append(f"Left out of all tables, for the reasons under {FAILURES}: {names}.")
    if data.foreign:
        ids = ", ".join(one.name for one in data.foreign)
        lead.append(f"Records in this folder that belong to no run of this study are left out: {ids}.")
    return (*lead, *(f"{remark}." for remark in data.remarks))


def _curves_note(data: ReportData, drawn: int) -> tuple[str, ...]:
    rows = sum(
        any(data.curves[record.run_id] for record in data.of_cell(cell))
        for cell in data.cells
        if cell[1] not in data.untrained
    )
    if rows <= drawn:
        return ()
    return (f"Drawn for the first {drawn} of {rows} rows; each run's folder has its curve.jsonl.",)


def _configuration_notes(data: ReportData) -> tuple[str, ...]:
    return (CONFIGURATION_NOTE, SEARCHED_NOTE) if data.study.search else (CONFIGURATION_NOTE,)


def _intervals_note(data: ReportData) -> tuple[str, ...]:
    lost = evidence.lost_seeds(data)
    return (INTERVALS_NOTE, lost) if lost else (INTERVALS_NOTE,)


def _configuration(data: ReportData) -> tuple[Table, ...]:
    return settings.model_table(data), settings.methods_table(data), settings.tasks_table(data)


def _sameness(data: ReportData) -> str:
    if names := settings.differing(data):
        told = ", ".join(names)
        return f"These differ between runs, so scores and times may differ for that reason: {told}."
    return "These were the same in all runs."
