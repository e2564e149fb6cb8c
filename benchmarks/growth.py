"""How long a report takes as a study grows, and how much memory a worker takes as its runs do.

    python benchmarks/growth.py report [RECORDS ...]
    python benchmarks/growth.py memory [RUNS]

For reports, one real run of each method on a random model is done; its record, curve and predictions then
stand under as many seeds as it takes, with scores moved a little. For memory, one process does short runs
of all methods, and its resident memory is read behind them.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tuneoff.spec import RunRecord, StudySpec, dump_study, expand
from tuneoff.spec.results import RECORD_FILE, STUDY_FILE
from tuneoff.study.store import fresh_folder
from tuneoff.training import train_run

STUDY = {
    "name": "growth",
    "model": {"id": "builtin:random"},
    "tasks": {
        "reviews": {
            "kind": "classification",
            "source": {"builtin": "reviews"},
            "prompt": "{text}",
            "target": "label",
            "labels": {"0": "negative", "1": "positive"},
            "max_source_length": 32,
            "max_eval_samples": 50,
            "max_predict_samples": 200,
        }
    },
    "methods": {
        "zero_shot": {"kind": "none"},
        "full": {"kind": "full"},
        "lora": {"kind": "lora"},
        "prefix": {"kind": "prefix"},
        "prompt": {"kind": "prompt"},
    },
    "training": {"max_steps": 20, "eval_steps": 5, "logging_steps": 2, "per_device_train_batch_size": 4},
}


def a_study(seeds: int) -> StudySpec:
    """The study with so many seeds."""
    return StudySpec.model_validate_json(json.dumps(STUDY | {"seeds": list(range(seeds))}))


def tuneoff(*arguments: str) -> float:
    """Seconds that a command takes."""
    started = time.perf_counter()
    subprocess.run(
        [str(Path(sys.executable).with_name("tuneoff")), *arguments], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - started


def grow(real: Path, folder: Path, records: int) -> int:
    """Lays out a study with about so many records, and says how many."""
    study = a_study(records // 4)
    patterns = {
        record.spec.method_name: (path.parent, record)
        for path in real.glob(f"runs/*/{RECORD_FILE}")
        for record in [RunRecord.model_validate_json(path.read_text(encoding="utf-8"))]
    }
    (folder / "runs").mkdir(parents=True)
    (folder / STUDY_FILE).write_text(dump_study(study), encoding="utf-8")
    shutil.copytree(real / "baselines", folder / "baselines")
    wobble = random.Random(0)
    runs = expand(study)
    for run in runs:
        source, record = patterns[run.method_name]
        target = folder / "runs" / run.run_id
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("adapter"))
        scores = {name: value * wobble.uniform(0.95, 1.0) for name, value in record.scores.items()}
        changes = {"run_id": run.run_id, "spec": run, "scores": scores}
        (target / RECORD_FILE).write_text(
            record.model_copy(update=changes).model_dump_json(), encoding="utf-8"
        )
    return len(runs)


def report(sizes: list[int]) -> None:
    """Prints a line for each number of records."""
    with tempfile.TemporaryDirectory() as name:
        study = Path(name, "study.yaml")
        study.write_text(dump_study(a_study(1)), encoding="utf-8")
        tuneoff("run", str(study), "--out", f"{name}/real")
        for size in sizes:
            folder = Path(name, f"grown{size}")
            records = grow(Path(name, "real"), folder, size)
            taken = tuneoff("report", str(folder))
            print(f"{records} records: {taken:.1f} s, {1000 * taken / records:.1f} ms each", flush=True)


def memory(runs: int) -> None:
    """Prints the resident memory of this process behind every tenth of its runs."""
    process = psutil.Process()
    specs = [spec for spec in expand(a_study(runs // 4 + 1)) if spec.method_name != "zero_shot"]
    with tempfile.TemporaryDirectory() as name:
        for count, spec in enumerate(specs[:runs], start=1):
            short = spec.training.model_copy(update={"max_steps": 3})
            record = train_run(spec.model_copy(update={"training": short}), fresh_folder(Path(name, "run")))
            if record.state != "complete":
                raise SystemExit(f"{spec.run_id} is {record.state}: {record.failure}")
            if count % max(1, runs // 10) == 0:
                print(f"{count} runs: {process.memory_info().rss / 2**20:.0f} MiB", flush=True)


def main() -> None:
    """Does what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("report").add_argument("records", nargs="*", type=int, default=[100, 1000, 10000])
    kinds.add_parser("memory").add_argument("runs", nargs="?", type=int, default=200)
    options = parser.parse_args()
    if options.kind == "report":
        report(options.records)
    else:
        memory(options.runs)


if __name__ == "__main__":
    main()
