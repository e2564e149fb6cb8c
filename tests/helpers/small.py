"""A study that takes seconds: a few rows, a few steps, the builtin random model."""

import csv
from collections.abc import Sequence
from pathlib import Path

from tuneoff.spec import StudySpec, load_study

STUDY = """
name: small
model: {id: builtin:random}
tasks:
  films:
    kind: classification
    source: {files: {train: train.csv, validation: validation.csv, test: test.csv}}
    prompt: "Good or bad? {text}"
    target: label
    labels: {0: negative, 1: positive}
    max_target_length: 8
methods:
  zero_shot: {kind: none}
  lora: {kind: lora, rank: 2, dropout: 0.1}
ablations:
  lora_rank: {of: lora, vary: {rank: [1, 2]}}
train_sizes: [8, full]
training: {max_steps: 4, per_device_train_batch_size: 4, eval_steps: 2, logging_steps: 1}
"""
RUNS = ("films.lora-rank=1.n8", "films.lora-rank=1.nfull", "films.lora.n8", "films.lora.nfull")
RUNS = (*RUNS, "films.zero_shot.nfull")
"""The beginnings of the ids of the study's runs, sorted."""
ROWS = {"train": 24, "validation": 6, "test": 8}


def study(folder: Path, text: str = STUDY) -> Path:
    """A study file with its data beside it."""
    for split, count in ROWS.items():
        with open(folder / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
            rows = ([f"{split} {row} was {'good' if row % 2 else 'bad'}", row % 2] for row in range(count))
            csv.writer(file).writerows([["text", "label"], *rows])
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def spec(folder: Path, overrides: Sequence[str] = ()) -> StudySpec:
    """The study, loaded."""
    return load_study(str(study(folder)), overrides=overrides)


def checkpoint(folder: Path) -> Path:
    """A folder with a tiny T5 and the builtin tokenizer."""
    from transformers import T5Config, T5ForConditionalGeneration

    from tuneoff.spec import ModelSpec
    from tuneoff.training import load_backbone

    tokenizer = load_backbone(ModelSpec(id="builtin:random")).tokenizer
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    ids = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **sizes, **ids)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
