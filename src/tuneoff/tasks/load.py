"""Load the checked examples of a task."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from tuneoff.errors import DataError, shown
from tuneoff.phrases import listed
from tuneoff.spec import (
    LETTERS,
    ClassificationSpec,
    FilesSource,
    MultipleChoiceSpec,
    SplitName,
    Task,
    TextSpec,
    prompt_columns,
    prompt_pieces,
)
from tuneoff.tasks.choices import check_options, letter_of, options_of
from tuneoff.tasks.classification import check_label_values, label_of
from tuneoff.tasks.examples import Example, RowCounts, TaskData, lettered_options
from tuneoff.tasks.leaks import check_columns, check_prompt
from tuneoff.tasks.similar import similar_inputs
from tuneoff.tasks.sources import check_answers, read_source
from tuneoff.tasks.table import Row, Table, text_rows

CARVED_SHARE = 0.1
"""The share of the rows of train that a missing validation split gets."""
CARVED_MOST = 1000
"""The most rows that it gets."""
_CARVING_SEEDS: Mapping[SplitName, int] = MappingProxyType({"validation": 20_260_101, "test": 20_261_129})


def load_task(spec: Task) -> TaskData:
    """Load the examples of a task, checked, with validation and test limited by the spec.

    Rows with an empty prompt column or target are dropped, exact duplicates stay, and rows of validation and
    test whose input also occurs in train are dropped with `drop_overlap`; all are counted. Without a
    validation split, a tenth of the rows of train (1 to 1000) is used for it, and without a test file the
    source's `test_share`, chosen by fixed permutations; rows of equal input stay together.

    Raises:
        DataError: the source or a row in it cannot be used, a split has no rows left, or the prompt contains
            the target.
    """
    check_prompt(spec)
    if isinstance(spec, ClassificationSpec):
        check_label_values(spec)
    read = read_source(spec.source, spec.columns, lists=_lists(spec))
    check_answers(spec, read)
    filled = [row for rows in read.splits.values() for row in rows if not row.lacks_text]
    if isinstance(spec, MultipleChoiceSpec):
        check_options(spec, filled)
    check_columns(spec, filled)
    fill = prompt_filler(spec.prompt, listed=_listed(spec))
    splits = dict(read.splits)
    names = dict(read.names)
    if isinstance(spec.source, FilesSource) and spec.source.test_share is not None:
        splits["train"], splits["test"] = carve(
            splits["train"], fill, "test", name=names["train"], share=spec.source.test_share
        )
        names["test"] = f"the test part of {names['train']}"
    carved = "validation" not in splits
    if carved:
        splits["train"], splits["validation"] = carve(
            splits["train"], fill, "validation", name=names["train"], share=CARVED_SHARE, most=CARVED_MOST
        )
        names["validation"] = f"the validation part of {names['train']}"
    seen = {fill(row.cells) for row in splits["train"] if not row.lacks_text}
    examples: dict[SplitName, tuple[Example, ...]] = {}
    reports: dict[SplitName, RowCounts] = {}
    for split, rows in splits.items():
        others = frozenset[str]() if split == "train" else seen
        examples[split], reports[split] = _checked(spec, rows, fill, others)
        if not examples[split]:
            raise DataError(_nothing_left(names[split], reports[split]))
    for split, counts in similar_inputs(examples, seen).items():
        reports[split] = replace(reports[split], **counts._asdict())
    return TaskData(
        spec=spec,
        train=examples["train"],
        validation=examples["validation"][: spec.max_eval_samples],
        test=examples["test"][: spec.max_predict_samples],
        reports=reports,
        carved_validation=carved,
        revision=read.revision,
        digests={split: digest(rows) for split, rows in splits.items()},
    )


def _lists(spec: Task) -> tuple[str, ...]:
    """Return the columns whose cells may be lists: that of all options, or of references."""
    if isinstance(spec, TextSpec):
        return (spec.target,)
    listed = _listed(spec)
    return () if listed is None else (listed,)


def _listed(spec: Task) -> str | None:
    return spec.listed if isinstance(spec, MultipleChoiceSpec) else None


def prompt_filler(prompt: str, *, listed: str | None = None) -> Callable[[Mapping[str, str]], str]:
    """Return a function from a row's cells to the prompt filled with them.

    The column `listed` holds options as JSON, which the prompt has on lines that begin with their letters.
    """
    pieces = prompt_pieces(prompt)

    def fill(cells: Mapping[str, str]) -> str:
        return "".join(
            _readable(cells[piece.text], is_list=piece.text == listed) if piece.is_column else piece.text
            for piece in pieces
        )

    return fill


def _readable(cell: str, *, is_list: bool) -> str:
    return lettered_options(json.loads(cell)) if is_list else cell


def carve(
    rows: Sequence[Row],
    fill: Callable[[Mapping[str, str]], str],
    split: SplitName,
    *,
    name: str,
    share: float,
    most: int | None = None,
) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Split a share of the rows off train, in file order: no input in both, no empty row in the new split.

    Raises:
        DataError: there are fewer than two different inputs.
    """
    groups = defaultdict[str, list[Row]](list)
    for row in rows:
        if not row.lacks_text:
            groups[fill(row.cells)].append(row)
    if len(groups) < 2:
        raise DataError(
            f"{name} has {len(groups)} different inputs, too few to split off {split} rows; give a "
            f"{split} split"
        )
    wanted = max(1, int(share * sum(map(len, groups.values()))))
    chosen = _chosen(list(groups.values()), min(wanted, most or wanted), _CARVING_SEEDS[split])
    return (
        tuple(row for row in rows if row.number not in chosen),
        tuple(row for row in rows if row.number in chosen),
    )


def _chosen(groups: Sequence[Sequence[Row]], limit: int, seed: int) -> set[int]:
    """Return the numbers of the rows to split off: whole groups in random order, as long as they fit."""
    chosen = set[int]()
    for position in np.random.default_rng(seed).permutation(len(groups)):
        if len(chosen) + len(groups[position]) <= limit:
            chosen.update(row.number for row in groups[position])
    # where every group is too large, the smallest one
    return chosen or {row.number for row in min(groups, key=len)}


def _checked(
    spec: Task, rows: Sequence[Row], fill: Callable[[Mapping[str, str]], str], seen: Collection[str]
) -> tuple[tuple[Example, ...], RowCounts]:
    filled = [row for row in rows if not row.lacks_text]
    examples = [_example(spec, row, fill) for row in filled]
    remaining = [example for example in examples if not (spec.drop_overlap and example.source in seen)]
    counts = RowCounts(
        read=len(rows),
        empty=len(rows) - len(filled),
        duplicates=len(filled) - len(Counter(tuple(row.cells.items()) for row in filled)),
        overlap=sum(example.source in seen for example in examples),
        dropped_overlap=len(examples) - len(remaining),
    )
    return tuple(remaining), counts


def read_columns(spec: Task) -> tuple[str, ...]:
    """Return the columns that a model reads of a row whose answer is not known: prompt and options."""
    options = spec.options if isinstance(spec, MultipleChoiceSpec) else ()
    return tuple(dict.fromkeys((*prompt_columns(spec.prompt), *options)))


def unanswered_rows(spec: Task, table: Table) -> tuple[Row, ...]:
    """Return the rows of a table whose answers are not known, with the columns that a model reads.

    Raises:
        DataError: a column is missing, or no row has text in all of them.
    """
    columns, options = read_columns(spec), _listed(spec)
    rows = text_rows(table, columns, lists=() if options is None else (options,))
    if not rows:
        raise DataError(f"{table.name} has no rows; give another file")
    if all(row.lacks_text for row in rows):
        names = listed(shown(column) for column in columns)
        raise DataError(f"{table.name}: no row has text in {names}; fill them, or give other rows")
    return rows


def unanswered(spec: Task, rows: Sequence[Row]) -> list[Example]:
    """Return the examples of rows whose answers are not known; their targets are empty.

    Raises:
        DataError: the options of a row cannot be read.
    """
    fill = prompt_filler(spec.prompt, listed=_listed(spec))
    return [
        Example(
            row=row.number,
            source=fill(row.cells),
            text="\n".join(row.cells[column] for column in dict.fromkeys(prompt_columns(spec.prompt))),
            target="",
            label=None,
            options=options_of(spec, row) if isinstance(spec, MultipleChoiceSpec) else (),
        )
        for row in rows
    ]


def _example(spec: Task, row: Row, fill: Callable[[Mapping[str, str]], str]) -> Example:
    parts = (
        _readable(row.cells[column], is_list=column == _listed(spec))
        for column in dict.fromkeys(prompt_columns(spec.prompt))
    )
    return Example(row=row.number, source=fill(row.cells), text="\n".join(parts), **_answer(spec, row))


def _answer(spec: Task, row: Row) -> dict[str, Any]:
    """Return the fields of a row's example that say what is right."""
    match spec:
        case ClassificationSpec():
            label = label_of(spec, row)
            return {"target": spec.labels[label], "label": label}
        case MultipleChoiceSpec():
            options = options_of(spec, row)
            letter = letter_of(spec, row, options)
            return {"target": options[LETTERS.index(letter)], "label": letter, "options": options}
        case _:
            references = dict.fromkeys(text for text in row.texts(spec.target) if text.strip())
            target, *alternatives = references
            return {"target": target, "label": None, "alternatives": tuple(alternatives)}


def _nothing_left(name: str, counts: RowCounts) -> str:
    return (
        f"{name} has no usable rows: of {counts.read}, {counts.empty} are empty and "
        f"{counts.dropped_overlap} overlap with train; check prompt, target and drop_overlap"
    )


def digest(rows: Sequence[Row]) -> str:
    """Compute the SHA-256 of the rows' cells as canonical JSON: equal for equal rows in any file format."""
    cells = [row.cells for row in rows]
    text = json.dumps(cells, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
