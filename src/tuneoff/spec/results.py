"""The output folder of a study: where things are, and how they are read back.

DIR/study.yaml                 the resolved study
DIR/runs/<run_id>/record.json  written last: a run without it has not ended
                  curve.jsonl  predictions.parquet  adapter/
                  health.json  what the report found about the run
DIR/search/<search_id>/        result.json, written last; journal.log, and a folder for each trial
DIR/baselines/<task>.n<size>/  <name>.json, written last, and <name>.parquet as predictions
DIR/report/                    made from the above
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tuneoff.errors import StoreError
from tuneoff.spec.baseline import BaselineRecord
from tuneoff.spec.load import load_study
from tuneoff.spec.record import CurvePoint, RunRecord
from tuneoff.spec.run import S
from tuneoff.spec.search import SearchResult
from tuneoff.spec.study import StudySpec, TrainSize

STUDY_FILE = "study.yaml"
RUNS = "runs"
SEARCH = "search"
BASELINES = "baselines"
REPORT = "report"
RESULT_FILE = "result.json"
JOURNAL_FILE = "journal.log"
RECORD_FILE = "record.json"
CURVE_FILE = "curve.jsonl"
HEALTH_FILE = "health.json"
PREDICTIONS_FILE = "predictions.parquet"
ADAPTER = "adapter"
_POINTS = TypeAdapter(tuple[CurvePoint, ...])


def read_study(folder: Path) -> StudySpec:
    """The resolved study of an output folder.

    Raises:
        StoreError: the folder holds no study.
    """
    path = folder / STUDY_FILE
    if not path.is_file():
        raise StoreError(
            f"an output folder holds {STUDY_FILE}, but '{folder}' does not; give the --out of a run"
        )
    return load_study(str(path))


def read_records(folder: Path) -> tuple[RunRecord, ...]:
    """The records of all runs that have ended, in the order of their ids.

    Raises:
        StoreError: a record is damaged.
    """
    return tuple(_parsed(RunRecord, path) for path in sorted((folder / RUNS).glob(f"*/{RECORD_FILE}")))


def read_searches(folder: Path) -> tuple[SearchResult, ...]:
    """The results of all searches that have ended, in the order of their ids.

    Raises:
        StoreError: a result is damaged.
    """
    return tuple(_parsed(SearchResult, path) for path in sorted((folder / SEARCH).glob(f"*/{RESULT_FILE}")))


def read_baselines(folder: Path) -> tuple[BaselineRecord, ...]:
    """The records of all baselines, by task, train size and name.

    Raises:
        StoreError: a record is damaged.
    """
    return tuple(_parsed(BaselineRecord, path) for path in sorted((folder / BASELINES).glob("*/*.json")))


def baseline_stem(task_name: str, train_size: TrainSize, name: str) -> str:
    """Where a baseline's files are in the output folder, without their endings."""
    return f"{BASELINES}/{task_name}.n{train_size}/{name}"


def read_curve(folder: Path, run_id: str) -> tuple[CurvePoint, ...]:
    """The logged and evaluated steps of a run; none for a run that logged nothing.

    Raises:
        StoreError: the curve is damaged.
    """
    path = folder / RUNS / run_id / CURVE_FILE
    if not path.is_file():
        return ()
    with reading(path):
        lines = path.read_text(encoding="utf-8").splitlines()
        return _POINTS.validate_json(f"[{','.join(lines)}]")


def _parsed(kind: type[S], path: Path) -> S:
    with reading(path):
        return kind.model_validate_json(path.read_text(encoding="utf-8"))


@contextmanager
def reading(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """A context in which unreadable content of a file, or one of the errors, becomes a `StoreError`."""
    unreadable: tuple[type[Exception], ...] = (ValidationError, UnicodeDecodeError, OSError, *errors)
    try:
        yield
    except unreadable as error:
        raise StoreError(
            f"what a study has left must be readable, but {path} is not ({type(error).__name__}); "
            "delete the folder it is in, and run the study again"
        ) from error
