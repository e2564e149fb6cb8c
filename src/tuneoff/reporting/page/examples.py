"""The test rows with the answers of all methods, for the scripts: as columns, with each text there once."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuneoff.errors import visible
from tuneoff.reporting.charts import MOST_SEEDS
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.evidence import failed_checks
from tuneoff.results import StudyFolder, TaskExamples, metric_name
from tuneoff.spec import Task
from tuneoff.stats.answers import Answers, Texts, answers_of, read_answers
from tuneoff.stats.intervals import Floats

MOST_BYTES = 8_000_000
"""About how much of the page the examples of all tasks may take."""
BYTES_OF_NUMBERS = 8
"""About how much an answer takes beside its text: the text's place, and the score."""
LONGEST_TEXT = 4000
"""Characters of a text that the page shows."""

Rows = NDArray[np.int64]
"""[N], rising."""


class Contender(NamedTuple):
    """A method or a baseline on one task, with the answers of its R runs."""

    name: str
    train_size: str | None
    """None for what is not trained, and shown at every train size."""
    seeds: tuple[int, ...]
    """[R]; empty where a seed changes nothing, and there is one run."""
    is_method: bool
    note: str
    """The health checks that its runs failed."""
    runs: tuple[Answers, ...]
    """[R]"""


def page_examples(data: ReportData) -> list[dict[str, Any]]:
    """Return the examples of each task that has any answers.

    All of them if they take no more than `MOST_BYTES` together; else those on which methods differ most.
    """
    answered = {name: tuple(_contenders(data, name)) for name in data.study.tasks}
    limit = MOST_BYTES // len(answered)
    return [_columns(data, name, found, limit) for name, found in answered.items() if found]


def _contenders(data: ReportData, task_name: str) -> Iterator[Contender]:
    """Yield the methods and baselines that have answers, with the first seeds of each.

    Not ablations, which are too many to read.
    """
    for cell in data.cells:
        if cell.task != task_name or cell.method not in data.study.all_methods:
            continue
        complete = [record for record in data.of_cell(cell) if record.state == "complete"][:MOST_SEEDS]
        answers = {record.spec.seed: answers_of(data.folder, record) for record in complete}
        runs = {seed: own for seed, own in answers.items() if own is not None}
        if runs:
            tuned = cell.method not in data.untrained
            yield Contender(
                name=cell.method,
                train_size=str(cell.train_size) if tuned else None,
                seeds=tuple(runs) if tuned else (),
                is_method=True,
                note=" and ".join(failed_checks(data, *cell[:2], [cell.train_size])),
                runs=tuple(runs.values()),
            )
    for baseline in data.baselines:
        # an upper bound was chosen by the references, so it is no way to answer
        if baseline.task_name == task_name and baseline.files and not baseline.upper_bound:
            files = StudyFolder(data.folder).baseline(task_name, baseline.train_size, baseline.name)
            answers_of_it = read_answers(files.predictions, baseline.task.main_metric)
            size = str(baseline.train_size)
            yield Contender(f"baseline {baseline.name}", size, (), False, "", (answers_of_it,))


class Aligned(NamedTuple):
    """The answers of R runs on the same N rows."""

    texts: Texts
    """[R, N]; None where there is no answer."""
    scores: Floats
    """[R, N]; NaN where there is no answer."""


def _columns(data: ReportData, task_name: str, contenders: Sequence[Contender], limit: int) -> dict[str, Any]:
    """Return the examples of a task. A text is named by its place in `texts`, -1 where there is none."""
    task = data.study.tasks[task_name]
    runs = [run for one in contenders for run in one.runs]
    rows = np.unique(np.concatenate([run.rows for run in runs]))
    aligned = [_aligned(rows, one.runs, task) for one in contenders]
    references = np.full(len(rows), None, dtype=object)
    for run in runs:
        references[np.searchsorted(rows, run.rows)] = list(map(task.in_words, run.references))
    stored = data.examples.get(task_name)
    inputs = _inputs(stored, rows) if stored else np.full(len(rows), None, dtype=object)

    order = np.argsort(-_spread(contenders, aligned), kind="stable")
    kept = np.sort(_fitting(order, np.vstack([inputs, references, *(one.texts for one in aligned)]), limit))
    places: dict[str, int] = {}

    def named(texts: Texts) -> list[int]:
        return [-1 if text is None else places.setdefault(text, len(places)) for text in texts[kept]]

    are_labels = task.answer != "text"
    scale = 1 if are_labels else 1000
    return {
        "task": task_name,
        "metric": metric_name(task.main_metric),
        "prompt": visible(task.prompt),
        "areLabels": are_labels,
        "scale": scale,
        "total": len(rows),
        "file": StudyFolder(Path("..")).examples(task_name).as_posix(),
        "rows": rows[kept].tolist(),
        "inputs": [_shown(text or "") for text in inputs[kept]] if stored else None,
        "references": named(references),
        "contenders": [
            {
                "name": one.name,
                "trainSize": one.train_size,
                "seeds": one.seeds,
                "isMethod": one.is_method,
                "note": one.note,
                "answers": [named(texts) for texts in found.texts],
                "scores": [_scaled(scores[kept], scale) for scores in found.scores],
            }
            for one, found in zip(contenders, aligned, strict=True)
        ],
        "texts": list(map(_shown, places)),
    }


def _aligned(rows: Rows, runs: Sequence[Answers], task: Task) -> Aligned:
    """Return the answers of runs as arrays over the same rows."""
    texts = np.full((len(runs), len(rows)), None, dtype=object)
    scores = np.full((len(runs), len(rows)), np.nan)
    for number, run in enumerate(runs):
        places = np.searchsorted(rows, run.rows)
        texts[number, places] = _answers(run, task)
        scores[number, places] = run.scores(task.main_metric)
    return Aligned(texts, scores)


def _answers(run: Answers, task: Task) -> list[str]:
    """Return a run's answers as they are read: labels' texts, or what was generated where it is no label."""
    answers = map(task.in_words, run.predictions)
    if task.answer != "label":
        return list(answers)
    return [label or f"no label: {text}" for label, text in zip(answers, run.generated_texts, strict=True)]


def _inputs(stored: TaskExamples, rows: Rows) -> Texts:
    by_row = dict(zip(stored.rows, stored.inputs, strict=True))
    return np.array([by_row.get(row) for row in rows.tolist()], dtype=object)


def _spread(contenders: Sequence[Contender], aligned: Sequence[Aligned]) -> Floats:
    """Return by how much mean scores on each row differ, [N]: those of methods, or else of baselines."""
    means = [np.ma.masked_invalid(one.scores).mean(axis=0) for one in aligned]
    of_methods = [mean for one, mean in zip(contenders, means, strict=True) if one.is_method]
    stacked = np.ma.stack(of_methods or means)
    return (stacked.max(axis=0) - stacked.min(axis=0)).filled(0.0)


def _fitting(order: NDArray[np.int64], columns: Texts, limit: int) -> list[int]:
    """Return the first rows of an order whose texts, each counted once, take at most about `limit` bytes."""
    kept: list[int] = []
    seen: set[str] = set()
    size = 0
    for row in order.tolist():
        new = {text for text in columns[:, row] if text is not None} - seen
        size += sum(len(text[:LONGEST_TEXT].encode()) for text in new) + BYTES_OF_NUMBERS * len(columns)
        if size > limit:
            break
        seen |= new
        kept.append(row)
    return kept


def _scaled(scores: Floats, scale: int) -> list[int | None]:
    return [None if np.isnan(score) else round(score * scale) for score in scores.tolist()]


def _shown(text: str) -> str:
    """Return a text without what would change how others are displayed, cut if it is very long."""
    rest = len(text) - LONGEST_TEXT
    return visible(text if rest <= 0 else f"{text[:LONGEST_TEXT]} ... ({rest:,} more characters)")
