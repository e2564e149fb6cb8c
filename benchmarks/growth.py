"""How long a report takes as a study grows: the time for 100, 1,000 and 10,000 records.

    python benchmarks/growth.py [COUNT ...]

One real run of each method on a random model is done; its record, curve and predictions then stand under
as many seeds as it takes, with scores moved a little.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tuneoff.spec import RunRecord, StudySpec, dump_study, expand
from tuneoff.spec.results import RECORD_FILE, STUDY_FILE

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


def main() -> None:
    """Prints a line for each size."""
    sizes = [int(size) for size in sys.argv[1:]] or [100, 1000, 10000]
    with tempfile.TemporaryDirectory() as name:
        study = Path(name, "study.yaml")
        study.write_text(dump_study(a_study(1)), encoding="utf-8")
        tuneoff("run", str(study), "--out", f"{name}/real")
        for size in sizes:
            folder = Path(name, f"grown{size}")
            records = grow(Path(name, "real"), folder, size)
            taken = tuneoff("report", str(folder))
            print(f"{records} records: {taken:.1f} s, {1000 * taken / records:.1f} ms each", flush=True)


if __name__ == "__main__":
    main()
