"""Measure the time and memory of reports, the memory of a worker, and how long a run takes to start.

    python benchmarks/growth.py report [RECORDS ...] [--tasks N]
    python benchmarks/growth.py memory [RUNS]
    python benchmarks/growth.py start [REPEATS]
    python benchmarks/growth.py shell [REPEATS]

For reports, one real run of each method on each task (which all have the same rows) with a random model is
done; its record, curve and predictions are then copied under as many seeds as needed. For memory, one
process does short runs of all methods, and its resident memory is read after them. `start` is everything
before a run's first step, in a process that has done such a run before, with a model of flan-t5-small's
geometry; `shell` is everything between calling `tuneoff run quickstart` and the end of its first evaluation
and its first step.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from lengths import write_model
from tuneoff.results import RunRecord, StudyFolder, read_inputs, read_records
from tuneoff.results.format import dump_json
from tuneoff.results.reader import folder_study
from tuneoff.results.store import fresh_folder
from tuneoff.spec import RunSpec, StudySpec, dump_study, expand
from tuneoff.training import train_run

REVIEWS = {
    "kind": "classification",
    "source": {"builtin": "reviews"},
    "prompt": "{text}",
    "target": "label",
    "labels": {"0": "negative", "1": "positive"},
    "max_source_length": 32,
    "max_eval_samples": 50,
    "max_predict_samples": 200,
}
STUDY = {
    "name": "growth",
    "model": {"id": "builtin:random"},
    "tasks": {"reviews": REVIEWS},
    "methods": {
        "zero_shot": {"kind": "none"},
        "full": {"kind": "full"},
        "lora": {"kind": "lora"},
        "prefix": {"kind": "prefix"},
        "prompt": {"kind": "prompt"},
    },
    "training": {"max_steps": 20, "eval_steps": 5, "logging_steps": 2, "per_device_train_batch_size": 4},
}


def a_study(seeds: int, *, tasks: int = 1) -> StudySpec:
    """Return the study with so many seeds and tasks."""
    named = {f"reviews{number or ''}": REVIEWS for number in range(tasks)}
    return StudySpec.model_validate_json(json.dumps(STUDY | {"seeds": list(range(seeds)), "tasks": named}))


def tuneoff(*arguments: str) -> str:
    """Return the seconds that a command takes, and the most memory of its process."""
    started = time.perf_counter()
    command = [str(Path(sys.executable).with_name("tuneoff")), *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # 1: not all of its runs are there
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
    return f"{time.perf_counter() - started:.1f} s, {usage.ru_maxrss / 2**10:.0f} MiB"


def grow(real: Path, folder: Path, records: int, *, tasks: int) -> int:
    """Write a study with about so many records, and return how many."""
    study = a_study(records // 4 // tasks, tasks=tasks)
    patterns = {(record.spec.task_name, record.spec.method_name): record for record in read_records(real)}
    inputs = read_inputs(real)
    assert inputs is not None
    place = StudyFolder(folder)
    place.runs.mkdir(parents=True)
    place.study.write_text(folder_study(study, inputs), encoding="utf-8")
    for part in ("baselines", "examples"):
        shutil.copytree(real / part, folder / part)
    runs = expand(study)
    for run in runs:
        record = patterns[run.task_name, run.method_name]
        source, target = StudyFolder(real).run(record.run_id), place.run(run.run_id)
        shutil.copytree(source.path, target.path, ignore=shutil.ignore_patterns(source.adapter.name))
        files = {name: one for name, one in record.files.items() if (target.path / name).exists()}
        changes = {"run_id": run.run_id, "spec": run, "files": files}
        target.record.write_text(dump_json(record.model_copy(update=changes)), encoding="utf-8")
    return len(runs)


def report(sizes: list[int], *, tasks: int) -> None:
    """Print what `status` and `report` take for each number of records, of so many tasks."""
    with tempfile.TemporaryDirectory() as name:
        study = Path(name, "study.yaml")
        study.write_text(dump_study(a_study(1, tasks=tasks)), encoding="utf-8")
        tuneoff("run", str(study), "--out", f"{name}/real")
        for number, size in enumerate(sizes):
            folder = Path(name, f"grown{number}")
            records = grow(Path(name, "real"), folder, size, tasks=tasks)
            for command in ("status", "report"):
                print(f"{records} records, {command}: {tuneoff(command, str(folder))}", flush=True)
            sizes_of(folder)


def sizes_of(folder: Path) -> None:
    """Print the bytes of an output folder, and of what a report has written there."""
    files = [one for one in folder.rglob("*") if one.is_file()]
    parts = {"pages of runs": "runs-*.html", "plots": "plots/*"}
    parts |= {one.name: one.name for one in folder.glob("report/*.*") if not one.match("runs-*.html")}
    written = ", ".join(
        f"{part} {_mebibytes(folder.glob(f'report/{names}')):.1f}" for part, names in parts.items()
    )
    print(f"  {len(files)} files of {_mebibytes(files):.0f} MiB; in MiB: {written}", flush=True)


def _mebibytes(files: Iterable[Path]) -> float:
    return sum(one.stat().st_size for one in files) / 2**20


def memory(runs: int) -> None:
    """Print the resident memory of this process after every tenth of its runs."""
    process = psutil.Process()
    specs = [spec for spec in expand(a_study(runs // 4 + 1)) if spec.method_name != "zero_shot"]
    with tempfile.TemporaryDirectory() as name:
        for count, spec in enumerate(specs[:runs], start=1):
            short_run(spec, Path(name, "run"))
            if count % max(1, runs // 10) == 0:
                print(f"{count} runs: {process.memory_info().rss / 2**20:.0f} MiB", flush=True)


def start(repeats: int) -> None:
    """Print the seconds before the first step of each method, medians of so many warm runs."""
    with tempfile.TemporaryDirectory() as name:
        write_model(Path(name, "model"))
        # the model's vocabulary knows no other words
        task = REVIEWS | {"labels": {"0": "w10", "1": "w11"}}
        changes = {"model": {"id": str(Path(name, "model"))}, "tasks": {"reviews": task}}
        for spec in expand(StudySpec.model_validate_json(json.dumps(STUDY | changes))):
            records = [short_run(spec, Path(name, "run")) for _ in range(repeats + 1)]
            taken = [record.timings.setup for record in records[1:] if record.timings]
            spread = f"{min(taken):.2f} to {max(taken):.2f}"
            print(f"{spec.method_name}: {statistics.median(taken):.2f} s ({spread})", flush=True)


def shell(repeats: int) -> None:
    """Print the seconds from calling `tuneoff run quickstart` to its first evaluation and its first step."""
    command = [str(Path(sys.executable).with_name("tuneoff")), "run", "quickstart"]
    times = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as name:
            started = time.perf_counter()
            out = ["--out", f"{name}/out", "--set", "training.logging_steps=1"]
            with subprocess.Popen([*command, *out], stdout=subprocess.DEVNULL) as process:
                times.append([_awaited(Path(name), found) - started for found in ('"scores"', '"loss"')])
                process.terminate()
    for what, taken in zip(("evaluation", "step"), zip(*times, strict=True), strict=True):
        spread = f"{min(taken):.2f} to {max(taken):.2f}"
        print(f"until after the first {what}: {statistics.median(taken):.2f} s ({spread})", flush=True)


def _awaited(folder: Path, text: str) -> float:
    """Return when a curve below the folder has this text."""
    while not any(text in path.read_text(encoding="utf-8") for path in folder.glob("out/runs/*/curve.jsonl")):
        time.sleep(0.01)
    return time.perf_counter()


def short_run(spec: RunSpec, folder: Path) -> RunRecord:
    """Return the record of a run of three steps.

    Raises:
        SystemExit: it failed.
    """
    short = spec.training.model_copy(update={"max_steps": 3})
    record = train_run(spec.model_copy(update={"training": short}), fresh_folder(folder))
    if record.state != "complete":
        raise SystemExit(f"{spec.run_id} is {record.state}: {record.failure}")
    return record


def main() -> None:
    """Do what the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    reports = kinds.add_parser("report")
    reports.add_argument("records", nargs="*", type=int, default=[100, 1000, 10000])
    reports.add_argument("--tasks", type=int, default=1)
    kinds.add_parser("memory").add_argument("runs", nargs="?", type=int, default=200)
    for command in ("start", "shell"):
        kinds.add_parser(command).add_argument("repeats", nargs="?", type=int, default=5)
    options = parser.parse_args()
    if options.kind == "report":
        report(options.records, tasks=options.tasks)
    elif options.kind == "memory":
        memory(options.runs)
    elif options.kind == "start":
        start(options.repeats)
    else:
        shell(options.repeats)


if __name__ == "__main__":
    main()
