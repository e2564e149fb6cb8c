"""From a task's spec to its checked examples."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tuneoff.errors import DataError
from tuneoff.spec import ClassificationSpec, SplitName, Task, prompt_columns, prompt_pieces
from tuneoff.tasks.classification import check_label_values, label_of
from tuneoff.tasks.examples import Example, RowCounts, TaskData
from tuneoff.tasks.leaks import check_columns, check_prompt
from tuneoff.tasks.similar import similar_inputs
from tuneoff.tasks.sources import check_answers, read_source
from tuneoff.tasks.table import Row

CARVED_SHARE = 10
"""A missing validation split is one row in so many of train's."""
CARVED_MOST = 1000
_CARVING_SEED = 20_260_101


def load_task(spec: Task) -> TaskData:
    """The examples of a task, checked, with validation and test limited as the spec says.

    Rows with an empty prompt column or target are dropped, exact duplicates are kept, rows of validation and
    test whose input also occurs in train are dropped if `drop_overlap` says so; all are counted. Without a
    validation split, a tenth of train's rows (1 to 1000) is taken for it by a fixed permutation; rows of
    equal input stay on one side.

    Raises:
        DataError: the source or a row in it cannot be used, a split has no rows left, or the prompt holds
            the target.
    """
    check_prompt(spec)
    if isinstance(spec, ClassificationSpec):
        check_label_values(spec)
    columns = tuple(dict.fromkeys((*prompt_columns(spec.prompt), spec.target)))
    read = read_source(spec.source, columns)
    check_answers(spec, read)
    check_columns(spec, [row for rows in read.splits.values() for row in rows if not _empty(row)])
    fill = prompt_filler(spec.prompt)
    splits = dict(read.splits)
    names = dict(read.names)
    carved = "validation" not in splits
    if carved:
        splits["train"], splits["validation"] = carve(splits["train"], fill, name=names["train"])
        names["validation"] = f"the validation part of {names['train']}"
    seen = {fill(row.cells) for row in splits["train"] if not _empty(row)}
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


def prompt_filler(prompt: str) -> Callable[[Mapping[str, str]], str]:
    """A function from a row's cells to the prompt with them in place of the braces."""
    pieces = prompt_pieces(prompt)

    def fill(cells: Mapping[str, str]) -> str:
        return "".join(cells[piece.text] if piece.is_column else piece.text for piece in pieces)

    return fill


def carve(
    rows: Sequence[Row], fill: Callable[[Mapping[str, str]], str], *, name: str
) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Train and validation rows in file order, no input on both sides, no empty row in validation.

    Raises:
        DataError: there are fewer than two different inputs.
    """
    groups = defaultdict[str, list[Row]](list)
    for row in rows:
        if not _empty(row):
            groups[fill(row.cells)].append(row)
    if len(groups) < 2:
        raise DataError(
            f"a validation split can only be taken from a train split with two different inputs or more, but "
            f"{name} has {len(groups)}; give a validation split"
        )
    chosen = _chosen(list(groups.values()))
    return (
        tuple(row for row in rows if row.number not in chosen),
        tuple(row for row in rows if row.number in chosen),
    )


def _chosen(groups: Sequence[Sequence[Row]]) -> set[int]:
    """Numbers of the validation rows: whole groups in random order, as far as they fit."""
    wanted = min(CARVED_MOST, max(1, sum(map(len, groups)) // CARVED_SHARE))
    chosen = set[int]()
    for position in np.random.default_rng(_CARVING_SEED).permutation(len(groups)):
        if len(chosen) + len(groups[position]) <= wanted:
            chosen.update(row.number for row in groups[position])
    return chosen or {row.number for row in min(groups, key=len)}


def _checked(
    spec: Task, rows: Sequence[Row], fill: Callable[[Mapping[str, str]], str], seen: Collection[str]
) -> tuple[tuple[Example, ...], RowCounts]:
    filled = [row for row in rows if not _empty(row)]
    examples = [_example(spec, row, fill) for row in filled]
    kept = [example for example in examples if not (spec.drop_overlap and example.source in seen)]
    counts = RowCounts(
        read=len(rows),
        empty=len(rows) - len(filled),
        duplicates=len(filled) - len(Counter(tuple(row.cells.items()) for row in filled)),
        overlap=sum(example.source in seen for example in examples),
        dropped_overlap=len(examples) - len(kept),
    )
    return tuple(kept), counts


def _example(spec: Task, row: Row, fill: Callable[[Mapping[str, str]], str]) -> Example:
    target, label = row.cells[spec.target], None
    if isinstance(spec, ClassificationSpec):
        label = label_of(spec, row)
        target = spec.labels[label]
    text = "\n".join(row.cells[column] for column in dict.fromkeys(prompt_columns(spec.prompt)))
    return Example(row=row.number, source=fill(row.cells), text=text, target=target, label=label)


def _empty(row: Row) -> bool:
    return not all(text.strip() for text in row.cells.values())


def _nothing_left(name: str, counts: RowCounts) -> str:
    return (
        f"a split must have usable rows, but of the {counts.read} in {name} {counts.empty} are empty and "
        f"{counts.dropped_overlap} overlap with train; check prompt, target and drop_overlap"
    )


def digest(rows: Sequence[Row]) -> str:
    """SHA-256 of the rows' cells as canonical JSON: equal for equal rows, whatever the file's format."""
    cells = [row.cells for row in rows]
    text = json.dumps(cells, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
