"""Read an output folder: its study, and all results of one kind.

Which of the results count for the study is decided by `tuneoff.results.contents`.
"""

import json
from pathlib import Path

from tuneoff.errors import DamagedError, StoreError, StudyError, near_names, shown
from tuneoff.results.baseline import BaselineRecord
from tuneoff.results.format import damaged_if_unreadable, read_json
from tuneoff.results.identity import Inputs
from tuneoff.results.layout import RunFolder, StudyFolder
from tuneoff.results.record import RunRecord
from tuneoff.results.search import SearchResult
from tuneoff.spec import StudySpec, load_study
from tuneoff.spec.load import FORMAT, dump_study
from tuneoff.spec.yaml import parse_yaml


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
            f"{path} is damaged; `tuneoff run` with the study's own file writes it again: {error}"
        ) from error


def read_inputs(folder: Path) -> Inputs | None:
    """Return what an output folder's runs are made from; None in a folder of an older version.

    Raises:
        StoreError: the folder holds no study.
        DamagedError: that part of study.yaml is damaged.
    """
    path = _study_file(folder)
    with damaged_if_unreadable(path, ValueError):
        data = parse_yaml(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or not {"format", "inputs"} & data.keys():
            return None
        if "inputs" not in data:
            raise ValueError(
                "it does not name its model and data; `tuneoff run` with the study's own file writes it again"
            )
        return Inputs.model_validate_json(json.dumps(data["inputs"]))


def _study_file(folder: Path) -> Path:
    path = StudyFolder(folder).study
    if not path.is_file():
        raise StoreError(
            f"'{folder}' is not an output folder of tuneoff: {path.name} is missing; give the --out of a run"
        )
    return path


def find_run(run: Path) -> RunFolder:
    """Return the folder of a run that has ended, from its path or from that of its study followed by its id.

    Raises:
        StoreError: there is no such run.
    """
    study = StudyFolder(run.parent)
    for folder in (RunFolder(run), study.run(run.name)):
        if folder.record.is_file():
            return folder
    ids = [record.parent.name for record in study.records() or StudyFolder(run.parent.parent).records()]
    near = " or ".join(map(shown, near_names(run.name, ids)))
    raise StoreError(
        f"'{run}' is no run that has ended: it has no record.json; give a run's folder, or a study's output "
        f"folder followed by the id of a run{near and f'; did you mean {near}?'}"
    )


def read_records(folder: Path) -> tuple[RunRecord, ...]:
    """Return the records of all runs that have ended, in the order of their ids.

    Raises:
        DamagedError: a record is damaged.
        NewerFormatError: a record was written by a newer version.
    """
    return tuple(read_json(RunRecord, path)[0] for path in StudyFolder(folder).records())


def read_searches(folder: Path) -> tuple[SearchResult, ...]:
    """Return the results of all searches that have ended, in the order of their ids.

    Raises:
        DamagedError: a result is damaged.
        NewerFormatError: a result was written by a newer version.
    """
    return tuple(read_json(SearchResult, path)[0] for path in StudyFolder(folder).search_results())


def read_baselines(folder: Path) -> tuple[BaselineRecord, ...]:
    """Return the records of all baselines, by task, train size and name.

    Raises:
        DamagedError: a record is damaged.
        NewerFormatError: a record was written by a newer version.
    """
    return tuple(read_json(BaselineRecord, path)[0] for path in StudyFolder(folder).baseline_records())
