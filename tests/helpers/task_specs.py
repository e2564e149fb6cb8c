"""Tasks on local files, as short as a test wants them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneoff.spec import (
    BuiltinSource,
    ClassificationSpec,
    FilesSource,
    GenerationSpec,
    MultipleChoiceSpec,
    Source,
    SummarizationSpec,
)
from tuneoff.tasks import Example

LABELS = {"0": "negative", "1": "positive"}
NOWHERE = BuiltinSource(builtin="reviews")


def classification(source: Source = NOWHERE, **fields: Any) -> ClassificationSpec:
    values = {"prompt": "{text}", "target": "label", "labels": LABELS} | fields
    return ClassificationSpec(kind="classification", source=source, **values)


def summarization(source: Source = NOWHERE, **fields: Any) -> SummarizationSpec:
    values = {"prompt": "Summarize: {dialogue}", "target": "summary"} | fields
    return SummarizationSpec(kind="summarization", source=source, **values)


def generation(source: Source = NOWHERE, **fields: Any) -> GenerationSpec:
    values = {"prompt": "Rewrite: {text}", "target": "reference", "metrics": ["rouge"]} | fields
    return GenerationSpec(kind="generation", source=source, **values)


def multiple_choice(source: Source = NOWHERE, **fields: Any) -> MultipleChoiceSpec:
    values = {"prompt": "Question: {q}", "target": "label", "options": "choices"} | fields
    return MultipleChoiceSpec(kind="multiple_choice", source=source, **values)


def files(folder: Path, **splits: Sequence[Mapping[str, object]]) -> FilesSource:
    """Write JSONL files, one a split, and return them as a source."""
    for split, rows in splits.items():
        lines = "\n".join(json.dumps(row) for row in rows)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return FilesSource(files={split: str(folder / f"{split}.jsonl") for split in splits})


def labelled(*labels: str) -> list[Example]:
    return [
        example(f"text {row}", LABELS.get(label, label), label, row=row) for row, label in enumerate(labels)
    ]


def written(*targets: str) -> list[Example]:
    return [example(f"text {row}", target, row=row) for row, target in enumerate(targets)]


def example(text: str, target: str = "x", label: str | None = None, *, row: int = 0) -> Example:
    """Return an example whose prompt is its text alone."""
    return Example(row, text, text, target, label)
