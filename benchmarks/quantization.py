"""Print what quantization saves and costs: memory, steps of LoRA, and answers of the untuned model.

    OMP_NUM_THREADS=1 python benchmarks/quantization.py                     # the packaged study of SmolLM2
    OMP_NUM_THREADS=1 python benchmarks/quantization.py --study STUDY --task TASK --rows 200

Each kind of model has a process of its own. Times are medians of a few steps, after one that is not timed.
"""

import argparse
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from tabulate import tabulate

from tuneoff.spec import expand, load_study
from tuneoff.training import Session, generator, prepare, windows
from tuneoff.training.loop import OptimizerSteps
from tuneoff.training.memory import measure_peak

KINDS = (None, "int8", "nf4")


class Measured(NamedTuple):
    """What was measured of one kind of model."""

    weight_bytes: int
    step_seconds: list[float]
    peak_bytes: int
    answers: list[str | None]
    accuracy: float
    loss: float
    """Of the untuned model on the test rows, in nats per token."""


def measure(study: str, task: str, rows: int, steps: int, kind: str | None) -> Measured:
    """Train a few steps of LoRA and answer test rows without it."""
    changes = [f"model.quantization={kind or 'null'}", f"tasks.{task}.max_predict_samples={rows}"]
    changes += [
        "seeds=[0]",
        "search=null",
        "ablations={}",
        "methods={zero_shot: {kind: none}, lora: {kind: lora, targets: all-linear}}",
    ]
    runs = {
        run.method_name: run for run in expand(load_study(study, overrides=changes)) if run.task_name == task
    }
    untuned = prepare(runs["zero_shot"], Session())
    answers = untuned.answers("test")
    scores = untuned.scores("test", answers)
    del untuned
    run = prepare(runs["lora"], Session())
    training = run.spec.training
    counts = run.footprint()
    pad = run.backbone.tokenizer.pad_token_id
    optimizer = OptimizerSteps(run.adapted, training, dtype=run.dtype, steps=steps, pad_token_id=pad)
    seconds = []
    with measure_peak(run.adapted.model.device) as peak:
        order = generator(0, "order")
        for step, window in enumerate(windows(run.train_rows(), training, order=order, steps=steps), start=1):
            started = time.perf_counter()
            optimizer.take(window, step)
            seconds.append(time.perf_counter() - started)
    return Measured(
        weight_bytes=counts.base_bytes or 0,
        step_seconds=seconds[1:],
        peak_bytes=peak.process or 0,
        answers=[answer.prediction for answer in answers],
        accuracy=scores[runs["lora"].task.main_metric],
        loss=scores["eval_loss"],
    )


def main() -> None:
    """Measure each kind of model, and print the table."""
    parser = argparse.ArgumentParser(description="What quantization saves and costs.")
    parser.add_argument("--study", default="smollm2")
    parser.add_argument("--task", default="reviews")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--steps", type=int, default=9)
    options = parser.parse_args()
    found = {}
    for kind in KINDS:
        # a process that is started anew, so that its peak of memory is its own
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            work = pool.submit(measure, options.study, options.task, options.rows, options.steps, kind)
            found[kind] = work.result()
    plain = found[None]
    table = [
        [
            kind or "none",
            f"{one.weight_bytes / 1e6:.0f}",
            f"{one.peak_bytes / 1e6:.0f}",
            f"{statistics.median(one.step_seconds):.2f}",
            f"{statistics.median(one.step_seconds) / statistics.median(plain.step_seconds):.2f}",
            f"{one.accuracy:.3f}",
            f"{one.loss:.3f}",
            f"{statistics.mean(a == b for a, b in zip(one.answers, plain.answers, strict=True)):.3f}",
        ]
        for kind, one in found.items()
    ]
    heads = [
        "quantization",
        "weights, MB",
        "peak of the process, MB",
        "step, s",
        "ratio",
        "zero-shot",
        "loss",
    ]
    print(tabulate(table, headers=[*heads, "same answers"], tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
