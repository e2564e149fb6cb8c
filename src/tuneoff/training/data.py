"""A task's rows as a run uses them: subsampled, encoded, and counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

from transformers import PreTrainedTokenizerBase

from tuneoff.errors import DataError
from tuneoff.spec import ClassificationSpec, DataReport, RunSpec, SplitName, SplitReport, Task
from tuneoff.tasks import Example, TaskData, load_task, train_subset
from tuneoff.training.batches import Encoded, encode
from tuneoff.training.seeding import stream_seed
from tuneoff.training.tokenizer import tokenizer_key


class Known(NamedTuple):
    """What a process has read and tokenised so far."""

    tasks: dict[str, TaskData]
    """By a task's spec in JSON."""
    rows: dict[tuple[str, int, int], dict[Example, Encoded]]
    """By a tokenizer in JSON and its limits of source and target."""


KNOWN = Known({}, {})


def know(other: Known) -> None:
    """Takes over what another process knows, in place of reading and tokenising it again."""
    KNOWN.tasks.update(other.tasks)
    KNOWN.rows.update(other.rows)


@dataclass(frozen=True)
class RunData:
    """The rows of one run, as text and as token ids."""

    examples: dict[SplitName, tuple[Example, ...]]
    encoded: dict[SplitName, list[Encoded]]
    report: DataReport


def run_data(spec: RunSpec, tokenizer: PreTrainedTokenizerBase) -> RunData:
    """The rows that a run trains on and is scored with.

    Raises:
        DataError: the source cannot be used, has too few rows, or a label is longer than the limit.
    """
    task = spec.task
    _check_labels(task, tokenizer)
    data = task_data(task)
    examples: dict[SplitName, tuple[Example, ...]] = {
        "train": train_subset(data.train, spec.train_size, seed=stream_seed(spec.seed, "subsample")),
        "validation": data.validation,
        "test": data.test,
    }
    encoded = {
        split: _encoded(rows, tokenizer, task.max_source_length, task.max_target_length)
        for split, rows in examples.items()
    }
    return RunData(examples, encoded, _report(data, encoded))


def _encoded(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, longest_source: int, longest_target: int
) -> list[Encoded]:
    """The examples as token ids, each tokenised once in a process."""
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
    return len(task_data(spec.task).train) if spec.train_size == "full" else spec.train_size


def task_data(task: Task) -> TaskData:
    """The loaded task, read once in a process.

    Raises:
        DataError: the source cannot be used.
    """
    key = task.model_dump_json()
    if key not in KNOWN.tasks:
        KNOWN.tasks[key] = load_task(task)
    return KNOWN.tasks[key]


def _check_labels(task: Task, tokenizer: PreTrainedTokenizerBase) -> None:
    if not isinstance(task, ClassificationSpec):
        return
    for text in task.labels.values():
        tokens = len(tokenizer(text)["input_ids"])
        if tokens > task.max_target_length:
            raise DataError(
                f"a label's text must fit into max_target_length={task.max_target_length} tokens, but "
                f"'{text}' has {tokens}; raise max_target_length or shorten the label"
            )


def _report(data: TaskData, encoded: dict[SplitName, list[Encoded]]) -> DataReport:
    splits = {split: _split_report(data, split, encoded[split]) for split in get_args(SplitName)}
    return DataReport(
        **splits,
        carved_validation=data.carved_validation,
        revision=data.revision,
        digests=dict(data.digests),
    )


def _split_report(data: TaskData, split: SplitName, rows: Sequence[Encoded]) -> SplitReport:
    counts = data.reports[split]
    return SplitReport(
        read=counts.read,
        empty=counts.empty,
        duplicates=counts.duplicates,
        overlap=counts.overlap,
        dropped_overlap=counts.dropped_overlap,
        used=len(rows),
        truncated_inputs=sum(row.truncated_input for row in rows),
        truncated_targets=sum(row.truncated_target for row in rows),
    )
