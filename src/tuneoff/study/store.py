"""The writing side of a study's output folder (`tuneoff.spec.results` reads it)."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet
from filelock import FileLock, Timeout

from tuneoff.errors import StoreError, writing
from tuneoff.spec import (
    FINISHED,
    BaselineRecord,
    RunRecord,
    RunSpec,
    SearchResult,
    StudySpec,
    dump_study,
    read_records,
    read_study,
)
from tuneoff.spec.results import RECORD_FILE, RESULT_FILE, RUNS, SEARCH, STUDY_FILE, baseline_stem


class RunStore:
    """An output folder, held by one process at a time.

    A run has ended when its record is there; the record is written last, by atomic rename.
    """

    def __init__(self, folder: Path, study: StudySpec) -> None:
        self.folder = folder
        self._study = study
        self._lock = FileLock(folder / ".lock")

    def __enter__(self) -> Self:
        """Takes the folder.

        Raises:
            StoreError: it holds another study, is in use, or cannot be written.
        """
        with writing(self.folder):
            (self.folder / RUNS).mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise StoreError(
                    f"an output folder is written by one process at a time, but '{self.folder}' is in use; "
                    "wait for the other run, or give another --out"
                ) from error
        try:
            self._check_study()
            write_atomically(self.folder / STUDY_FILE, dump_study(self._study))
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def _check_study(self) -> None:
        if not (self.folder / STUDY_FILE).exists():
            return
        name = read_study(self.folder).name
        if name != self._study.name:
            raise StoreError(
                f"an output folder holds one study, but '{self.folder}' holds '{name}', not "
                f"'{self._study.name}'; give another --out"
            )

    def check_data(self, digests: Mapping[str, Mapping[str, str]]) -> None:
        """Compares each task's data with that of the runs that are done.

        Raises:
            StoreError: a task's data has changed, so that new runs could not be compared with old ones.
        """
        for record in read_records(self.folder):
            task = record.spec.task_name
            if (
                record.data
                and record.spec.task == self._study.tasks.get(task)
                and record.data.digests != digests[task]
            ):
                raise StoreError(
                    f"all runs of a folder use the same data, but that of task '{task}' has changed since "
                    f"{record.run_id}; give another --out, or bring the data back"
                )

    def pending(self, runs: Iterable[RunSpec]) -> tuple[RunSpec, ...]:
        """The runs that have no finished record."""
        finished = {record.run_id for record in read_records(self.folder) if record.state in FINISHED}
        return tuple(run for run in runs if run.run_id not in finished)

    def run_folder(self, run_id: str) -> Path:
        """Where a run leaves what it makes."""
        return self.folder / RUNS / run_id

    def write(self, record: RunRecord) -> None:
        """Ends a run.

        Raises:
            StoreError: the record cannot be written; an older one is untouched.
        """
        write_atomically(
            self.run_folder(record.run_id) / RECORD_FILE, record.model_dump_json(indent=2) + "\n"
        )

    def search_folder(self, search_id: str) -> Path:
        """Where a search leaves what it makes."""
        return self.folder / SEARCH / search_id

    def write_search(self, result: SearchResult) -> None:
        """Ends a search.

        Raises:
            StoreError: the result cannot be written.
        """
        path = self.search_folder(result.search_id) / RESULT_FILE
        write_atomically(path, result.model_dump_json(indent=2) + "\n")

    def write_baseline(self, record: BaselineRecord, table: list[dict[str, object]]) -> None:
        """Keeps a baseline: its answers first, its record last.

        Raises:
            StoreError: it cannot be written.
        """
        stem = self.folder / baseline_stem(record.task_name, record.train_size, record.name)
        with writing(stem):
            stem.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(pa.Table.from_pylist(table), stem.with_name(f"{stem.name}.parquet"))
        write_atomically(stem.with_name(f"{stem.name}.json"), record.model_dump_json(indent=2) + "\n")

    def begun(self, runs: Iterable[RunSpec]) -> list[RunSpec]:
        """The runs that have a folder but no record: they were begun and did not end."""
        folders = ((run, self.run_folder(run.run_id)) for run in runs)
        return [run for run, folder in folders if folder.is_dir() and not (folder / RECORD_FILE).exists()]


def fresh_folder(folder: Path) -> Path:
    """The folder, made empty.

    Raises:
        StoreError: it cannot be written.
    """
    with writing(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    return folder


def write_atomically(path: Path, text: str) -> None:
    """Writes a file so that a crash leaves the old content or the new, never a part.

    Raises:
        StoreError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    with writing(path):
        try:
            with temporary.open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
