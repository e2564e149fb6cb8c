"""The files of an output folder: where things are, and how they are read back.

DIR/study.yaml                 format number, identity of model and data, and the resolved study
DIR/runs/<run_id>/record.json  written last: a run without it has not ended
                  curve.jsonl  predictions.parquet  adapter/
DIR/search/<search_id>/        result.json, written last; trials.jsonl, and a folder for each trial
DIR/baselines/<task>.n<size>/  <name>.json, written last, and <name>.parquet as predictions
DIR/damaged/                   runs whose files were not as they had been written; they were done again
DIR/report/                    made from the above; health.json has the findings about each run

The JSON files carry the number of their format and a checksum of their content, and records the SHA-256 of
what their runs left. `tuneoff.spec.folder` decides which of the results count.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tuneoff.errors import DamagedError, NewerFormatError, StoreError, StudyError, shown
from tuneoff.spec.baseline import BaselineRecord
from tuneoff.spec.identity import Inputs
from tuneoff.spec.load import FORMAT, dump_study, load_study, parse_yaml
from tuneoff.spec.record import CurvePoint, FileSeal, RunRecord
from tuneoff.spec.run import S, digest_of
from tuneoff.spec.search import SearchResult
from tuneoff.spec.study import Spec, StudySpec, TrainSize

STUDY_FILE = "study.yaml"
RUNS = "runs"
SEARCH = "search"
BASELINES = "baselines"
DAMAGED = "damaged"
REPORT = "report"
RESULT_FILE = "result.json"
TRIALS_FILE = "trials.jsonl"
"""A line for each trial of a search that has ended."""
RECORD_FILE = "record.json"
CURVE_FILE = "curve.jsonl"
HEALTH_FILE = "health.json"
PREDICTIONS_FILE = "predictions.parquet"
ADAPTER = "adapter"
SCORE_COLUMNS = {"eval_accuracy": "correct"}
"""Columns of predictions whose mean is a run's score; one that is not listed has the score's name."""
_POINTS = TypeAdapter(tuple[CurvePoint, ...])
_CHECKSUMMED = 2
"""The first format whose files carry a checksum."""


def folder_study(study: StudySpec, inputs: Inputs) -> str:
    """Return the text of an output folder's study.yaml."""
    head = {"format": FORMAT, "inputs": inputs.model_dump(mode="json")}
    return dump_study(study, head=head)


def read_study(folder: Path) -> StudySpec:
    """Return the resolved study of an output folder.

    Raises:
        StoreError: the folder holds no study.
        DamagedError: the file cannot be read as one.
        NewerFormatError: it was written by a newer version.
    """
    path = _study_file(folder)
    try:
        return load_study(str(path))
    except StudyError as error:
        raise DamagedError(
            f"{path} is damaged; `tuneoff run` with the study's own file writes it anew: {error}"
        ) from error


def read_inputs(folder: Path) -> Inputs | None:
    """Return what an output folder's runs are made from; None in a folder of an older version.

    Raises:
        StoreError: the folder holds no study.
        DamagedError: the study's file does not say it rightly.
    """
    path = _study_file(folder)
    with reading(path, ValueError):
        data = parse_yaml(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or not {"format", "inputs"} & data.keys():
            return None
        if "inputs" not in data:
            raise ValueError("it does not say which model and data it is of; `tuneoff run` writes it anew")
        return Inputs.model_validate_json(json.dumps(data["inputs"]))


def _study_file(folder: Path) -> Path:
    path = folder / STUDY_FILE
    if not path.is_file():
        raise StoreError(
            f"an output folder holds {STUDY_FILE}, but '{folder}' does not; give the --out of a run"
        )
    return path


def read_records(folder: Path) -> tuple[RunRecord, ...]:
    """Return the records of all runs that have ended, in the order of their ids.

    Raises:
        DamagedError: a record is damaged.
        NewerFormatError: a record was written by a newer version.
    """
    return tuple(read_json(RunRecord, path)[0] for path in record_files(folder))


def read_searches(folder: Path) -> tuple[SearchResult, ...]:
    """Return the results of all searches that have ended, in the order of their ids.

    Raises:
        DamagedError: a result is damaged.
        NewerFormatError: a result was written by a newer version.
    """
    return tuple(read_json(SearchResult, path)[0] for path in search_files(folder))


def read_baselines(folder: Path) -> tuple[BaselineRecord, ...]:
    """Return the records of all baselines, by task, train size and name.

    Raises:
        DamagedError: a record is damaged.
        NewerFormatError: a record was written by a newer version.
    """
    return tuple(read_json(BaselineRecord, path)[0] for path in baseline_files(folder))


def record_files(folder: Path) -> list[Path]:
    """Return the records of all runs that have ended."""
    return sorted((folder / RUNS).glob(f"*/{RECORD_FILE}"))


def search_files(folder: Path) -> list[Path]:
    """Return the results of all searches that have ended."""
    return sorted((folder / SEARCH).glob(f"*/{RESULT_FILE}"))


def baseline_files(folder: Path) -> list[Path]:
    """Return the records of all baselines."""
    return sorted((folder / BASELINES).glob("*/*.json"))


def baseline_stem(task_name: str, train_size: TrainSize, name: str) -> str:
    """Where a baseline's files are in the output folder, without their endings."""
    return f"{BASELINES}/{task_name}.n{train_size}/{name}"


def read_curve(folder: Path, run_id: str) -> tuple[CurvePoint, ...]:
    """The logged and evaluated steps of a run; none for a run that logged nothing.

    Raises:
        DamagedError: the curve is damaged.
    """
    path = folder / RUNS / run_id / CURVE_FILE
    if not path.is_file():
        return ()
    with reading(path):
        lines = path.read_text(encoding="utf-8").splitlines()
        return _POINTS.validate_json(f"[{','.join(lines)}]")


def sealed_json(spec: Spec) -> str:
    """Return a spec as the text of a JSON file, with the number of the format and a checksum."""
    content = {"format": FORMAT, **spec.model_dump(mode="json")}
    return json.dumps(content | {"checksum": digest_of(content)}, indent=2, ensure_ascii=False) + "\n"


def read_json(kind: type[S], path: Path) -> tuple[S, tuple[str, ...]]:
    """Return what a JSON file holds, and the fields of it that this version does not know and leaves out.

    Raises:
        DamagedError: the file is not as it was written.
        NewerFormatError: it was written by a newer version.
    """
    with reading(path, ValueError, RecursionError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        number = content.get("format", 1)
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ValueError(f"format is {shown(number)}")
        if number > FORMAT:
            raise NewerFormatError(
                f"{path} was written by a newer version of tuneoff (format {number}, this one reads up to "
                f"{FORMAT}); upgrade tuneoff, or give another --out"
            )
        checksum = content.pop("checksum", None)
        if checksum != (digest_of(content) if number >= _CHECKSUMMED else None):
            raise ValueError("it was changed after it was written")
        content.pop("format", None)
        return _known_fields(kind, content)


def _known_fields(kind: type[S], content: dict[str, Any]) -> tuple[S, tuple[str, ...]]:
    """Return the spec and the dotted names of fields that it does not have.

    Raises:
        pydantic.ValidationError: anything else is wrong with it.
    """
    try:
        return kind.model_validate_json(json.dumps(content)), ()
    except ValidationError as error:
        unknown = [detail["loc"] for detail in error.errors() if detail["type"] == "extra_forbidden"]
        if not unknown or len(unknown) < error.error_count():
            raise
    for *parents, name in unknown:
        place: Any = content
        for step in parents:
            # pydantic puts the tags of unions among the steps
            inside = isinstance(step, int) or step in place
            place = place[step] if inside else place
        place.pop(name)
    return kind.model_validate_json(json.dumps(content)), tuple(".".join(map(str, one)) for one in unknown)


def seal(path: Path) -> FileSeal:
    """Return size and SHA-256 of a file."""
    with path.open("rb") as file:
        return FileSeal(bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def seals(folder: Path) -> dict[str, FileSeal]:
    """Return the seals of all files in a run's folder, by relative path."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): seal(path) for path in paths}


@contextmanager
def reading(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """A context in which unreadable content of a file, or one of the errors, becomes a `DamagedError`."""
    unreadable: tuple[type[Exception], ...] = (ValidationError, UnicodeDecodeError, OSError, *errors)
    try:
        yield
    except unreadable as error:
        raise DamagedError(f"{path} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    match error:
        case ValidationError():
            first = error.errors()[0]
            return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        case OSError(strerror=str(text)):
            return text
        case _:
            return str(error).partition("\n")[0] or type(error).__name__
