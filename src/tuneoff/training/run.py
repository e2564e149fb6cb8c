"""One run: from its spec to its record. Exceptions become states here and nowhere else.

`train_run` reads top-down: `_with_failure_record`, `_train_and_test`, `prepare`, `_fit`.
"""

import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tuneoff.errors import (
    DivergedError,
    InputError,
    StoppedError,
    TuneoffError,
    UnfitError,
    first_line,
    is_memory_error,
    without_credentials,
    writing,
)
from tuneoff.extras import QUANTIZED
from tuneoff.methods import AdaptedModel, attach, load, save, with_stored
from tuneoff.methods.lora_rank import cut, ranks
from tuneoff.results import (
    CurvePoint,
    CutScore,
    Environment,
    Forgetting,
    RunFailure,
    RunRecord,
    RunState,
    TaskShare,
    Timings,
    WeightsOf,
)
from tuneoff.results.curve import append_point, read_curve
from tuneoff.results.cuts import write_cuts
from tuneoff.results.forgetting import write_text_losses
from tuneoff.results.format import FileChecksum, file_checksum, file_checksums
from tuneoff.results.layout import RunFolder
from tuneoff.results.predictions import write_predictions
from tuneoff.results.store import fresh_folder
from tuneoff.spec import NoneSpec, RunSpec
from tuneoff.tasks import scoring
from tuneoff.training.backbone import Backbone
from tuneoff.training.checkpoints import Checkpoints, FileCheckpoints, OnPoint
from tuneoff.training.forgetting import GeneralText, general_text, text_losses
from tuneoff.training.loop import FitResult, fit
from tuneoff.training.memory import free_memory, measure_peak
from tuneoff.training.mixing import joined_scores, scores_on
from tuneoff.training.parallel import are_together, count_processes, put_together, trained_together
from tuneoff.training.precision import Dtype
from tuneoff.training.prepared import Prepared, model_on_device, prepare, prepare_trained
from tuneoff.training.seeding import deterministic, generator, seed_dropout, stream_seeds
from tuneoff.training.session import Session

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

_MOST_PARTS = 8
"""Parts in which a batch is read for lack of memory; where this is not enough, it is not the batches."""


def train_run(
    spec: RunSpec,
    folder: Path,
    *,
    session: Session | None = None,
    on_point: OnPoint = lambda point: None,
    parts: int = 1,
) -> RunRecord:
    """Train and test a run; return its record, and write curve, predictions and adapter to its folder.

    An exception inside a run becomes its record's state, except for bad input. `session` caches what runs
    share; `on_point` is called with each point of the curve. Each batch is read in this many parts, which
    takes less memory and gives the same gradient; where memory runs out all the same, in twice as many.

    Raises:
        InputError: the model, the data or the folder cannot be used.
    """
    work = partial(_train_and_test, session=session or Session(), on_point=on_point)
    with trained_together(train_run, spec, folder, parts=parts):
        return _in_parts(work, spec, RunFolder(folder), parts)


def _in_parts(work: Callable[..., RunRecord], spec: RunSpec, folder: RunFolder, parts: int = 1) -> RunRecord:
    """Return the record of a run; where memory runs out, read each batch in twice as many parts."""
    record = _with_failure_record(partial(work, parts=parts), spec, folder)
    while record.state == "out_of_memory" and can_be_split(spec, parts):
        parts *= 2
        free_memory()
        fresh_folder(folder.path)
        record = _with_failure_record(partial(work, parts=parts), spec, folder)
    return record


def can_be_split(spec: RunSpec, parts: int) -> bool:
    """Return whether the batches of a run that are read in so many parts can be read in more."""
    training = spec.training
    rows = max(training.per_device_train_batch_size, training.per_device_eval_batch_size)
    return parts < min(rows, _MOST_PARTS)


def run_trial(
    spec: RunSpec,
    folder: Path,
    *,
    stop_after: int | None = None,
    session: Session | None = None,
    on_point: OnPoint = lambda point: None,
    on_restored: OnPoint = lambda point: None,
) -> RunRecord:
    """Train a run and score it on validation only, not on test; return its record.

    With `stop_after` it ends after this many steps, exactly as far as the whole run would have come by then.
    `on_restored` is called with each point of an earlier attempt that it goes on from.

    Raises:
        InputError: the model, the data or the folder cannot be used.
    """
    work = partial(
        _train_only,
        stop_after=stop_after,
        session=session or Session(),
        on_point=_stopping_all(on_point),
        on_restored=on_restored,
    )
    with trained_together(run_trial, spec, folder, stop_after=stop_after):
        return _in_parts(work, spec, RunFolder(folder))


def _stopping_all(on_point: OnPoint) -> OnPoint:
    """Return a listener that stops all processes that train together where it stops one."""

    def listen(point: CurvePoint) -> None:
        stopped = []
        try:
            on_point(point)
        except StoppedError as error:
            stopped.append(error)
        for found in put_together(stopped):
            raise found

    return listen


def run_member(
    trained: RunRecord, spec: RunSpec, folder: Path, *, session: Session | None = None
) -> RunRecord:
    """Do a run of a mixture that another one has trained: test its weights; return the record.

    `trained` is the record of that other run. Where it ended without a result, so does this one.

    Raises:
        InputError: the model, the data or the folder cannot be used.
    """
    work = partial(_test_only, trained, session=session or Session())
    return _with_failure_record(work, spec, RunFolder(folder))


def measure_forgetting(
    record: RunRecord, spec: RunSpec, folder: Path, *, session: Session | None = None
) -> RunRecord:
    """Measure what a finished run forgets, on its stored weights; return its record with that added.

    `spec` is the run's, with the texts to measure on.

    Raises:
        InputError: the model, the texts or the folder cannot be used.
    """
    work = partial(_measure_stored, record, session=session or Session())
    return _with_failure_record(work, spec, RunFolder(folder))


def can_measure_forgetting(record: RunRecord, folder: Path) -> bool:
    """Return whether a run has left all that `measure_forgetting` needs."""
    weights = record.weights_folder(RunFolder(folder)).adapter
    has_weights = isinstance(record.spec.method, NoneSpec) or weights.is_dir()
    # older versions wrote no checksums, to which that of a further file could be added
    return has_weights and record.state == "complete" and bool(record.files)


def _measure_stored(record: RunRecord, spec: RunSpec, folder: RunFolder, *, session: Session) -> RunRecord:
    backbone, dtype = model_on_device(spec, session)
    general = general_text(spec, backbone, session, dtype)
    if isinstance(spec.method, NoneSpec):
        adapted = attach(backbone.model, spec.method, generator=torch.Generator(), tokenizer=None)
    else:
        adapted = load(backbone.model, record.weights_folder(folder).adapter)
    found = _write_forgetting(spec, backbone, adapted, general, dtype, folder)
    return record.model_copy(
        update={
            "spec": record.spec.model_copy(update={"forgetting": spec.forgetting}),
            "forgetting": found,
            "files": record.files | {folder.forgetting.name: file_checksum(folder.forgetting)},
        }
    )


def _with_failure_record(
    work: Callable[[RunSpec, RunFolder], RunRecord], spec: RunSpec, folder: RunFolder
) -> RunRecord:
    """Return the record of a run; if the run raises, a record with the failure."""
    try:
        with deterministic():
            return work(spec, folder)
    except InputError:
        raise
    except Exception as error:
        if are_together() and not isinstance(error, DivergedError | StoppedError | UnfitError):
            # the others are in the midst of a step that cannot end; what all of them find, all record
            raise TuneoffError(
                f"{spec.run_id} ended in one of {count_processes()} processes that train together: "
                f"{first_line(error)}"
            ) from error
        state = _state_of(error)
        if state != "out_of_memory":  # after which it goes on with smaller batches
            folder.checkpoint.unlink(missing_ok=True)
        with writing(folder.error_log):
            folder.error_log.write_text(without_credentials(traceback.format_exc()), encoding="utf-8")
        failure = RunFailure(kind=type(error).__name__, message=first_line(error, longest=500))
        return RunRecord(run_id=spec.run_id, spec=spec, state=state, failure=failure)


def _state_of(error: Exception) -> RunState:
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, StoppedError):
        return "cancelled"
    return "out_of_memory" if is_out_of_memory(error) else "failed"


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means that memory was exhausted, on whatever device."""
    # on a CPU, torch reports it as a plain RuntimeError
    plain = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return plain or isinstance(error, torch.OutOfMemoryError) or is_memory_error(error)


def _train_and_test(
    spec: RunSpec, folder: RunFolder, *, session: Session, on_point: OnPoint, parts: int
) -> RunRecord:
    started = time.perf_counter()
    run = replace(prepare(spec, session), parts=parts)
    counts = run.footprint()
    setup = time.perf_counter() - started
    with measure_peak(run.adapted.model.device) as training_peak:
        result = _fit(run, folder, on_point, checkpoints=_checkpoints(run, folder))
    run.adapted.fold()
    counts = with_stored(counts, run.adapted)
    if spec.training.save_strategy == "best" and run.adapted.parts:
        save(run.adapted, folder.adapter)
    tested = _test(run, folder)
    timings = Timings(
        setup=setup,
        train=result.seconds,
        total=time.perf_counter() - started,
        tokens_per_second=result.tokens / result.seconds if result.seconds else None,
        training_peak_bytes=training_peak.process,
        training_peak_device_bytes=training_peak.device,
        **tested.timings,
    )
    cuts = _test_cuts(run, folder)
    folder.checkpoint.unlink(missing_ok=True)
    return _complete_record(
        run,
        result,
        scores=tested.scores,
        footprint=counts,
        ranks=run.adapted.ranks(),
        timings=timings,
        cuts=cuts,
        forgetting=tested.forgetting,
        shares=_shares(run),
        batch_parts=run.parts,
        files=file_checksums(folder.path),
    )


def _checkpoints(
    run: Prepared, folder: RunFolder, on_restored: OnPoint = lambda point: None
) -> FileCheckpoints:
    """Return the checkpoints of a run; those of other settings, model, data or packages are not used."""
    environment = _environment(run)
    basis = {
        "settings": run.spec.identifying_settings(),
        "model": run.backbone.identity(run.spec.model).model_dump(mode="json"),
        "data": {name: dict(data.report.digests) for name, data in run.data_by_task.items()},
        "packages": environment.packages,
        "dtype": environment.dtype,
        "device": run.adapted.model.device.type,
    }
    save_steps = run.spec.training.save_steps
    return FileCheckpoints(folder, basis, save_steps=save_steps, on_restored=on_restored)


def _test_only(trained: RunRecord, spec: RunSpec, folder: RunFolder, *, session: Session) -> RunRecord:
    started = time.perf_counter()
    if trained.state != "complete" or trained.timings is None:
        why = trained.failure.message if trained.failure else "no reason recorded"
        failure = RunFailure(kind="Training", message=f"as {trained.run_id}, which trained it: {why}")
        return RunRecord(run_id=spec.run_id, spec=spec, state=trained.state, failure=failure)
    source = folder.sibling(trained.run_id)
    run = prepare_trained(spec, source, session)
    setup = time.perf_counter() - started
    for point in read_curve(source):
        scores = scores_on(spec.task_name, point.scores) if point.scores else None
        append_point(folder, point.model_copy(update={"scores": scores}))
    tested = _test(run, folder)
    own = {"setup": setup, "total": time.perf_counter() - started}
    cuts = _test_cuts(run, folder)
    result = FitResult(
        best_step=trained.best_step or 0,
        validation=scores_on(spec.task_name, trained.validation),
        steps=trained.steps,
        seconds=trained.timings.train,
        tokens=trained.tokens,
    )
    return _complete_record(
        run,
        result,
        scores=tested.scores,
        footprint=trained.footprint,
        ranks=trained.ranks,
        timings=trained.timings.model_copy(update=own | tested.timings),
        cuts=cuts,
        forgetting=tested.forgetting,
        shares=trained.shares,
        weights_of=WeightsOf(run_id=trained.run_id, files=_weight_files(trained, source)),
        files=file_checksums(folder.path),
    )


def _weight_files(trained: RunRecord, folder: RunFolder) -> dict[str, FileChecksum]:
    return {
        name: checksum
        for name, checksum in trained.files.items()
        if (folder.path / name).is_relative_to(folder.adapter)
    }


def _shares(run: Prepared) -> dict[str, TaskShare]:
    """Return what a mixture takes of each of its tasks."""
    mixing = run.mixing
    if mixing is None:
        return {}
    counts = zip(run.members, mixing.counts, mixing.quotas, strict=True)
    return {
        one.spec.task_name: TaskShare(rows=rows, epoch_rows=quota, digests=one.data.report.digests)
        for one, rows, quota in counts
    }


class _Tested(NamedTuple):
    """The results of a model on its test split, and on general text."""

    scores: dict[str, float]
    forgetting: Forgetting | None
    timings: dict[str, Any]
    """Those fields of `Timings` that are of the test."""


def _test(run: Prepared, folder: RunFolder) -> _Tested:
    """Answer the test split, and write the predictions and what else is measured."""
    spec, started = run.spec, time.perf_counter()
    with measure_peak(run.adapted.model.device) as peak:
        answers = run.answers("test")
    runtime = time.perf_counter() - started
    write_predictions(folder.predictions, run.predictions("test", answers))
    forgetting = _write_forgetting(spec, run.backbone, run.adapted, run.general, run.dtype, folder)
    timings = {
        "eval_runtime": runtime,
        "eval_samples_per_second": len(answers) / runtime,
        "eval_steps_per_second": -(-len(answers) // spec.training.per_device_eval_batch_size) / runtime,
        "inference_peak_bytes": peak.process,
        "inference_peak_device_bytes": peak.device,
    }
    return _Tested(run.scores("test", answers), forgetting, timings)


def _write_forgetting(
    spec: RunSpec,
    backbone: Backbone,
    adapted: AdaptedModel,
    general: GeneralText | None,
    dtype: Dtype,
    folder: RunFolder,
) -> Forgetting | None:
    """Measure a tuned model on the study's general texts, if it has any, and write the loss of each."""
    if general is None:
        return None
    after = text_losses(
        adapted.family,
        [*general.encoded.values()],
        prompt_ids=adapted.prompt_ids,
        tokenizer=backbone.tokenizer,
        batch_size=spec.training.per_device_eval_batch_size,
        dtype=dtype,
    )
    write_text_losses(folder.forgetting, general.losses(after))
    return general.report(after)


def _train_only(
    spec: RunSpec,
    folder: RunFolder,
    *,
    stop_after: int | None,
    session: Session,
    on_point: OnPoint,
    on_restored: OnPoint,
    parts: int,
) -> RunRecord:
    run = replace(prepare(spec, session), parts=parts)
    checkpoints = _checkpoints(run, folder, on_restored)
    result = _fit(run, folder, on_point, stop_after=stop_after, checkpoints=checkpoints)
    folder.checkpoint.unlink(missing_ok=True)
    return _complete_record(run, result)


def _fit(
    run: Prepared,
    folder: RunFolder,
    on_point: OnPoint,
    *,
    stop_after: int | None = None,
    checkpoints: Checkpoints | None = None,
) -> FitResult:
    """Train a run; for zero-shot, only compute the validation scores."""
    validation = [(one, one.rows("validation")) for one in run.members]

    def evaluate() -> dict[str, float]:
        scores = {
            one.spec.task_name: one.scores("validation", one.decoder.answers(rows))
            for one, rows in validation
        }
        return joined_scores(run.spec, scores)

    def report(point: CurvePoint) -> None:
        append_point(folder, point)
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
        metric=spec.selection_metric,
        on_point=report,
        stop_after=stop_after,
        mixing=run.mixing,
        parts=run.parts,
        checkpoints=checkpoints,
    )


def _test_cuts(run: Prepared, folder: RunFolder) -> tuple[CutScore, ...]:
    """Cut the run's LoRA to each share that it asks for and test what is left; it stays cut to the last one.

    No share is chosen by these scores, so each of them is a test score like any other.
    """
    whole = run.adapted.stored()
    cuts, predictions = [], {}
    for keep in run.spec.cuts:
        left = cut(whole, keep=keep)
        run.adapted.restore(left)
        answers = run.answers("test")
        predictions[keep] = run.predictions("test", answers)
        cuts.append(
            CutScore(
                keep=keep,
                stored=sum(tensor.numel() for tensor in left.values()),
                stored_bytes=sum(tensor.nbytes for tensor in left.values()),
                ranks=ranks(left),
                scores=run.scores("test", answers),
            )
        )
    if cuts:
        write_cuts(folder.cuts, run.spec.task.main_metric, predictions)
    return tuple(cuts)


def _complete_record(run: Prepared, result: FitResult, **tested: Any) -> RunRecord:
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
        environment=_environment(run),
        model=run.backbone.identity(run.spec.model),
        scoring=scoring(run.spec.task),
        **tested,
    )


_version = cache(version)  # it reads a file of the package


def _environment(run: Prepared) -> Environment:
    quantization = run.spec.model.quantization
    packages = (*_PACKAGES, QUANTIZED[quantization]) if quantization else _PACKAGES
    return Environment(
        platform=platform.platform(),
        python=platform.python_version(),
        packages={package: _version(package) for package in packages},
        device=str(run.adapted.model.device),
        threads=torch.get_num_threads(),
        processes=count_processes() if are_together() else 1,
        dtype=run.dtype,
        model_revision=run.backbone.revision,
    )
