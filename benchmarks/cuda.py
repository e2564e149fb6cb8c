"""Check and measure tuneoff on a GPU, in under five minutes: agreement with the CPU, speed and memory.

    python benchmarks/cuda.py                  # where torch sees a GPU
    python benchmarks/cuda.py --device cpu     # the same script without one: the CPU against itself

First a small study of every family and most methods is done on the CPU and on the device, in float32 without
dropout: losses, scores and answers must agree but for rounding. Then `side_by_side.py` trains and evaluates
LoRA beside Trainer and PEFT in bfloat16. Last, what full fine-tuning and LoRA of a model with flan-t5-small's
geometry hold in the device's memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet
import torch
from tabulate import tabulate

from growth import REVIEWS
from lengths import write_model, write_rows
from side_by_side import write_study
from tuneoff.results import RunRecord, StudyFolder, read_curve, read_records

MODELS = ("builtin:random", "builtin:random-bart", "builtin:random-llama")
STUDY = {
    "name": "agreement",
    "tasks": {
        "reviews": REVIEWS | {"max_source_length": 48, "max_eval_samples": 32, "max_predict_samples": 64},
        "dialogues": {
            "kind": "summarization",
            "source": {"builtin": "dialogues"},
            "prompt": "{dialogue}",
            "target": "summary",
            "max_source_length": 64,
            "max_target_length": 24,
            "max_new_tokens": 16,
            "max_eval_samples": 16,
            "max_predict_samples": 32,
        },
    },
    "methods": {
        "zero_shot": {"kind": "none"},
        "full": {"kind": "full", "learning_rate": 1e-3},
        "lora": {"kind": "lora", "rank": 4, "targets": "all-linear", "learning_rate": 1e-2},
        "dora": {"kind": "dora", "rank": 4, "learning_rate": 1e-2},
        "adalora": {"kind": "adalora", "learning_rate": 1e-2},
        "prefix": {"kind": "prefix", "length": 4, "learning_rate": 1e-2},
        "prompt": {"kind": "prompt", "length": 4, "learning_rate": 1e-2},
        "houlsby": {"kind": "adapter", "placement": "houlsby", "learning_rate": 1e-2},
    },
    "train_sizes": [64],
    "seeds": [0],
    "training": {
        "max_steps": 8,
        "eval_steps": 4,
        "logging_steps": 1,
        "per_device_train_batch_size": 8,
        "dtype": "float32",
        "save_strategy": "no",
        "dropout": {"encoder": 0.0, "decoder": 0.0, "attention": 0.0},
    },
}
LARGEST = 2e-3
"""Relative difference of losses that rounding explains over eight steps."""


def done(study: Path, out: Path, *, on_cpu: bool) -> None:
    """Do a study in a process of its own, on the CPU or where accelerate finds a device."""
    command = [sys.executable, "-m", "tuneoff", "run", str(study), "--out", str(out)]
    environment = os.environ | ({"ACCELERATE_USE_CPU": "true"} if on_cpu else {})
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")


def agreement(folder: Path, *, on_cpu: bool) -> bool:
    """Print how far the device is from the CPU, for each model; return whether rounding explains it."""
    lines, sound = [], True
    for model in MODELS:
        study = folder / f"{model.partition(':')[2]}.json"
        study.write_text(json.dumps(STUDY | {"model": {"id": model}}), encoding="utf-8")
        places = [folder / f"{study.stem}-{where}" for where in ("cpu", "device")]
        started = time.perf_counter()
        done(study, places[0], on_cpu=True)
        done(study, places[1], on_cpu=on_cpu)
        taken = time.perf_counter() - started
        pairs = list(zip(*map(by_id, places), strict=True))
        losses = max(
            difference(*(curve(place, one) for place, one in zip(places, pair, strict=True)))
            for pair in pairs
        )
        same = [
            share_of_equal(*(answers(place, one) for place, one in zip(places, pair, strict=True)))
            for pair in pairs
        ]
        sound = sound and losses < LARGEST and all(one.state == other.state for one, other in pairs)
        lines.append([model, len(pairs), f"{losses:.1e}", f"{sum(same) / len(same):.1%}", f"{taken:.0f}"])
    heads = ["model", "runs", "largest difference of losses", "equal answers", "seconds"]
    print(f"{tabulate(lines, headers=heads, tablefmt='github')}\n", flush=True)
    return sound


def by_id(folder: Path) -> list[RunRecord]:
    """Return the records of a study, in a fixed order."""
    return sorted(read_records(folder), key=lambda record: record.run_id)


def curve(folder: Path, record: RunRecord) -> list[float]:
    """Return all losses of a run; none of one that a model cannot carry."""
    points = read_curve(StudyFolder(folder).run(record.run_id))
    return [point.loss for point in points if point.loss is not None]


def difference(one: list[float], other: list[float]) -> float:
    """Return the largest relative difference."""
    return max((abs(a - b) / abs(a) for a, b in zip(one, other, strict=True)), default=0.0)


def answers(folder: Path, record: RunRecord) -> list[Any]:
    """Return the answers of a run to its test rows."""
    if record.state != "complete":
        return []
    file = StudyFolder(folder).run(record.run_id).predictions
    return pyarrow.parquet.read_table(file, columns=["prediction"])["prediction"].to_pylist()


def share_of_equal(one: list[Any], other: list[Any]) -> float:
    """Return the share of rows with equal answers."""
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one) if one else 1.0


def memory(folder: Path, *, on_cpu: bool) -> None:
    """Print what training held at most, in the device's memory and in the process."""
    write_model(folder / "model")
    write_rows(folder, "sst2", train=256, test=64, longest=256)
    done(write_study(folder, "sst2", ["full", "lora"]), folder / "memory", on_cpu=on_cpu)
    lines = [
        [
            record.run_id,
            *(_megabytes(getattr(record.timings, f"training_peak_{kind}bytes")) for kind in ("device_", "")),
        ]
        for record in by_id(folder / "memory")
    ]
    print(tabulate(lines, headers=["run", "on the device, MB", "process, MB"], tablefmt="github"))


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.0f}"


def main() -> None:
    """Do all three; exit code 1 if the device disagrees with the CPU."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=["agreement", "speed", "memory"],
        default=["agreement", "speed", "memory"],
    )
    options = parser.parse_args()
    on_cpu = options.device == "cpu"
    if not on_cpu and not torch.cuda.is_available():
        sys.exit("torch sees no GPU here; --device cpu tries the script itself")
    print(f"torch {torch.__version__}, {'the CPU' if on_cpu else torch.cuda.get_device_name()}\n", flush=True)
    sound = True
    with tempfile.TemporaryDirectory() as name:
        if "agreement" in options.only:
            sound = agreement(Path(name), on_cpu=on_cpu)
        if "speed" in options.only:
            script = [sys.executable, str(Path(__file__).with_name("side_by_side.py")), "--rounds", "2"]
            subprocess.run([*script, "--only", "training", "evaluation", "--methods", "lora"], check=True)
            print(flush=True)
        if "memory" in options.only:
            memory(Path(name), on_cpu=on_cpu)
    sys.exit(not sound)


if __name__ == "__main__":
    main()
