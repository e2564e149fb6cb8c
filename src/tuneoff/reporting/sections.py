"""Lay out a report: its sections in order, each with its note, tables and figures."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from tuneoff.reporting import cuts, decision, evidence, ranks, settings, tables
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.document import Document, Figure, Section, Statement
from tuneoff.reporting.formatting import in_words
from tuneoff.reporting.races import race_note
from tuneoff.reporting.titles import Title
from tuneoff.results import ReportFolder, metric_name
from tuneoff.results.metrics import LOWER_IS_BETTER

DECISION_NOTE = (
    "Candidates are the methods, the base model and the simple baselines. Costs at most: an upper bound of "
    "how much worse than the best a candidate is; all bounds of a task and train size hold together with 95% "
    "confidence. May be best: no other candidate is shown to be better. Seeds that should settle a "
    "decision are projected from the variances seen so far, for a chance of 80%."
)
RESULTS_NOTE = (
    "Scores are fractions between 0 and 1 on the test split (the Matthews correlation: from -1). Higher is "
    f"better, except for {' and '.join(map(metric_name, LOWER_IS_BETTER))}. "
    "± is the sample standard deviation over seeds, omitted where there is one run. Only complete runs "
    "count; n is their number. loss is in nats per token. Trainable % is relative to the parameters of the "
    "base model. Health: "
    f"checks that gave an error or a warning, explained under {Title.HEALTH}; 'not shown to beat' names "
    "the strongest simple baseline where the method is not above it by more than chance."
)
INTERVALS_NOTE = (
    "The mean of the main metric with its 95% interval for other seeds and other test examples. The two "
    "errors are standard errors: the part due to the seeds alone, and the part due to the finite test set "
    "alone. With one seed the interval is for that model only."
)
FORGETTING_COLUMN_NOTE = (
    "Forgetting: by how much the loss on general text, in nats per token, is higher after tuning, with its "
    "95% interval."
)
FORGETTING_NOTE = (
    "The loss on general text that no task uses, in nats per token, of the untouched model and of the tuned "
    "one, without any task's prompt. Increase: how much higher it is after tuning, on the same texts, with "
    "its 95% interval for other seeds and other texts; with one seed, for that model only. Full fine-tuning "
    "changes the model for good; any other method can be taken off again, and then nothing is forgotten."
)
OBJECTIVE_NOTES = {
    "continuation": "The model predicts how a text goes on: each token from those before it, or, with an "
    "encoder, the second half from the first.",
    "span_corruption": "The model predicts spans that are hidden in a text, as in T5's pretraining.",
}
COMPARISONS_NOTE = (
    "Difference: method minus reference on the same seeds and the same test examples, with its 95% interval. "
    "p has Holm's adjustment over the methods' rows of one task and train size; ablation variants are a "
    "family of their own, and rows with a single seed are in none. The sign-flip test uses the seeds alone; "
    "its smallest possible p-value is given in brackets. Effect size is Cohen's d_z over test examples. An "
    "interval that excludes 0 can stand beside 'not distinguishable': outcomes go by the adjusted p. "
    f"{Title.DECISION} asks less, which candidate may be the best, and so can exclude some that are not "
    "distinguishable here. docs/statistics.md explains all columns."
)
CROSSOVERS_NOTE = (
    "Training rows at which two methods have equal scores, by linear interpolation over log rows between two "
    "train sizes. Only pairs are listed of which each is shown to be ahead at some size, with Holm's "
    "adjustment over all pairs and sizes. The interval holds every place at which no difference is shown."
)
HEALTH_NOTE = (
    "Findings about single runs. error: the run failed the check, and its score must not be used as a result "
    "of the method. warning: interpret the score with care. Runs not listed passed all checks. "
    "docs/health.md has the rules."
)
SEARCH_NOTE = (
    "Every method had the same number of trials, each of the steps shown; trials that failed, diverged or "
    "ran out of memory count, without a score. Scores are on validation, with seeds that no result uses. "
    "At the edge: no value beyond the best one was tried, so a better one may lie there."
)
HALVING_NOTE = (
    "By successive halving, equally for every method: all trials were trained for the first number of steps, "
    "on the learning-rate schedule of the full length, and each time only the best third of them by "
    "validation score went on to the next number. The chosen one is the best of those trained to the end."
)
RANKS_NOTE = (
    "Ranks that the method itself chose while training, of the weights that were kept: means over seeds. A "
    "higher one says that the loss depended more on the update of that layer."
)
RUNS_NOTE = (
    "A row per planned run, in the order of the results; the link leads to the run's record. Kept step: the "
    "step with the best validation score, whose weights were tested."
)
CONFIGURATION_NOTE = (
    "A method with weight_decay=none or lr_scheduler_type=none uses the value under Model and training."
)
SEARCHED_NOTE = "Searched settings have the values that their search chose, once it has ended."
DATA_NOTE = (
    "read: rows in the source. empty: rows without an input or target, excluded. duplicates: rows that "
    "repeat an earlier one, kept. overlap: rows whose input also occurs in train; near overlap: except for "
    "case, spaces and punctuation. used: rows that training draws from (none without training), or that are "
    "scored. truncated: used rows that were cut to the longest allowed length. tokens: of the used inputs "
    "and targets. repeated inputs: rows with the input of an earlier one. also in validation: test rows "
    "whose input is there too."
)
SEEDS_NOTE = "A run's seed determines one seed for each random stream, the same for every method."
TIME_NOTE = (
    "Train is the optimizer steps alone; total also includes loading, evaluations and the test. Runs that "
    "share a machine slow each other down."
)


def document(
    data: ReportData,
    conclusions: tuple[Statement, ...],
    *,
    figures: Mapping[Title, tuple[Figure, ...]] = MappingProxyType({}),
    warnings: tuple[str, ...] = (),
) -> Document:
    """Return the whole report, with its figures by section; `warnings` say what it lacks."""
    title = f"{data.study.name}: fine-tuning methods compared"
    introduction = (*_introduction(data), *warnings)
    files = ReportFolder(Path())
    sections = (
        Section(
            Title.DECISION,
            _decision_notes(data),
            statements=decision.decision_statements(data) + decision.race_statements(data),
            tables=(decision.decision_table(data),),
            figures=figures.get(Title.DECISION, ()),
        ),
        Section(Title.CONCLUSIONS, statements=conclusions),
        Section(Title.RESULTS, _results_notes(data), tables=(tables.summary_table(data),)),
        Section(Title.CHARTS, figures=figures.get(Title.CHARTS, ())),
        Section(Title.INTERVALS, _intervals_notes(data), tables=(evidence.intervals_table(data),)),
        Section(
            Title.FORGETTING,
            _forgetting_notes(data),
            tables=(evidence.forgetting_table(data),),
        ),
        Section(
            Title.COMPARISONS,
            (COMPARISONS_NOTE,),
            tables=(evidence.comparisons_table(data),),
            figures=figures.get(Title.COMPARISONS, ()),
        ),
        Section(Title.CROSSOVERS, (CROSSOVERS_NOTE,), tables=(evidence.crossovers_table(data),)),
        Section(
            Title.CUTS,
            (cuts.note(data),),
            tables=(cuts.cuts_table(data),),
            figures=figures.get(Title.CUTS, ()),
        ),
        Section(
            Title.HEALTH, (HEALTH_NOTE,), tables=(evidence.health_table(data).shortened(files.health.name),)
        ),
        Section(Title.FAILURES, tables=(tables.failures_table(data).shortened(files.runs.name),)),
        Section(
            Title.SEARCH,
            _search_notes(data),
            tables=(tables.search_table(data),),
            figures=figures.get(Title.SEARCH, ()),
        ),
        Section(
            Title.RANKS,
            (RANKS_NOTE,),
            tables=(ranks.ranks_table(data),),
            figures=figures.get(Title.RANKS, ()),
        ),
        Section(
            Title.CURVES,
            figures=figures.get(Title.CURVES, ()),
        ),
        Section(Title.RUNS, (RUNS_NOTE,), tables=(tables.runs_table(data).shortened(files.runs.name),)),
        Section(
            Title.CONFIGURATION,
            _configuration_notes(data),
            tables=(
                settings.model_table(data),
                settings.methods_table(data),
                settings.tasks_table(data),
            ),
        ),
        Section(Title.DATA, (DATA_NOTE,), tables=(settings.data_table(data), settings.sources_table(data))),
        Section(Title.ENVIRONMENT, (_sameness(data),), tables=(settings.environment_table(data),)),
        Section(Title.SEEDS, (SEEDS_NOTE,), tables=(settings.seeds_table(data),)),
        Section(Title.TIME, (TIME_NOTE,), tables=(settings.time_table(data),)),
    )
    return Document(title, introduction, tuple(_filled(sections)))


def _filled(sections: tuple[Section, ...]) -> list[Section]:
    """Return the sections that have any content, without empty tables."""
    filled = []
    for section in sections:
        with_rows = tuple(table for table in section.tables if table.rows)
        if with_rows or section.figures or section.statements:
            filled.append(replace(section, tables=with_rows))
    return filled


def progress(data: ReportData) -> str:
    """Return how many runs are complete and what became of the others.

    For instance `1 of 3 runs are complete; 2 failed.`
    """
    states = Counter(record.state for record in data.records)
    others = [
        f"{number} {in_words(state)}" for state, number in sorted(states.items()) if state != "complete"
    ]
    excluded = len({one.name for one in data.excluded} & {run.run_id for run in data.plan})
    if excluded:
        others.append(f"{excluded} excluded")
    if missing := len(data.plan) - len(data.records) - excluded:
        others.append(f"{missing} not run yet")
    rest = f"; {', '.join(others)}" if others else ""
    return f"{states['complete']} of {len(data.plan)} runs are complete{rest}."


def _introduction(data: ReportData) -> tuple[str, ...]:
    tasks, methods = ", ".join(data.study.tasks), ", ".join(one.name for one in data.variants)
    paragraphs = [progress(data), f"Model: {data.study.model.id}. Tasks: {tasks}. Methods: {methods}."]
    if not (data.runs["state"] == "complete").any():
        paragraphs.append("No run is complete, so there are no scores to compare.")
    if data.excluded:
        names = ", ".join(one.name for one in data.excluded)
        paragraphs.append(f"Excluded from all tables, for the reasons under {Title.FAILURES}: {names}.")
    if data.unrelated:
        names = ", ".join(one.name for one in data.unrelated)
        paragraphs.append(
            f"Records in this folder that belong to no run of this study are excluded: {names}."
        )
    paragraphs += [f"{note}." for note in data.notes]
    return tuple(paragraphs)


def _decision_notes(data: ReportData) -> tuple[str, ...]:
    comparison = data.study.comparison
    given = "comparison.margin" if comparison.margin else "the default of comparison.margin"
    raced = (race_note(data.study.race),) if data.study.race else ()
    return (
        f"{DECISION_NOTE} Recommended: of the candidates without a failed health check that cost at most "
        f"{data.study.decision_margin:g} ({given}), the first by comparison.prefer ({comparison.prefer}).",
        *raced,
    )


def _results_notes(data: ReportData) -> tuple[str, ...]:
    return (RESULTS_NOTE, FORGETTING_COLUMN_NOTE) if data.study.forgetting else (RESULTS_NOTE,)


def _forgetting_notes(data: ReportData) -> tuple[str, ...]:
    objectives = {one.forgetting.objective for one in data.records if one.forgetting}
    return (FORGETTING_NOTE, *(OBJECTIVE_NOTES[one] for one in sorted(objectives)))


def _intervals_notes(data: ReportData) -> tuple[str, ...]:
    lost = evidence.lost_seeds(data)
    return (INTERVALS_NOTE, lost) if lost else (INTERVALS_NOTE,)


def _search_notes(data: ReportData) -> tuple[str, ...]:
    return (SEARCH_NOTE, HALVING_NOTE) if any(one.rungs for one in data.searches) else (SEARCH_NOTE,)


def _configuration_notes(data: ReportData) -> tuple[str, ...]:
    return (CONFIGURATION_NOTE, SEARCHED_NOTE) if data.study.search else (CONFIGURATION_NOTE,)


def _sameness(data: ReportData) -> str:
    if names := settings.differing(data):
        listed = ", ".join(names)
        return f"These differ between runs, so scores and times may differ for that reason: {listed}."
    return "These were the same in all runs."
