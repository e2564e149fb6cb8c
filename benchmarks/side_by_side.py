"""Compare tuneoff with Seq2SeqTrainer and PEFT: contestants in turn, medians of rounds.

    python benchmarks/side_by_side.py            # about half an hour on 2 cores
    python benchmarks/side_by_side.py --only training --methods lora --tasks sst2

The model has flan-t5-small's geometry and random weights, rows have the token lengths of SST-2 and
SAMSum. Samples a second of training are tokens a second by the mean length of all rows, so that it
does not matter whose batches happened to be short. Before anything is timed, the contestants' losses
on equal batches with equal weights must agree.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
import torch
from accelerate import PartialState
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForSeq2SeqLM, T5ForConditionalGeneration

from lengths import write_model, write_rows
from stock import BATCH, KNOWING, STOCK, Stock, method_on, trained, trainer
from tuneoff.spec import expand, load_study
from tuneoff.training import Session
from tuneoff.training.batches import collate
from tuneoff.training.loop import OptimizerSteps, windows
from tuneoff.training.precision import Dtype, autocast, resolve_dtype
from tuneoff.training.prepared import Prepared, prepare

METHODS = {
    "full": "{kind: full, learning_rate: 1e-4}",
    "lora": "{kind: lora, rank: 8, alpha: 16, targets: [q, v], learning_rate: 1e-4}",
    "prefix": "{kind: prefix, length: 20, sites: [decoder], relative_positions: true, learning_rate: 1e-4}",
    "prompt": "{kind: prompt, length: 20, init: random, learning_rate: 1e-4}",
}
STUDY = """
name: {name}
model: {{id: {folder}/model}}
tasks:
  {task}: {{{source}, max_source_length: 256, max_target_length: 64, max_eval_samples: 64}}
methods:
{methods}
seeds: [0, 1]
training:
  max_steps: 20
  per_device_train_batch_size: {batch}
  per_device_eval_batch_size: 64
  eval_steps: 20
  {training}
"""
SOURCES = {
    "sst2": "kind: classification, target: label, labels: {{0: w10, 1: w11}}, prompt: '{{text}}', "
    "source: {{files: {{train: {folder}/sst2-train.csv, test: {folder}/sst2-test.csv}}}}",
    "samsum": "kind: summarization, target: summary, max_new_tokens: 60, prompt: '{{dialogue}}', "
    "source: {{files: {{train: {folder}/samsum-train.json, test: {folder}/samsum-test.json}}}}",
}
STEPS = {"sst2": 12, "samsum": 6}
"""Timed steps of a round."""
TRAIN_BATCHES = 50
"""As many batches as are sorted by length at a time."""
LOSS_ERROR = {"float32": 1e-4, "bfloat16": 3e-3}
"""How far losses of equal weights may be apart, relative to the loss."""
FEW_ROWS = 160
"""Few enough for the 20 steps of 8 rows of a study to use them all: only then encoder outputs are cached."""
TEST_ROWS = {"sst2": 192, "samsum": 64}
"""Enough for full batches of 64, as in long test splits."""


class Line(NamedTuple):
    """A row of the table: what each contestant reached in each round."""

    work: str
    unit: str
    ours: list[float]
    stock: list[float]
    knowing: list[float]
    share: float | None = None
    """Share of the machine's matrix-product peak, which is measured just before or after."""

    def __str__(self) -> str:
        cells = [self.work, self.unit, *(_figure(each) for each in (self.ours, self.stock, self.knowing))]
        better = 1 if self.unit.endswith("/s") else -1
        for other in (self.stock, self.knowing):
            cells.append(f"{(statistics.median(self.ours) / statistics.median(other)) ** better:.2f}")
        cells.append("" if self.share is None else f"{self.share:.0%}")
        return "| " + " | ".join(cells) + " |"


HEAD = (
    "| work | unit | tuneoff | (a) stock | (b) tuned by hand | against (a) | against (b) | share of peak |\n"
    "|---|---|--:|--:|--:|--:|--:|--:|"
)


def _figure(values: list[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def write_study(folder: Path, task: str, methods: Sequence[str], training: str = "") -> Path:
    """Write the study file of a task."""
    path = folder / f"{task}.yaml"
    chosen = "\n".join(f"  {name}: {METHODS[name]}" for name in methods)
    source = SOURCES[task].format(folder=folder)
    path.write_text(
        STUDY.format(
            name=task,
            folder=folder,
            task=task,
            source=source,
            methods=chosen,
            batch=BATCH[task],
            training=training,
        ),
        encoding="utf-8",
    )
    return path


def prepared(folder: Path, task: str, method: str, training: str = "") -> Prepared:
    """Return the model and the rows as prepared by tuneoff."""
    runs = expand(load_study(str(write_study(folder, task, [method], training))))
    return prepare(next(run for run in runs if run.seed == 0), Session())


def stock_model(folder: Path, method: str) -> T5ForConditionalGeneration:
    """Return the contestants' model with PEFT's method."""
    return method_on(AutoModelForSeq2SeqLM.from_pretrained(folder / "model"), method)


def check_losses(run: Prepared, theirs: torch.nn.Module, method: str) -> None:
    """Compare the losses of two batches, with equal weights and without dropout.

    Raises:
        SystemExit: the losses differ.
    """
    weights = copied(run, theirs, method)
    run.adapted.model.eval()
    theirs.eval()
    for start in (0, 8):
        rows = run.data.encoded["train"][start : start + 8]
        pad = run.backbone.tokenizer.pad_token_id
        device = run.adapted.model.device
        with torch.no_grad(), autocast(device, run.dtype):
            ours = run.adapted.model(
                **collate(rows, prompt_ids=run.adapted.prompt_ids, pad_token_id=pad, device=device)
            )
            other = theirs.to(device)(**collate(rows, prompt_ids=(), pad_token_id=pad, device=device))
        if abs(ours.loss.item() - other.loss.item()) > LOSS_ERROR[run.dtype] * other.loss.item():
            sys.exit(
                f"the contestants compute different things: with {method} ({weights} tensors equal) "
                f"the loss is {ours.loss.item()} here and {other.loss.item()} in PEFT"
            )


@torch.no_grad()
def copied(run: Prepared, theirs: torch.nn.Module, method: str) -> int:
    """Give the contestant tuneoff's weights, moved off their start; return the number of tensors."""
    parameters = run.adapted.parameters()
    if method == "full":
        return len(parameters)
    for parameter in parameters:
        parameter.add_(
            torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)).to(parameter) * 0.01
        )
    stored = run.adapted.stored()
    if method == "lora":
        for name, parameter in theirs.named_parameters():
            if "lora_" in name:
                key = name.removeprefix("base_model.model.").removesuffix(".default.weight")
                parameter.copy_(stored[f"lora.{key}"])
    elif method == "prompt":
        theirs.prompt_encoder.default.embedding.weight.copy_(stored["prompt.prompt"])
    else:
        # PEFT hands an encoder-decoder's pairs out in an order of its own, so they are read from its cache
        layers = theirs.get_prompt(1).self_attention_cache.layers
        pairs = [torch.stack([layer.keys[0], layer.values[0]]).transpose(1, 2) for layer in layers]
        run.adapted.restore({"prefix.decoder": torch.stack(pairs)})
    return len(stored)


class Step(NamedTuple):
    """An optimizer step, ready to be called, and its tokens of input, padding not counted."""

    call: Callable[[], object]
    tokens: int


def our_steps(run: Prepared, steps: int, seed: int) -> Iterator[Step]:
    """Yield the steps of a round."""
    optimizer_steps = OptimizerSteps(
        run.adapted,
        run.spec.training,
        dtype=run.dtype,
        steps=steps,
        pad_token_id=run.backbone.tokenizer.pad_token_id,
    )
    order = torch.Generator().manual_seed(seed)
    rows = run.data.encoded["train"]
    for number, window in enumerate(windows(rows, run.spec.training, order=order, steps=steps)):
        tokens = sum(len(row.input_ids) for batch in window for row in batch)
        yield Step(partial(optimizer_steps.take, window, number), tokens)


def mean_length(run: Prepared) -> float:
    """Return the mean number of tokens of a training row's input."""
    return statistics.mean(len(row.input_ids) for row in run.data.encoded["train"])


def train_ours(run: Prepared, task: str, seed: int) -> float:
    """Return tokens of input a second over a round of steps after a first one."""
    first, *rest = our_steps(run, STEPS[task] + 1, seed)
    first.call()
    taken = seconds(lambda: [step.call() for step in rest])
    return sum(step.tokens for step in rest) / taken


def train_theirs(stock: Stock, folder: Path, task: str, model: torch.nn.Module, seed: int) -> float:
    """Return tokens of input a second over a round of steps after a first one."""
    clock = trained(stock, folder, task, model, steps=STEPS[task] + 1, seed=seed)
    return (clock.tokens[-1] - clock.tokens[0]) / (clock.ends[-1] - clock.ends[0])


def contest(
    line: Line, run: Prepared, models: Sequence[torch.nn.Module], folder: Path, task: str, rounds: int
) -> None:
    """Fill a line with rounds of training, the contestants in turn."""
    length = mean_length(run)
    for seed in range(rounds):
        line.ours.append(train_ours(run, task, seed) / length)
        line.stock.append(train_theirs(STOCK, folder, task, models[0], seed) / length)
        line.knowing.append(train_theirs(KNOWING, folder, task, models[1], seed) / length)


def train_line(folder: Path, task: str, method: str, rounds: int) -> Line:
    """Measure training of a method on a task."""
    run = prepared(folder, task, method)
    before = matrix_peak(run.dtype, run.adapted.model.device)
    models = [stock_model(folder, method) for _ in range(2)]
    check_losses(run, models[0], method)
    line = Line(f"{method}, {task}", "samples/s", [], [], [])
    contest(line, run, models, folder, task, rounds)
    peak = max(before, matrix_peak(run.dtype, run.adapted.model.device))
    steps = list(our_steps(run, STEPS[task] // 2, 0))
    with FlopCounterMode(display=False) as counter:
        for step in steps:
            step.call()
    products = counter.get_total_flops() * mean_length(run) / sum(step.tokens for step in steps)
    return line._replace(share=products * statistics.median(line.ours) / peak)


def stored_line(folder: Path, task: str, rounds: int) -> Line:
    """Measure a prefix at the decoder without dropout in the encoder, from the second epoch on."""
    run = with_frozen_outputs(prepared(folder, task, "prefix", "dropout: {encoder: 0.0}"))
    models = [stock_model(folder, "prefix") for _ in range(2)]
    line = Line(f"prefix on cached encoder outputs, {task}", "samples/s", [], [], [])
    contest(line, run, models, folder, task, rounds)
    return line


def with_frozen_outputs(run: Prepared) -> Prepared:
    """Return a run whose training rows have the outputs of the model's frozen part.

    Raises:
        SystemExit: they are not cached.
    """
    rows = list(run.train_rows())
    if any(row.frozen_output is None for row in rows):
        sys.exit("the outputs of the frozen part are not cached, so there is nothing to time")
    data = replace(run.data, encoded=run.data.encoded | {"train": rows})
    return replace(run, data_by_task={run.spec.task_name: data})


def evaluation_line(folder: Path, task: str, rounds: int) -> Line:
    """Measure losses and predictions of a LoRA model on the test rows."""
    run = prepared(folder, task, "lora")
    model = stock_model(folder, "lora")
    line = Line(f"evaluation, {task}", "samples/s", [], [], [])
    count = len(run.data.encoded["test"])
    for _ in range(rounds):
        line.ours.append(count / seconds(lambda: run.answers("test")))
        for stock, figures in ((STOCK, line.stock), (KNOWING, line.knowing)):
            contestant = trainer(stock, folder, task, model)
            figures.append(count / seconds(lambda c=contestant: c.predict(c.eval_dataset)))
    return line


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def study_lines(folder: Path, rounds: int) -> list[Line]:
    """Measure a small study: time from the start of its process to its end, and peak memory.

    The contestants run one after another in one process; tuneoff does so and also with two workers.
    """
    study = write_study(folder, "sst2", ["full", "lora", "prompt"])
    tuneoff = [str(Path(sys.executable).with_name("tuneoff")), "run", str(study), "--out"]
    stock = [sys.executable, str(Path(__file__).with_name("stock.py"))]
    wall = Line("a small study", "s", [], [], [])
    memory = Line("its peak memory", "MB", [], [], [])
    with_workers = [
        wall._replace(work="a small study, two workers", ours=[]),
        memory._replace(work="their peak memory", ours=[]),
    ]
    for turn in range(rounds):
        out = str(folder / f"out{turn}")
        commands = (
            ([*tuneoff, out], wall.ours, memory.ours),
            ([*tuneoff, f"{out}w", "--executor", "process"], *(line.ours for line in with_workers)),
            ([*stock, "stock", str(folder)], wall.stock, memory.stock),
            ([*stock, "knowing", str(folder)], wall.knowing, memory.knowing),
        )
        for command, walls, peaks in commands:
            taken, megabytes = process(command)
            walls.append(taken)
            peaks.append(megabytes)
    return [wall, memory, *with_workers]


def process(command: list[str]) -> tuple[float, float]:
    """Return the seconds of a command, and the peak resident megabytes of it and its children.

    Raises:
        SystemExit: it failed.
    """
    started = time.perf_counter()
    child = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while child.poll() is None:
        with suppress(psutil.NoSuchProcess):
            family = (child, *child.children(recursive=True))
            peak = max(peak, sum(one.memory_info().rss for one in family))
        time.sleep(0.2)
    if child.returncode:
        sys.exit(f"this command failed: {' '.join(command)}")
    return time.perf_counter() - started, peak / 2**20


def matrix_peak(dtype: Dtype, device: torch.device) -> float:
    """Measure floating-point operations a second of square products, the best of five."""
    side = 1024 if device.type == "cpu" else 8192
    a = torch.randn(side, side, device=device).to(getattr(torch, dtype))

    def products() -> None:
        for _ in range(8):
            product = a @ a
        product[0, 0].item()  # waits for a GPU

    products()
    return 2 * side**3 * 8 / min(seconds(products) for _ in range(5))


def main() -> None:
    """Print the table as it grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ["training", "stored", "evaluation", "study"]
    parser.add_argument("--only", nargs="+", default=parts, choices=parts)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--tasks", nargs="+", default=list(SOURCES), choices=list(SOURCES))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    device = PartialState().device
    dtypes: dict[Dtype, None] = {"float32": None, resolve_dtype("auto", device): None}
    peaks = ", ".join(f"{matrix_peak(one, device) / 1e9:,.0f} GFLOPS in {one} products" for one in dtypes)
    print(f"{torch.get_num_threads()} threads, {peaks}\n\n{HEAD}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model")
        many = folder / "many"
        many.mkdir()
        (many / "model").symlink_to(folder / "model")
        for task in options.tasks:
            count = {"test": TEST_ROWS[task], "longest": 256}
            write_rows(folder, task, train=FEW_ROWS, **count)
            write_rows(many, task, train=TRAIN_BATCHES * BATCH[task], **count)
        if "study" in options.only:
            for line in study_lines(folder, max(1, options.rounds - 1)):
                print(line, flush=True)
        for task in options.tasks:
            if "training" in options.only:
                for method in options.methods:
                    print(train_line(many, task, method, options.rounds), flush=True)
            if "stored" in options.only:
                print(stored_line(folder, task, options.rounds), flush=True)
            if "evaluation" in options.only:
                print(evaluation_line(folder, task, options.rounds), flush=True)


if __name__ == "__main__":
    main()
