"""A task's rows as a run uses them: subsampled, encoded, and counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, get_args

from transformers import PreTrainedTokenizerBase

from tuneoff.results import DataReport, SplitReport
from tuneoff.spec import ClassificationSpec, NoneSpec, RunSpec, SplitName, Task
from tuneoff.tasks import Example, TaskData, load_task, train_subset
from tuneoff.training.batches import Encoded, encode
from tuneoff.training.decode import check_labels
from tuneoff.training.seeding import stream_seed
from tuneoff.training.tokenizer import tokenizer_key, unknown_ids


class Known(NamedTuple):
    """What a process has read and tokenized so far."""

    tasks: dict[str, TaskData]
    """By a task's spec in JSON."""
    drawn: dict[tuple[str, str, int], TaskData]
    """With the training examples of one run alone; by the task, the train size (none: untrained) and seed."""
    rows: dict[tuple[str, int, int], dict[Example, Encoded]]
    """By a tokenizer in JSON and its limits of source and target."""


KNOWN = Known({}, {}, {})


def know(other: Known) -> None:
    """Take over what another process knows, in place of reading and tokenizing it again."""
    KNOWN.tasks.update(other.tasks)
    KNOWN.drawn.update(other.drawn)
    KNOWN.rows.update(other.rows)


def known_for(runs: Iterable[RunSpec]) -> Known:
    """Return what this process knows that other processes need for some runs: no row that none of them uses.

    Raises:
        DataError: a source cannot be used, or has too few rows.
    """
    return Known({}, {_drawing(run): _drawn(run) for run in runs}, KNOWN.rows)


@dataclass(frozen=True)
class RunData:
    """The rows of one run, as text and as token ids."""

    examples: dict[SplitName, tuple[Example, ...]]
    encoded: dict[SplitName, list[Encoded]]
    report: DataReport


def run_data(spec: RunSpec, tokenizer: PreTrainedTokenizerBase) -> RunData:
    """The rows that a run trains on and is scored with; no training rows for the untrained model.

    Raises:
        DataError: the source cannot be used, has too few rows, or a label is none for this tokenizer.
    """
    task = spec.task
    if isinstance(task, ClassificationSpec):
        check_labels(task, tokenizer)
    data = _drawn(spec)
    examples: dict[SplitName, tuple[Example, ...]] = {
        "train": data.train,
        "validation": data.validation,
        "test": data.test,
    }
    encoded = {
        split: _encoded(rows, tokenizer, task.max_source_length, task.max_target_length)
        for split, rows in examples.items()
    }
    return RunData(examples, encoded, _report(data, encoded, tokenizer))


def _drawn(spec: RunSpec) -> TaskData:
    """The task with the training examples of the run alone."""
    key = _drawing(spec)
    if key not in KNOWN.drawn:
        data = task_data(spec.task)
        seed = stream_seed(spec.seed, "subsample")
        trained = not isinstance(spec.method, NoneSpec)
        train = train_subset(data.train, spec.train_size, seed=seed) if trained else ()
        KNOWN.drawn[key] = replace(data, train=train)
    return KNOWN.drawn[key]


def _drawing(spec: RunSpec) -> tuple[str, str, int]:
    size = "none" if isinstance(spec.method, NoneSpec) else str(spec.train_size)
    return spec.task.model_dump_json(), size, spec.seed


def _encoded(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, longest_source: int, longest_target: int
) -> list[Encoded]:
    """The examples as token ids, each tokenized once in a process."""
    key = (tokenizer_key(tokenizer), longest_source, longest_target)
    known = KNOWN.rows.setdefault(key, {})
    new = [example for example in examples if example not in known]
    limits = {"max_source_length": longest_source, "max_target_length": longest_target}
    known.update(zip(new, encode(new, tokenizer, **limits), strict=True))
    return [known[example] for example in examples]


def train_count(spec: RunSpec) -> int:
    """How many rows a run trains on.

    Raises:
        DataError: the source cannot be used.
    """
    return len(_drawn(spec).train) if spec.train_size == "full" else spec.train_size


def task_data(task: Task) -> TaskData:
    """The loaded task, read once in a process.

    Raises:
        DataError: the source cannot be used.
    """
    key = task.model_dump_json()
    if key not in KNOWN.tasks:
        KNOWN.tasks[key] = load_task(task)
    return KNOWN.tasks[key]


def _report(
    data: TaskData, encoded: dict[SplitName, list[Encoded]], tokenizer: PreTrainedTokenizerBase
) -> DataReport:
    splits = {split: _split_report(data, split, encoded[split], tokenizer) for split in get_args(SplitName)}
    return DataReport(
        **splits,
        carved_validation=data.carved_validation,
        revision=data.revision,
        digests=dict(data.digests),
    )


def _split_report(
    data: TaskData, split: SplitName, rows: Sequence[Encoded], tokenizer: PreTrainedTokenizerBase
) -> SplitReport:
    counts = data.reports[split]
    texts = [ids for row in rows for ids in (row.input_ids, row.labels)]
    pieces = [len(ids) - ids.count(tokenizer.eos_token_id) for ids in texts]
    unknown = unknown_ids(tokenizer)
    return SplitReport(
        read=counts.read,
        empty=counts.empty,
        duplicates=counts.duplicates,
        overlap=counts.overlap,
        dropped_overlap=counts.dropped_overlap,
        used=len(rows),
        truncated_inputs=sum(row.truncated_input for row in rows),
        truncated_targets=sum(row.truncated_target for row in rows),
        # a text of which nothing is left counts as one unknown piece
        pieces=sum(max(1, count) for count in pieces),
        unknown_pieces=sum(sum(map(ids.count, unknown)) for ids in texts) + pieces.count(0),
        near_overlap=counts.near_overlap,
        repeated_inputs=counts.repeated_inputs,
        validation_overlap=counts.validation_overlap,
    )
