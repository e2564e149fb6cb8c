"""Compare tuneoff on a decoder-only model with Trainer and PEFT, and with lm-evaluation-harness.

    pip install lm-eval
    python benchmarks/side_by_side_causal.py     # about 15 minutes on 2 cores

The model has SmolLM2-135M's geometry and random weights, rows have the token lengths of SST-2. Contestants
take turns; figures are medians of rounds. Before anything is timed, the losses of equal batches and the
likelihoods of equal labels must agree.
"""

import argparse
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from lm_eval.models.huggingface import HFLM
from peft import LoraConfig, TaskType, get_peft_model
from tokenizers import processors
from transformers import (
    AutoModelForCausalLM,
    DataCollatorForSeq2Seq,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from lengths import tokenizer, write_rows
from side_by_side import HEAD, Line, our_steps, seconds, with_frozen_outputs
from stock import Clock
from tuneoff.spec import expand, load_study
from tuneoff.training import Session
from tuneoff.training.batches import collate
from tuneoff.training.precision import resolve_dtype
from tuneoff.training.prepared import Prepared, prepare

SMOLLM2 = LlamaConfig(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    max_position_embeddings=8192,
    tie_word_embeddings=True,
    rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=1,
)
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LABELS = ["w10", "w11 w12"]
"""Their likelihoods take one token and two, and the end."""
UPPER = list(range(20, 30))
"""The upper third of the layers; below, outputs can be computed once."""
BATCH, EVAL_BATCH = 16, 32
STEPS = 3
TEST_ROWS = 64
STUDY = """
name: causal
model: {{id: {folder}/model}}
tasks:
  sst2:
    kind: classification
    source: {{files: {{train: {folder}/sst2-train.csv, test: {folder}/sst2-test.csv}}}}
    prompt: "{{text}}"
    target: label
    labels: {{0: {labels[0]}, 1: {labels[1]}}}
    max_source_length: 128
    max_target_length: 8
methods:
  lora:
    kind: lora
    rank: 8
    alpha: 16
    targets: all-linear
    layers_to_transform: {layers}
    learning_rate: 1.0e-4
training:
  max_steps: 50
  per_device_train_batch_size: {batch}
  per_device_eval_batch_size: {eval_batch}
"""


def write(folder: Path) -> None:
    """Write model, tokenizer and rows."""
    torch.manual_seed(0)
    LlamaForCausalLM(SMOLLM2).save_pretrained(folder / "model")
    words = tokenizer()
    # decoder-only models continue their input, which therefore has no end
    words.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A")
    words.save_pretrained(folder / "model")
    write_rows(folder, "sst2", train=50 * BATCH, test=TEST_ROWS, longest=128)


def prepared(folder: Path, layers: list[int] | None = None) -> Prepared:
    """Return the model and the rows as prepared by tuneoff, from the second epoch on."""
    path = folder / "study.yaml"
    text = STUDY.format(
        folder=folder, labels=LABELS, layers=layers or "null", batch=BATCH, eval_batch=EVAL_BATCH
    )
    path.write_text(text, encoding="utf-8")
    run = prepare(expand(load_study(path))[0], Session())
    return with_frozen_outputs(run) if layers else run


def stock_model(folder: Path, layers: list[int] | None = None) -> Any:
    """Return the model with PEFT's LoRA on every linear layer, or on those in some layers of the model."""
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=8,
        lora_alpha=16,
        target_modules=LINEAR,
        layers_to_transform=layers,
    )
    return get_peft_model(model, config)


def joined(run: Prepared) -> list[dict[str, list[int]]]:
    """Return the training rows as most people write them: input and target in one, loss on the target."""
    return [
        {
            "input_ids": [*row.input_ids, *row.labels],
            "attention_mask": [1] * (len(row.input_ids) + len(row.labels)),
            "labels": [-100] * len(row.input_ids) + list(row.labels),
        }
        for row in run.data.encoded["train"]
    ]


def trained(run: Prepared, model: Any, folder: Path, *, knows: bool, seed: int) -> float:
    """Return samples a second of Trainer over a round of steps after a first one."""
    clock, words = Clock(), run.backbone.tokenizer
    known = {
        "bf16": resolve_dtype("auto", model.device) == "bfloat16",
        "train_sampling_strategy": "group_by_length",
    }
    made = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder / "stock"),
            learning_rate=1e-4,
            max_steps=STEPS + 1,
            per_device_train_batch_size=BATCH,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            include_num_input_tokens_seen="non_padding",
            seed=seed,
            use_cpu=model.device.type == "cpu",  # bf16 asks for it there
            **(known if knows else {}),
        ),
        train_dataset=Dataset.from_list(joined(run)),
        data_collator=DataCollatorForSeq2Seq(words, model=model),
        processing_class=words,
    )
    made.remove_callback(PrinterCallback)
    made.add_callback(clock)
    made.train()
    tokens = clock.tokens[-1] - clock.tokens[0]
    return tokens / (clock.ends[-1] - clock.ends[0]) / mean_length(run)


def mean_length(run: Prepared) -> float:
    """Return the mean number of tokens of a training row, its target included."""
    return statistics.mean(len(row.input_ids) + len(row.labels) for row in run.data.encoded["train"])


def train_ours(run: Prepared, seed: int) -> float:
    """Return samples a second over a round of steps after a first one."""
    first, *rest = our_steps(run, STEPS + 1, seed)
    first.call()
    taken = seconds(lambda: [step.call() for step in rest])
    # a step counts the tokens of its inputs alone
    inputs = statistics.mean(len(row.input_ids) for row in run.data.encoded["train"])
    return sum(step.tokens for step in rest) / inputs / taken


def harness(run: Prepared, model: Any, *, knows: bool) -> HFLM:
    """Return the model in lm-evaluation-harness; who knows asks for bfloat16 where the machine has it."""
    dtype = resolve_dtype("auto", model.device) if knows else None
    return HFLM(
        pretrained=model,
        tokenizer=run.backbone.tokenizer,
        backend="causal",
        device="cpu",
        batch_size=EVAL_BATCH,
        mixed_precision_dtype=None if dtype == "float32" else dtype,
    )


def scored(run: Prepared, model: HFLM) -> torch.Tensor:
    """Return each label's log-likelihood with its end, as the harness computes it: [N, labels]."""
    words: PreTrainedTokenizerBase = run.backbone.tokenizer
    labels = [[*words(text)["input_ids"], words.eos_token_id] for text in LABELS]
    # tokens and not texts, so that both score the same
    requests = [
        ((f"{number}", f"{label}"), [*row.input_ids], label)
        for number, row in enumerate(run.data.encoded["test"])
        for label in labels
    ]
    found = [value for value, _ in model._loglikelihood_tokens(requests, disable_tqdm=True)]
    return torch.tensor(found).view(-1, len(labels))


@torch.no_grad()
def check(run: Prepared, model: Any) -> None:
    """Compare losses and answers, LoRA being zero at the start of both.

    Raises:
        SystemExit: they differ.
    """
    words = run.backbone.tokenizer
    adapted = run.adapted
    adapted.model.eval()
    model.eval()
    rows = run.data.encoded["train"][:8]
    batch = collate(rows, prompt_ids=(), pad_token_id=words.pad_token_id, device=adapted.model.device)
    logits = adapted.family.logits(adapted.family.read_and_predict(**batch)).float()
    ours = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten()).item()
    theirs = model(**DataCollatorForSeq2Seq(words)(joined(run)[:8])).loss.item()
    if abs(ours - theirs) > 1e-4 * theirs:
        sys.exit(f"the contestants compute different things: the loss is {ours} here and {theirs} in PEFT")
    likeliest = scored(run, harness(run, model, knows=False)).argmax(1).tolist()
    answers = [answer.prediction for answer in run.answers("test")]
    same = statistics.mean(a == b for a, b in zip(answers, map(str, likeliest), strict=True))
    # in bfloat16 a few rows are so close that rounding decides
    if same < 0.9:
        sys.exit(f"the contestants choose other labels: {same:.0%} are equal")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=LINES, action="append")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        print(f"{torch.get_num_threads()} threads, {resolve_dtype('auto', torch.device('cpu'))}\n\n{HEAD}")
        for chosen in options.only or LINES:
            print(LINES[chosen](folder, options.rounds), flush=True)


def training_line(folder: Path, rounds: int, layers: list[int] | None = None) -> Line:
    """Measure training of LoRA."""
    run, models = prepared(folder, layers), [stock_model(folder, layers) for _ in range(2)]
    check(run, models[0])
    line = Line("LoRA in upper layers, sst2" if layers else "LoRA, sst2", "samples/s", [], [], [])
    for seed in range(rounds):
        line.ours.append(train_ours(run, seed))
        line.stock.append(trained(run, models[0], folder, knows=False, seed=seed))
        line.knowing.append(trained(run, models[1], folder, knows=True, seed=seed))
    return line


def scoring_line(folder: Path, rounds: int) -> Line:
    """Measure the likelihoods of the labels of the test rows."""
    run, model = prepared(folder), stock_model(folder)
    stock, knowing = (harness(run, model, knows=knows) for knows in (False, True))
    check(run, model)
    line = Line("label scoring, sst2", "samples/s", [], [], [])
    for _ in range(rounds):
        line.ours.append(TEST_ROWS / seconds(lambda: run.answers("test")))
        line.stock.append(TEST_ROWS / seconds(lambda: scored(run, stock)))
        line.knowing.append(TEST_ROWS / seconds(lambda: scored(run, knowing)))
    return line


LINES = {
    "lora": training_line,
    "upper": partial(training_line, layers=UPPER),
    "scoring": scoring_line,
}


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"\n{time.perf_counter() - started:.0f} s", file=sys.stderr)
