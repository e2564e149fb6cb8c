"""An output folder with inputs and answers made up by formula: labels and texts, some of them hostile."""

from pathlib import Path

import numpy as np
import pandas as pd

from helpers import fabricated as made
from tuneoff.results import BaselineRecord, RunRecord, StudyFolder, TaskExamples
from tuneoff.results.examples import dump_examples
from tuneoff.results.format import dump_json, file_checksum
from tuneoff.spec import StudySpec, expand

ACCURACIES = {"zero_shot": 0.6, "full": 0.85, "lora": 0.75, "prefix": 0.7, "prompt": 0.65, "direct": 0.68}
HOSTILE = (
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'>",
    "<!-- <script> {{ 7 * 7 }} ${1 + 1} &lt;b&gt; &amp;",
    "javascript:window.broken=1 \u2028 \u202e right to left \x1b[31m \x00",
    "'\"`\\ \\u003c long " + "x" * 5000,
)
WORDS = ("apple", "brook", "cloud", "dune", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll")


def a_study(
    tasks: tuple[str, ...] = ("sst2", "samsum"), methods: tuple[str, ...] = ("zero_shot", "full", "lora")
) -> StudySpec:
    known = {"sst2": made.SST2, "samsum": made.SAMSUM}
    kinds = made.METHODS | {"direct": {"kind": "prefix"}}
    return made.a_study(
        tasks={name: known[name] for name in tasks}, methods={name: kinds[name] for name in methods}
    )


def write_folder(folder: Path, study: StudySpec, rows: dict[str, int]) -> Path:
    """The folder of a study with so many test rows of each task."""
    made.write_folder(folder, study)
    for record in map(made.a_record, expand(study)):
        write_run(folder, record, answers(record, rows[record.spec.task_name]))
    for task, count in rows.items():
        write_examples(folder, study, task, count)
        write_baseline(folder, study, task, count)
    return folder


def inputs(count: int) -> list[str]:
    """Texts that differ; the first ones are hostile."""
    words = np.random.default_rng(1).choice(WORDS, (count, 12))
    texts = [f"{' '.join(row)} {number}" for number, row in enumerate(words)]
    return [*HOSTILE[:count], *texts[len(HOSTILE) :]]


def references(task: str, count: int) -> list[str]:
    if task == "sst2":
        return [str(row % 2) for row in range(count)]
    return [" ".join(text.split()[:4]) for text in inputs(count)]


def answers(record: RunRecord, count: int) -> pd.DataFrame:
    """What a run leaves: right as often as its method is, and on the easier rows."""
    spec = record.spec
    right = correct(
        ACCURACIES.get(spec.method_name, 0.72), count, seed=spec.seed + 10 * len(spec.method_name)
    )
    return a_table(spec.task_name, right, loss=np.where(right, 0.2, 1.2))


def correct(accuracy: float, count: int, *, seed: int) -> np.ndarray:
    difficulty = np.random.default_rng(99).random(count)
    return difficulty + np.random.default_rng(seed).normal(0, 0.15, count) < accuracy


def a_table(task: str, right: np.ndarray, **columns: np.ndarray) -> pd.DataFrame:
    count = len(right)
    table = pd.DataFrame({"row": np.arange(count), "reference": references(task, count)})
    if task == "sst2":
        other = 1 - table["reference"].astype(int)
        table["prediction"] = table["reference"].where(right, other.astype(str))
        return table.assign(**columns, correct=right.astype(float))
    wrong = pd.Series([f"{row} {HOSTILE[row % len(HOSTILE)]}" for row in range(count)])
    table["prediction"] = table["text"] = table["reference"].where(right, wrong)
    noise = np.random.default_rng(count + int(right.sum())).uniform(-0.1, 0.1, count)
    return table.assign(**columns, eval_rougeL=np.where(right, 0.9, 0.1) + noise)


def write_run(folder: Path, record: RunRecord, table: pd.DataFrame) -> None:
    place = folder / "runs" / record.run_id
    table.to_parquet(place / "predictions.parquet")
    metric = record.spec.task.main_metric
    assert record.data is not None
    changes = {
        "scores": record.scores | {metric: float(table.iloc[:, -1].mean())},
        "data": record.data.model_copy(
            update={"test": record.data.test.model_copy(update={"used": len(table)})}
        ),
        "files": {name: file_checksum(place / name) for name in ("curve.jsonl", "predictions.parquet")},
    }
    (place / "record.json").write_text(dump_json(record.model_copy(update=changes)), encoding="utf-8")


def write_examples(folder: Path, study: StudySpec, task: str, count: int) -> None:
    path = StudyFolder(folder).examples(task)
    path.parent.mkdir(exist_ok=True)
    examples = TaskExamples(
        rows=tuple(range(count)),
        inputs=tuple(inputs(count)),
        references=tuple(references(task, count)),
        digests=made.DIGESTS,
    )
    path.write_bytes(dump_examples(examples))


def write_baseline(folder: Path, study: StudySpec, task: str, count: int) -> None:
    files = StudyFolder(folder).baseline(task, "full", "simple")
    files.record.parent.mkdir(parents=True, exist_ok=True)
    table = a_table(task, correct(0.55, count, seed=5))
    table.to_parquet(files.predictions)
    record = BaselineRecord(
        task_name=task,
        name="simple",
        task=study.tasks[task],
        train_size="full",
        seed=study.seeds[0],
        scores={study.tasks[task].main_metric: float(table.iloc[:, -1].mean())},
        seconds=1.0,
        upper_bound=False,
        digests={},
        packages={},
        files={files.predictions.name: file_checksum(files.predictions)},
    )
    files.record.write_text(dump_json(record), encoding="utf-8")
