"""A task's rows as a run uses them: subsampled, encoded, and counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from transformers import PreTrainedTokenizerBase

from tuneoff.errors import DataError, shown
from tuneoff.results import DataReport, SplitReport
from tuneoff.spec import ClassificationSpec, MultipleChoiceSpec, RunSpec, SplitName
from tuneoff.tasks import Example, TaskData
from tuneoff.training.batches import Encoded
from tuneoff.training.decode import check_labels, check_options
from tuneoff.training.session import Session
from tuneoff.training.tokenizer import input_ids, unknown_ids


@dataclass(frozen=True)
class RunData:
    """The rows of one run, as text and as token ids, by split."""

    examples: dict[SplitName, tuple[Example, ...]]
    encoded: dict[SplitName, list[Encoded]]
    report: DataReport


def run_data(spec: RunSpec, tokenizer: PreTrainedTokenizerBase, session: Session) -> RunData:
    """Return the rows that a run trains on and is scored with; zero-shot has no training rows.

    Raises:
        DataError: the source cannot be used, has too few rows, or a label or the chat template does not fit.
    """
    task = spec.task
    template = len(input_ids(tokenizer, [""])[0])
    if tokenizer.chat_template is not None and template >= task.max_source_length:
        raise DataError(
            f"max_source_length of task {shown(spec.task_name)} must leave room for a text in the chat "
            f"template, which alone has {template} tokens, but got {task.max_source_length}; raise it"
        )
    if isinstance(task, ClassificationSpec):
        check_labels(task, tokenizer)
    data = session.run_rows(spec)
    examples: dict[SplitName, tuple[Example, ...]] = {
        "train": data.train,
        "validation": data.validation,
        "test": data.test,
    }
    encoded = {split: session.encoded(rows, tokenizer, task) for split, rows in examples.items()}
    if isinstance(task, MultipleChoiceSpec):
        for split in ("validation", "test"):
            check_options(task, examples[split], encoded[split])
    return RunData(examples, encoded, _report(data, encoded, tokenizer))


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
    lengths = [len(ids) - ids.count(tokenizer.eos_token_id) for ids in texts]
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
        # a text without tokens counts as one unknown token
        pieces=sum(max(1, count) for count in lengths),
        unknown_pieces=sum(sum(map(ids.count, unknown)) for ids in texts) + lengths.count(0),
        near_overlap=counts.near_overlap,
        repeated_inputs=counts.repeated_inputs,
        validation_overlap=counts.validation_overlap,
    )
