"""Studies, records and curves made up by formula, written as an output folder."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tuneoff.results import (
    CurvePoint,
    DataReport,
    Environment,
    Footprint,
    Inputs,
    ModelIdentity,
    RunFailure,
    RunRecord,
    SplitReport,
    Timings,
)
from tuneoff.results.format import dump_json, file_checksum
from tuneoff.results.identity import places_of
from tuneoff.results.reader import folder_study
from tuneoff.spec import NoneSpec, RunSpec, StudySpec, expand

BASE = 76_961_152
DIGESTS = {"train": "ab" * 32, "validation": "cd" * 32, "test": "ef" * 32}
TRAINABLE = {"zero_shot": 0, "full": BASE, "lora": 344_064, "prefix": 10_070_016, "prompt": 10_240}

SST2 = {
    "kind": "classification",
    "source": {"hub": "SetFit/sst2"},
    "prompt": "Is this review positive or negative? {text}",
    "target": "label",
    "labels": {"0": "negative", "1": "positive"},
}
SAMSUM = {
    "kind": "summarization",
    "source": {"hub": "knkarthick/samsum"},
    "prompt": "Summarize this dialogue: {dialogue}",
    "target": "summary",
}
METHODS = {
    "zero_shot": {"kind": "none"},
    "full": {"kind": "full"},
    "lora": {"kind": "lora"},
    "prefix": {"kind": "prefix", "projection": 512},
    "prompt": {"kind": "prompt", "optim": "adafactor"},
}


def a_study(**changes: Any) -> StudySpec:
    data = {
        "name": "fabricated",
        "model": {"id": "google/flan-t5-small"},
        "tasks": {"sst2": SST2},
        "methods": METHODS,
        "seeds": [0, 1, 2],
        "training": {"max_steps": 1000, "eval_steps": 100},
    }
    return StudySpec.model_validate_json(json.dumps(data | changes))


def a_record(run: RunSpec, **changes: Any) -> RunRecord:
    trainable = TRAINABLE.get(run.method_name, 43_008 + 1000 * len(run.method_name))
    trained = not isinstance(run.method, NoneSpec)
    values: dict[str, Any] = {
        "run_id": run.run_id,
        "spec": run,
        "state": "complete",
        "scores": scores_of(run),
        "best_step": 800 if trained else 0,
        "steps": 1000 if trained else 0,
        "tokens": 640_000 if trained else 0,
        "footprint": Footprint(
            base=BASE, trainable=trainable, receiving_gradient=trainable, stored=trainable, deployed=0
        ),
        "data": data_of(run),
        "seeds": {"init": 11 + run.seed, "order": 22 + run.seed, "dropout": 33 + run.seed},
        "timings": Timings(
            setup=2.5,
            train=100.0 + run.seed if trained else 0.0,
            total=150.0 + run.seed,
            eval_runtime=30.0,
            eval_samples_per_second=60.0,
            eval_steps_per_second=2.0,
        ),
        "environment": an_environment(),
    }
    return RunRecord(**(values | changes))


def a_failure(run: RunSpec, *, state: str = "failed", message: str = "no space left") -> RunRecord:
    return a_record(
        run,
        state=state,
        scores={},
        best_step=None,
        timings=None,
        failure=RunFailure(kind="OSError", message=message),
    )


def an_environment(**changes: Any) -> Environment:
    values: dict[str, Any] = {
        "platform": "Linux-6.1-x86_64",
        "python": "3.12.3",
        "packages": {"torch": "2.8.0", "transformers": "5.23.0"},
        "device": "cpu",
        "threads": 2,
        "dtype": "bfloat16",
        "model_revision": "0fc9ddf78a1e988dac52e2dac162b0ede4fd74ab",
    }
    return Environment(**(values | changes))


def data_of(run: RunSpec) -> DataReport:
    used = 6920 if run.train_size == "full" else run.train_size
    split = SplitReport(
        read=6920,
        empty=1,
        duplicates=2,
        overlap=3,
        dropped_overlap=0,
        used=used,
        truncated_inputs=4 + run.seed,
        truncated_targets=0,
    )
    return DataReport(
        train=split,
        validation=split.model_copy(update={"used": 872}),
        test=split.model_copy(update={"used": 1821}),
        carved_validation=False,
        revision="c2f2d3b8",
        digests=DIGESTS,
    )


def scores_of(run: RunSpec) -> dict[str, float]:
    wobble = 0.004 * math.sin(7 * run.seed + len(run.method_name))
    bonus = {"zero_shot": 0.0, "full": 0.08, "lora": 0.07, "prefix": 0.045, "prompt": 0.03}
    base = bonus.get(run.method_name, 0.05 + 0.002 * (len(run.method_name) % 7))
    if run.train_size != "full":
        base *= 1 - 40 / run.train_size
    if run.task.kind == "classification":
        score = 0.842 + base + wobble
        return {
            "eval_accuracy": score,
            "eval_f1": score + 0.003,
            "eval_loss": 0.4 - base,
            "eval_f1_macro": score - 0.001,
        }
    score = 0.34 + base / 3 + wobble / 2
    rouge = {"rouge1": 0.08, "rouge2": -0.16, "rougeL": 0.0, "rougeLsum": 0.04}
    return {"eval_loss": 1.8 - base} | {f"eval_{name}": score + lift for name, lift in rouge.items()}


def a_curve(run: RunSpec, *, diverges: bool = False) -> tuple[CurvePoint, ...]:
    if isinstance(run.method, NoneSpec):
        return ()
    points = []
    for step in range(10, 1001, 10):
        fall = math.exp(-step / (150 + 40 * run.seed))
        loss = 0.35 + 1.5 * fall + 0.04 * math.sin(step * (run.seed + 3))
        gone = diverges and step > 420
        scores = None
        if step % 100 == 0 and not gone:
            main = (
                0.84 + 0.08 * (1 - fall) - (0.00002 * max(0, step - 800)) + 0.003 * math.sin(step + run.seed)
            )
            scores = {"eval_loss": 0.4 + 0.9 * fall + 0.00008 * step, run.task.main_metric: main}
        points.append(CurvePoint(step=step, loss=None if gone else loss, learning_rate=1e-3, scores=scores))
    return tuple(points)


def inputs_of(study: StudySpec) -> Inputs:
    """What the fabricated runs are made from."""
    model = ModelIdentity(id=study.model.id, commit="0fc9ddf78a1e988dac52e2dac162b0ede4fd74ab", digest=None)
    return Inputs(model=model, data=dict.fromkeys(study.tasks, DIGESTS), places=places_of(study))


def write_folder(
    folder: Path,
    study: StudySpec,
    *,
    records: Iterable[RunRecord] | None = None,
    curve: Callable[[RunSpec], Iterable[CurvePoint]] = a_curve,
) -> Path:
    """The folder, with the study and the given records, by default all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(folder_study(study, inputs_of(study)), encoding="utf-8")
    for record in map(a_record, expand(study)) if records is None else records:
        place = folder / "runs" / record.run_id
        place.mkdir(parents=True)
        lines = "".join(f"{point.model_dump_json()}\n" for point in curve(record.spec))
        (place / "curve.jsonl").write_text(lines, encoding="utf-8")
        listed = record.model_copy(update={"files": {"curve.jsonl": file_checksum(place / "curve.jsonl")}})
        (place / "record.json").write_text(dump_json(listed), encoding="utf-8")
    return folder


def by_name(study: StudySpec) -> Mapping[tuple[str, str, object, int], RunSpec]:
    """The planned runs by task, method, train size and seed."""
    return {(run.task_name, run.method_name, run.train_size, run.seed): run for run in expand(study)}
