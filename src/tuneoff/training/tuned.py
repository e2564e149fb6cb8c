"""A tuned model in use: loaded from the folder of its run, and its answers to new rows."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import PartialState
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tuneoff.errors import StoreError
from tuneoff.methods import AdaptedModel, attach, load
from tuneoff.results import RunRecord, find_run
from tuneoff.results.format import read_json
from tuneoff.spec import ClassificationSpec, NoneSpec, RunSpec, Task, model_id
from tuneoff.tasks import Example, read_columns, unanswered, unanswered_rows
from tuneoff.tasks.files import read_file
from tuneoff.tasks.table import Record, Table
from tuneoff.training.backbone import load_backbone
from tuneoff.training.batches import Encoded, encode
from tuneoff.training.decode import Answer, Decoder
from tuneoff.training.precision import Dtype, resolve_dtype
from tuneoff.training.seeding import deterministic

_BATCHES = 16
"""Batches between two calls of `on_progress`."""

OnProgress = Callable[[int], None]
"""Called with the number of rows that have been answered since the last call."""


class RowPrediction(NamedTuple):
    """The prediction for a row."""

    prediction: str | None
    """A label's value as in the data, an option's letter, or the generated text; None if the generated text
    is none of the labels."""
    text: str | None
    """The label's text, the option, or the generated text; None if a column of the row is empty."""
    probabilities: dict[str, float]
    """Of each label or option, among all of them; empty where text was generated."""
    cells: Mapping[str, str]
    """The columns that were read."""
    cut: bool | None
    """Whether a generated text reached its limit before its end; None where nothing was generated."""


@dataclass(frozen=True)
class TunedModel:
    """A model with a trained method on it, and what it was trained for."""

    run: RunSpec
    adapted: AdaptedModel
    tokenizer: PreTrainedTokenizerBase
    dtype: Dtype

    @property
    def model(self) -> PreTrainedModel:
        """The model, in evaluation mode, with the method on it."""
        return self.adapted.model

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a row needs."""
        return read_columns(self.run.task)

    def predict(
        self,
        rows: Sequence[Mapping[str, object]] | Path,
        *,
        batch_size: int | None = None,
        on_progress: OnProgress = lambda rows: None,
    ) -> list[RowPrediction]:
        """Return the prediction for each row, in order; a path is a data file of any kind that a study takes.

        A row with an empty column gets none.

        Raises:
            DataError: the file cannot be read, or a row lacks a column, or no row has text in all of them.
        """
        table = read_file(rows, self.columns) if isinstance(rows, Path) else _table(rows)
        given = unanswered_rows(self.run.task, table)
        size = batch_size or self.run.training.per_device_eval_batch_size
        decoder = Decoder(self.adapted, self.tokenizer, self.run.task, size, self.dtype)
        # examples of like length share a batch
        examples = unanswered(self.run.task, [row for row in given if not row.lacks_text])
        examples.sort(key=lambda example: len(example.source))
        found: dict[int, RowPrediction] = {}
        with deterministic():
            for start in range(0, len(examples), _BATCHES * size):
                part = examples[start : start + _BATCHES * size]
                answers = decoder.answers(self._encoded(part))
                for example, answer in zip(part, answers, strict=True):
                    cells = given[example.row].cells
                    found[example.row] = _prediction(self.run.task, cells, example, answer)
                on_progress(len(part))
        return [found.get(row.number) or RowPrediction(None, None, {}, row.cells, None) for row in given]

    def _encoded(self, examples: Sequence[Example]) -> list[Encoded]:
        task = self.run.task
        return encode(
            examples,
            self.tokenizer,
            max_source_length=task.max_source_length,
            max_target_length=task.max_target_length,
        )


def load_tuned(run: Path, *, model: str | None = None) -> TunedModel:
    """Load the model of a run with its trained method; `run` is as `find_run` takes it.

    `model` is where the base model is now, if it has moved.

    Raises:
        StoreError: there is no such run, it has failed, or its weights were not saved.
        ModelError: the base model cannot be loaded.
    """
    folder = find_run(run)
    record, _ = read_json(RunRecord, folder.record)
    if record.state != "complete":
        raise StoreError(f"run {record.run_id} is {record.state.replace('_', ' ')}, so nothing can be loaded")
    spec = record.spec
    untuned = isinstance(spec.method, NoneSpec)
    weights = record.weights_folder(folder).adapter
    if not untuned and not weights.is_dir():
        raise StoreError(
            f"the weights of run {record.run_id} were not saved; train it again with "
            "--set training.save_strategy=best, in a new folder"
        )
    base = spec.model
    if model is not None:
        base = base.model_copy(update={"id": model_id(model, Path.cwd()), "revision": None})
    backbone = load_backbone(base)
    device = PartialState().device
    backbone.model.to(device)
    if untuned:
        adapted = attach(backbone.model, spec.method, generator=torch.Generator(), tokenizer=None)
    else:
        adapted = load(backbone.model, weights)
    backbone.model.eval()
    return TunedModel(spec, adapted, backbone.tokenizer, resolve_dtype(spec.training.dtype, device))


def _table(rows: Iterable[Mapping[str, object]]) -> Table:
    records = tuple(Record(f"row {number}", row) for number, row in enumerate(rows))
    columns = dict.fromkeys(column for record in records for column in record.cells)
    return Table("the rows", tuple(columns), records)


def _prediction(task: Task, cells: Mapping[str, str], example: Example, answer: Answer) -> RowPrediction:
    if answer.prediction is None:
        text = answer.text or ""
    elif isinstance(task, ClassificationSpec):
        text = task.labels[answer.prediction]
    elif example.options:
        text = example.options[ord(answer.prediction) - ord("A")]
    else:
        text = answer.prediction
    return RowPrediction(answer.prediction, text, _probabilities(answer.log_likelihoods), cells, answer.cut)


def _probabilities(log_likelihoods: Mapping[str, float]) -> dict[str, float]:
    """Return the shares of the likelihoods."""
    highest = max(log_likelihoods.values(), default=0.0)
    weights = {name: math.exp(value - highest) for name, value in log_likelihoods.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
