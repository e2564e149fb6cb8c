"""One run: from its spec to its record. Exceptions become states here and nowhere else."""

import platform
import time
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import PartialState

from tuneoff.errors import DivergedError, InputError, StoppedError, first_line, writing
from tuneoff.kernels import keep_freed_memory
from tuneoff.methods import AdaptedModel, attach, footprint, save
from tuneoff.results import CurvePoint, Environment, RunFailure, RunRecord, RunState, Timings
from tuneoff.results.curve import append_point
from tuneoff.results.format import seals
from tuneoff.results.layout import RunFolder
from tuneoff.results.predictions import Prediction, write_predictions
from tuneoff.spec import RunSpec, SplitName
from tuneoff.tasks import scoring
from tuneoff.training.backbone import Backbone, load_backbone
from tuneoff.training.batches import Encoded, collate
from tuneoff.training.data import RunData, run_data
from tuneoff.training.decode import Answer, Decoder
from tuneoff.training.dropout import drops, set_dropout
from tuneoff.training.loop import FitResult, fit, total_steps
from tuneoff.training.precision import Dtype, resolve_dtype
from tuneoff.training.scores import predictions_of, scores_of
from tuneoff.training.seeding import generator, make_deterministic, seed_dropout, stream_seeds
from tuneoff.training.states import with_states

OnPoint = Callable[[CurvePoint], None]
_PACKAGES = (
    "tuneoff",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "tokenizers",
    "datasets",
    "numpy",
    "scikit-learn",
    "rouge-score",
)


def train_run(spec: RunSpec, folder: Path, *, on_point: OnPoint = lambda point: None) -> RunRecord:
    """The record of a run, done from start to end; curve, predictions and adapter are in its folder.

    Whatever goes wrong inside a run becomes its record's state, except for bad input.

    Raises:
        InputError: the model, the data or the folder cannot be used.
    """
    return _recorded(_tested, spec, folder, on_point)


def try_run(spec: RunSpec, folder: Path, *, on_point: OnPoint = lambda point: None) -> RunRecord:
    """The record of a trial: trained and scored on validation, the test split left alone.

    Raises:
        InputError: the model, the data or the folder cannot be used.
    """
    return _recorded(_trained, spec, folder, on_point)


def _recorded(
    work: Callable[[RunSpec, Path, OnPoint], RunRecord], spec: RunSpec, folder: Path, on_point: OnPoint
) -> RunRecord:
    try:
        return work(spec, folder, on_point)
    except InputError:
        raise
    except Exception as error:
        log = RunFolder(folder).error_log
        with writing(log):
            log.write_text(traceback.format_exc(), encoding="utf-8")
        failure = RunFailure(kind=type(error).__name__, message=first_line(error, longest=500))
        return RunRecord(run_id=spec.run_id, spec=spec, state=_state_of(error), failure=failure)


def _state_of(error: Exception) -> RunState:
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, StoppedError):
        return "cancelled"
    return "out_of_memory" if is_out_of_memory(error) else "failed"


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory was exhausted, on whatever device."""
    # on a CPU, torch reports it as a plain RuntimeError
    plain = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return plain or isinstance(error, MemoryError | torch.OutOfMemoryError)


class Prepared(NamedTuple):
    """A run that is ready for its first step."""

    spec: RunSpec
    backbone: Backbone
    data: RunData
    adapted: AdaptedModel
    dtype: Dtype

    @property
    def decoder(self) -> Decoder:
        """What turns the run's examples into answers."""
        size = self.spec.training.per_device_eval_batch_size
        return Decoder(self.adapted, self.backbone.tokenizer, self.spec.task, size, self.dtype)

    def answers(self, split: SplitName) -> list[Answer]:
        """The model's answers to a split."""
        return self.decoder.answers(self.rows(split))

    def scores(self, split: SplitName, answers: list[Answer]) -> dict[str, float]:
        """Scores of answers to a split."""
        return scores_of(self.spec.task, self.data.examples[split], self.data.encoded[split], answers)

    def predictions(self, split: SplitName, answers: list[Answer]) -> list[Prediction]:
        """What was predicted for each example of a split."""
        return predictions_of(self.spec.task, self.data.examples[split], self.data.encoded[split], answers)

    def train_rows(self) -> Sequence[Encoded]:
        """The training rows; with their encodings, where each is used and none differs by the epoch."""
        rows, training = self.data.encoded["train"], self.spec.training
        used = total_steps(training, len(rows)) * training.per_device_train_batch_size
        if drops(self.adapted.model.encoder) or used * training.gradient_accumulation_steps < len(rows):
            return rows
        return self.rows("train")

    def rows(self, split: SplitName) -> Sequence[Encoded]:
        """The rows of a split, with their encodings where no training changes them."""
        return with_states(
            self.data.encoded[split],
            self.adapted,
            batch_size=self.spec.training.per_device_eval_batch_size,
            pad_token_id=self.backbone.tokenizer.pad_token_id,
            dtype=self.dtype,
        )

    def train_batch(self, size: int) -> dict[str, torch.Tensor]:
        """The longest training rows, so many of them; test rows where nothing is trained."""
        rows = self.data.encoded["train"] or self.data.encoded["test"]
        rows = sorted(rows, key=lambda row: -len(row.input_ids))[:size]
        return collate(
            rows,
            prompt_ids=self.adapted.prompt_ids,
            pad_token_id=self.backbone.tokenizer.pad_token_id,
            device=self.adapted.model.device,
        )


def prepare(spec: RunSpec) -> Prepared:
    """The model with its method, and the data, of a run.

    Raises:
        InputError: the model or the data cannot be used.
    """
    make_deterministic()
    keep_freed_memory()
    device = PartialState().device
    backbone = load_backbone(spec.model)
    set_dropout(backbone.model, spec.training.dropout)
    data = run_data(spec, backbone.tokenizer)
    backbone.model.to(device)
    adapted = attach(
        backbone.model, spec.method, generator=generator(spec.seed, "init"), tokenizer=backbone.tokenizer
    )
    return Prepared(spec, backbone, data, adapted, resolve_dtype(spec.training.dtype, device))


def _trained(spec: RunSpec, folder: Path, on_point: OnPoint) -> RunRecord:
    run = prepare(spec)
    return _record(run, _fit(run, folder, on_point))


def _tested(spec: RunSpec, folder: Path, on_point: OnPoint) -> RunRecord:
    started = time.perf_counter()
    run = prepare(spec)
    counts = footprint(run.adapted, run.train_batch(1))
    setup = time.perf_counter() - started
    result = _fit(run, folder, on_point)
    run.adapted.fold()
    if spec.training.save_strategy == "best" and run.adapted.parts:
        save(run.adapted, RunFolder(folder).adapter)
    evaluating = time.perf_counter()
    answers = run.answers("test")
    runtime = time.perf_counter() - evaluating
    write_predictions(RunFolder(folder).predictions, run.predictions("test", answers))
    timings = Timings(
        setup=setup,
        train=result.seconds,
        total=time.perf_counter() - started,
        eval_runtime=runtime,
        eval_samples_per_second=len(answers) / runtime,
        eval_steps_per_second=-(-len(answers) // spec.training.per_device_eval_batch_size) / runtime,
    )
    return _record(
        run,
        result,
        scores=run.scores("test", answers),
        footprint=counts,
        timings=timings,
        files=seals(folder),
    )


def _record(run: Prepared, result: FitResult, **tested: Any) -> RunRecord:
    return RunRecord(
        run_id=run.spec.run_id,
        spec=run.spec,
        state="complete",
        validation=result.validation,
        best_step=result.best_step,
        steps=result.steps,
        tokens=result.tokens,
        data=run.data.report,
        seeds=stream_seeds(run.spec.seed),
        environment=environment(run),
        model=run.backbone.identity(run.spec.model),
        scoring=scoring(run.spec.task),
        **tested,
    )


def _fit(run: Prepared, folder: Path, on_point: OnPoint) -> FitResult:
    """The training of a run; for an untouched model, its validation scores."""
    rows = run.rows("validation")

    def evaluate() -> dict[str, float]:
        return run.scores("validation", run.decoder.answers(rows))

    def report(point: CurvePoint) -> None:
        append_point(RunFolder(folder), point)
        on_point(point)

    spec = run.spec
    if not run.adapted.parts:
        scores = evaluate()
        report(CurvePoint(step=0, scores=scores))
        return FitResult(best_step=0, validation=scores, steps=0, seconds=0.0, tokens=0)
    seed_dropout(spec.seed)
    return fit(
        run.adapted,
        run.train_rows(),
        training=spec.training,
        dtype=run.dtype,
        order=generator(spec.seed, "order"),
        pad_token_id=run.backbone.tokenizer.pad_token_id,
        evaluate=evaluate,
        metric=spec.task.main_metric,
        on_point=report,
    )


def environment(run: Prepared) -> Environment:
    """Where and with what a run is done."""
    return Environment(
        platform=platform.platform(),
        python=platform.python_version(),
        packages={package: version(package) for package in _PACKAGES},
        device=str(run.adapted.model.device),
        threads=torch.get_num_threads(),
        dtype=run.dtype,
        model_revision=run.backbone.revision,
    )
