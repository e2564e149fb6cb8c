"""Profile training and evaluation, of tuneoff and of Seq2SeqTrainer with PEFT.

    python benchmarks/shares.py                  # some 40 minutes on 2 cores
    python benchmarks/shares.py --work lora evaluation --tasks sst2

Model, rows and contestants are those of `side_by_side.py`. `at most` is what a contestant would reach in
samples a second if its products ran at the machine's peak and were all there is.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import Seq2SeqTrainer

from lengths import write_model, write_rows
from side_by_side import (
    METHODS,
    SOURCES,
    STEPS,
    TEST_ROWS,
    TRAIN_BATCHES,
    matrix_peak,
    mean_length,
    our_steps,
    prepared,
    seconds,
    stock_model,
)
from stock import BATCH, KNOWING, STOCK, trained, trainer
from tuneoff.training.precision import Dtype, resolve_dtype

CPU = torch.device("cpu")
CONTESTANTS = {"(a)": STOCK, "(b)": KNOWING}
FAST: Dtype = resolve_dtype("auto", CPU)
"""The precision of tuneoff and of (b)."""
EVALUATION = "evaluation"
PRODUCTS = "products"
KINDS: Mapping[str, tuple[str, ...]] = {
    PRODUCTS: ("mm", "addmm", "bmm", "baddbmm"),
    "fused attention": (
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_flash_attention_for_cpu_backward",
    ),
    "copies and casts": ("copy_", "_to_copy"),
    "random numbers": ("bernoulli_", "random_"),
    "one pass over elements": (
        *("mul", "mul_", "div", "div_", "add", "add_", "sub", "neg", "pow", "sqrt", "rsqrt", "ge", "where"),
        *("tanh", "tanh_backward", "gelu", "gelu_backward", "_softmax", "_softmax_backward_data", "sum"),
        *("_log_softmax", "_log_softmax_backward_data", "mean", "fill_", "cat", "masked_fill_"),
    ),
    "optimizer": ("_fused_adamw_", "linalg_vector_norm"),
}
HEAD = (
    f"| work | contestant | samples/s | {' | '.join(KINDS)} | rest | products, share of peak | at most |\n"
    f"|---|---|--:|{'--:|' * (len(KINDS) + 3)}"
)


class Contest(NamedTuple):
    """Work of a contestant, done at each call."""

    contestant: str
    dtype: Dtype
    samples: Callable[[], float]
    """Do the work, and return its number of rows of mean length."""


def contests(folder: Path, task: str, work: str) -> Iterator[Contest]:
    """Return the contestants' training of a method, or their evaluation, on a task."""
    return evaluations(folder, task) if work == EVALUATION else trainings(folder, task, work)


def evaluations(folder: Path, task: str) -> Iterator[Contest]:
    """Return the contestants' losses and predictions on the test rows, with LoRA."""
    run = prepared(folder, task, "lora")
    count = len(run.data.encoded["test"])

    def ours() -> float:
        run.answers("test")
        return count

    yield Contest("tuneoff", FAST, ours)
    for name, stock in CONTESTANTS.items():
        theirs = trainer(stock, folder, task, stock_model(folder, "lora"))

        def predicted(theirs: Seq2SeqTrainer = theirs) -> float:
            theirs.predict(theirs.eval_dataset)
            return count

        yield Contest(name, FAST if stock.knows else "float32", predicted)


def trainings(folder: Path, task: str, method: str) -> Iterator[Contest]:
    """Return the contestants' training of a method on a task."""
    run = prepared(folder, task, method)
    length = mean_length(run)

    def ours() -> float:
        steps = list(our_steps(run, STEPS[task], 0))
        for step in steps:
            step.call()
        return sum(step.tokens for step in steps) / length

    yield Contest("tuneoff", FAST, ours)
    for name, stock in CONTESTANTS.items():
        theirs = partial(trained, stock, folder, task, stock_model(folder, method), steps=STEPS[task])
        dtype: Dtype = FAST if stock.knows else "float32"
        yield Contest(name, dtype, lambda theirs=theirs: theirs().tokens[-1] / length)


def line(work: str, contest: Contest) -> str:
    """Return a row of the table; the peak is measured for each, since a shared machine changes its speed."""
    contest.samples()
    peak = matrix_peak(contest.dtype, CPU)
    with FlopCounterMode(display=False) as counter:
        samples = contest.samples()
    taken = seconds(contest.samples)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        contest.samples()
    spent = {event.key.removeprefix("aten::"): event.self_cpu_time_total for event in profiled.key_averages()}
    total = sum(spent.values())
    kinds = {kind: sum(spent.get(name, 0.0) for name in names) for kind, names in KINDS.items()}
    work_rate = counter.get_total_flops() / (kinds[PRODUCTS] / 1e6)
    shares = [*(value / total for value in kinds.values()), 1 - sum(kinds.values()) / total, work_rate / peak]
    cells = [
        work,
        contest.contestant,
        f"{samples / taken:.3g}",
        *(f"{share:.0%}" for share in shares),
        f"{samples / counter.get_total_flops() * peak:.3g}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table as it grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    works = [*METHODS, EVALUATION]
    parser.add_argument("--work", nargs="+", default=["full", "lora", EVALUATION], choices=works)
    parser.add_argument("--tasks", nargs="+", default=list(SOURCES), choices=list(SOURCES))
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads\n\n{HEAD}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model")
        for task in options.tasks:
            write_rows(folder, task, train=TRAIN_BATCHES * BATCH[task], test=TEST_ROWS[task], longest=256)
            for work in options.work:
                for contest in contests(folder, task, work):
                    print(line(f"{work}, {task}", contest), flush=True)


if __name__ == "__main__":
    main()
