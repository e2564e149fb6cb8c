"""The layout of a study's output folder. Nothing else builds a path in one.

DIR/study.yaml                 format number, identity of model and data, and the resolved study
DIR/runs/<run_id>/record.json  written last: a run without it has not ended
                  curve.jsonl  predictions.parquet  cuts.parquet  forgetting.parquet  adapter/
                  checkpoint.safetensors, of a run that has not ended; error.log
                  (in a mixture the run of its first task has the adapter/ of all)
DIR/search/<search_id>/        result.json, written last; trials.jsonl, and trials/<number>.s<seed>/
DIR/baselines/<task>.n<size>/  <name>.json, written last, and <name>.parquet as predictions
DIR/examples/<task>.parquet    the test examples of a task: row, input, reference
DIR/pruned/<run_id>.keep<x>/   a run's method with its LoRA cut, as adapter/ of a run
DIR/tensorboard/               what runs have reported to TensorBoard, if the study asks for it
DIR/activity.json              what the study is doing; there while a process works on it
                               (activity.<n>.json: on a shard)
DIR/damaged/                   results whose files were damaged; they are computed again
DIR/report/                    made from the above: report.md, report.html, summary.csv, runs.csv,
                               decision.json, health.json, plots/
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuneoff.spec import Shard, TrainSize

_RECORD, _RESULT = "record.json", "result.json"
_RUNS, _SEARCHES, _BASELINES, _DAMAGED = "runs", "search", "baselines", "damaged"
_EXAMPLES, _PRUNED = "examples", "pruned"


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, or of a search's trial."""

    path: Path

    @property
    def record(self) -> Path:
        """The result of the run; written last."""
        return self.path / _RECORD

    @property
    def curve(self) -> Path:
        """A line per logged or evaluated step."""
        return self.path / "curve.jsonl"

    @property
    def predictions(self) -> Path:
        """A row per test example."""
        return self.path / "predictions.parquet"

    @property
    def cuts(self) -> Path:
        """A row per test example and share to which LoRA was cut."""
        return self.path / "cuts.parquet"

    @property
    def forgetting(self) -> Path:
        """A row per general text, where the study measures forgetting."""
        return self.path / "forgetting.parquet"

    @property
    def adapter(self) -> Path:
        """The folder of the tuned weights."""
        return self.path / "adapter"

    def sibling(self, run_id: str) -> "RunFolder":
        """Return the folder of another run of the study."""
        return RunFolder(self.path.with_name(run_id))

    @property
    def checkpoint(self) -> Path:
        """What a run under way goes on from if it is stopped; removed when it has ended."""
        return self.path / "checkpoint.safetensors"

    @property
    def error_log(self) -> Path:
        """The traceback of a run that failed."""
        return self.path / "error.log"


@dataclass(frozen=True)
class SearchFolder:
    """The folder of a search."""

    path: Path

    @property
    def result(self) -> Path:
        """The result with all trials; written when the search has ended."""
        return self.path / _RESULT

    @property
    def trials(self) -> Path:
        """A line for each trial that has ended."""
        return self.path / "trials.jsonl"

    def trial(self, number: int, seed: int) -> RunFolder:
        """Return the folder of a trial's run with one of the search's seeds."""
        return RunFolder(self.path / "trials" / f"{number}.s{seed}")


@dataclass(frozen=True)
class BaselineFiles:
    """The files of a baseline."""

    stem: Path

    @property
    def record(self) -> Path:
        """The result of the baseline; written last."""
        return self.stem.with_name(f"{self.stem.name}.json")

    @property
    def predictions(self) -> Path:
        """A row per test example."""
        return self.stem.with_name(f"{self.stem.name}.parquet")


@dataclass(frozen=True)
class ReportFolder:
    """The folder of a study's report."""

    path: Path

    @property
    def markdown(self) -> Path:
        """The report."""
        return self.path / "report.md"

    @property
    def html(self) -> Path:
        """The report as one page."""
        return self.path / "report.html"

    def runs_page(self, number: int) -> Path:
        """Return a page of runs, from 2 on: what `html` has no room for."""
        return self.path / f"runs-{number}.html"

    @property
    def summary(self) -> Path:
        """A row per task, method and train size."""
        return self.path / "summary.csv"

    @property
    def runs(self) -> Path:
        """A row per run."""
        return self.path / "runs.csv"

    @property
    def health(self) -> Path:
        """The findings about each run."""
        return self.path / "health.json"

    @property
    def decision(self) -> Path:
        """What to use on each task and train size, for programs."""
        return self.path / "decision.json"

    @property
    def plots(self) -> Path:
        """The folder of the figures."""
        return self.path / "plots"

    def figure(self, stem: str, ending: Literal["png", "svg"]) -> Path:
        """Return the path of a figure by its name and format."""
        return self.plots / f"{stem}.{ending}"


@dataclass(frozen=True)
class StudyFolder:
    """A study's output folder."""

    path: Path

    @property
    def study(self) -> Path:
        """The study with all defaults, and what identifies its model and data."""
        return self.path / "study.yaml"

    @property
    def lock(self) -> Path:
        """Held by the process that writes into the folder; by one that does a shard, while it starts."""
        return self.path / ".lock"

    def shard_lock(self, shard: Shard) -> Path:
        """Held by the process that does a shard of the study."""
        return self.path / f".lock.{shard.number}-of-{shard.count}"

    def shard_locks(self) -> list[Path]:
        """Return the locks of all shards that were ever done."""
        return sorted(self.path.glob(".lock.*-of-*"))

    @property
    def report_lock(self) -> Path:
        """Held by the process that replaces the report."""
        return self.path / ".report.lock"

    @property
    def tensorboard(self) -> Path:
        """Where runs report to TensorBoard."""
        return self.path / "tensorboard"

    def activity(self, shard: Shard | None = None) -> Path:
        """Return the file that says what a process does, as long as it works on the study or a shard."""
        return self.path / ("activity.json" if shard is None else f"activity.{shard.number}.json")

    def activities(self) -> list[Path]:
        """Return what is being done, by all processes that work on the study."""
        return sorted(self.path.glob("activity*.json"))

    @property
    def runs(self) -> Path:
        """The folder of all runs."""
        return self.path / _RUNS

    @property
    def report(self) -> ReportFolder:
        """The report."""
        return ReportFolder(self.path / "report")

    def run(self, run_id: str) -> RunFolder:
        """Return the folder of a run."""
        return RunFolder(self.runs / run_id)

    def search(self, search_id: str) -> SearchFolder:
        """Return the folder of a search."""
        return SearchFolder(self.path / _SEARCHES / search_id)

    def baseline(self, task_name: str, train_size: TrainSize, name: str) -> BaselineFiles:
        """Return the files of a baseline."""
        return BaselineFiles(self.path / _BASELINES / f"{task_name}.n{train_size}" / name)

    def examples(self, task_name: str) -> Path:
        """Return the file of a task's test examples."""
        return self.path / _EXAMPLES / f"{task_name}.parquet"

    def records(self) -> list[Path]:
        """Return the records of all runs that have ended."""
        return sorted(self.runs.glob(f"*/{_RECORD}"))

    def search_results(self) -> list[Path]:
        """Return the results of all searches that have ended."""
        return sorted((self.path / _SEARCHES).glob(f"*/{_RESULT}"))

    def baseline_records(self) -> list[Path]:
        """Return the records of all baselines."""
        return sorted((self.path / _BASELINES).glob("*/*.json"))

    def set_aside(self, result: Path) -> tuple[Path, Path]:
        """Return the path of a damaged result (for a run, its folder) and a free path in `damaged/`."""
        occupied = result.parent if result.name == _RECORD else result
        place = self.path / _DAMAGED / occupied.relative_to(self.path)
        while place.exists():
            place = place.with_name(f"{place.name}.again")
        return occupied, place


def pruned_folder(run: RunFolder, keep: float) -> Path:
    """Return where a run's method is saved with its LoRA cut to a share of its parameters."""
    return run.path.absolute().parent.parent / _PRUNED / f"{run.path.name}.keep{keep:g}"


def result_name(result: Path) -> str:
    """Return the name of a result by its file.

    The id of a run or search, a baseline's task, train size and name, or `examples/` and a task.
    """
    if result.name in (_RECORD, _RESULT):
        return result.parent.name
    return f"{result.parent.name}/{result.stem}"
