"""Write into a study's output folder."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from tuneoff.errors import DamagedError, StoreError, writing
from tuneoff.results.baseline import BaselineRecord
from tuneoff.results.contents import Contents, Excluded, contents
from tuneoff.results.examples import TaskExamples, dump_examples
from tuneoff.results.format import dump_json, file_checksum
from tuneoff.results.identity import Inputs
from tuneoff.results.layout import RunFolder, SearchFolder, StudyFolder
from tuneoff.results.predictions import Prediction, write_predictions
from tuneoff.results.reader import folder_study, read_study
from tuneoff.results.record import RunRecord
from tuneoff.results.search import SearchResult
from tuneoff.spec import RunSpec, Shard, StudySpec

_LONGEST_START = 600.0
"""Seconds that a shard waits for others to start."""


class RunStore:
    """An output folder, locked so that one process at a time writes into it, or one for each shard.

    A run has ended when its record exists: the record is written last, by atomic rename. A process that does
    a shard holds the lock of that shard, and until `admit_others` that of the folder: so shards start one
    after another, and each finds what all have in common as the first one has written it.
    """

    def __init__(self, folder: Path, study: StudySpec, inputs: Inputs, shard: Shard | None = None) -> None:
        self.folder, self.shard = folder, shard
        self._layout = StudyFolder(folder)
        self._study = study
        self._inputs = inputs
        self._lock = FileLock(self._layout.lock)
        self._shard_lock = None if shard is None else FileLock(self._layout.shard_lock(shard))
        self.moved: tuple[Excluded, ...] = ()
        """Damaged results that were in the folder when it was locked, and are now in `damaged/`."""

    def __enter__(self) -> Self:
        """Lock the folder, and move damaged results to `damaged/`.

        Raises:
            StoreError: it holds another study, results of another model or other data, or results of a newer
                version; or it is in use, or cannot be written. Nothing in it has been changed then.
        """
        with writing(self.folder):
            self._layout.runs.mkdir(parents=True, exist_ok=True)
            # other shards hold it as long as they start
            _acquire(self._lock, self._in_use(), seconds=0 if self.shard is None else _LONGEST_START)
        try:
            self._check_shards()
            self._check_study()
            found = contents(self.folder, self._study, self._inputs, weights=True)
            self._check_inputs(found)
            self._move_aside(found.damaged)
            write_atomically(self._layout.study, folder_study(self._study, self._inputs))
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._release()

    def admit_others(self) -> None:
        """Let other shards of the study start: what all have in common has been written."""
        if self._shard_lock is not None:
            self._lock.release()

    def _release(self) -> None:
        self._lock.release()
        if self._shard_lock is not None:
            self._shard_lock.release()

    def _in_use(self) -> str:
        return (
            f"an output folder is written by one process at a time, but '{self.folder}' is in use; "
            "wait for the other run, or give another --out"
        )

    def _check_shards(self) -> None:
        """Refuse work that others are doing: all, a shard while all is done, or shards of another number.

        Raises:
            StoreError: they are at work.
        """
        own = None if self.shard is None else self._layout.shard_lock(self.shard)
        if self._shard_lock is not None:
            _acquire(self._shard_lock, f"shard {self.shard} of '{self.folder}' is being done already")
        held = [path for path in self._layout.shard_locks() if path != own and _is_held(path)]
        if not held:
            return
        if self.shard is None:
            raise StoreError(self._in_use())
        others = [path for path in held if not path.name.endswith(f"-of-{self.shard.count}")]
        if others:
            count = others[0].name.rpartition("-")[2]
            raise StoreError(
                f"shards of one folder must be of one number, but shards of {count} are being done in "
                f"'{self.folder}'; wait for them, or give --shard N/{count}"
            )
        if self._layout.study.is_file():
            written = self._layout.study.read_text(encoding="utf-8")
            if written != folder_study(self._study, self._inputs):
                raise StoreError(
                    f"all shards of '{self.folder}' must do the same study, but others do one with other "
                    "settings, another model or other data; wait for them, or give another --out"
                )

    def contents(self) -> Contents:
        """Return which results of the study the folder holds."""
        return contents(self.folder, self._study, self._inputs)

    def _check_study(self) -> None:
        """Refuse a folder of another study; a damaged study.yaml is written again."""
        if not self._layout.study.exists():
            return
        try:
            name = read_study(self.folder).name
        except DamagedError:
            return
        if name != self._study.name:
            raise StoreError(
                f"an output folder holds one study, but '{self.folder}' holds '{name}', not "
                f"'{self._study.name}'; give another --out"
            )

    def _check_inputs(self, found: Contents) -> None:
        """Refuse a folder whose results could not be compared with new ones."""
        if found.newer:
            raise StoreError(found.newer[0].reason)
        if found.other_inputs:
            path, reason = found.other_inputs[0]
            raise StoreError(
                "all results in a folder must be of one model and the same data, but "
                f"{path} is not: {reason}; give another --out, or restore the original model and data"
            )

    def _move_aside(self, damaged: tuple[Excluded, ...]) -> None:
        """Move damaged results out of the way, without deleting them."""
        self.moved = damaged
        for one in damaged:
            occupied, place = self._layout.set_aside(one.path)
            with writing(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                occupied.rename(place)

    def run_folder(self, run_id: str) -> RunFolder:
        """Return the folder of a run."""
        return self._layout.run(run_id)

    def write(self, record: RunRecord) -> None:
        """Write the record of a run, which ends the run.

        Raises:
            StoreError: the record cannot be written (an older one then stays), or the model's files were
                changed while the study ran.
        """
        if record.model and not record.model.is_same(self._inputs.model):
            raise StoreError(
                f"all runs of a study must be of one model, but '{record.model.id}' was changed while it "
                f"ran, before {record.run_id}; restore the original model and run the study again"
            )
        write_atomically(self.run_folder(record.run_id).record, dump_json(record))

    def search_folder(self, search_id: str) -> SearchFolder:
        """Return the folder of a search."""
        return self._layout.search(search_id)

    def write_search(self, result: SearchResult) -> SearchResult:
        """Write the result of a search, and return it with what identifies its model and data.

        Raises:
            StoreError: the result cannot be written.
        """
        digests = self._inputs.digests_of(*result.tasks)
        inputs = {"model": self._inputs.model, "digests": digests}
        result = result.model_copy(update=inputs)
        write_atomically(self.search_folder(result.search_id).result, dump_json(result))
        return result

    def write_baseline(self, record: BaselineRecord, predictions: Sequence[Prediction]) -> None:
        """Write a baseline: its predictions first, its record last.

        Raises:
            StoreError: it cannot be written.
        """
        files = self._layout.baseline(record.task_name, record.train_size, record.name)
        with writing(files.record):
            files.record.parent.mkdir(parents=True, exist_ok=True)
        write_predictions(files.predictions, predictions)
        checksums = {files.predictions.name: file_checksum(files.predictions)}
        write_atomically(files.record, dump_json(record.model_copy(update={"files": checksums})))

    def write_examples(self, task_name: str, examples: TaskExamples) -> None:
        """Write the test examples of a task, unless the folder holds the same already.

        Raises:
            StoreError: they cannot be written.
        """
        path = self._layout.examples(task_name)
        content = dump_examples(examples)
        with writing(path):
            if path.is_file() and path.read_bytes() == content:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)

    def begun(self, runs: Iterable[RunSpec]) -> list[RunSpec]:
        """Return the runs that were begun and did not end: they have a folder but no record."""
        folders = ((run, self.run_folder(run.run_id)) for run in runs)
        return [run for run, folder in folders if folder.path.is_dir() and not folder.record.exists()]


def _acquire(lock: FileLock, refusal: str, *, seconds: float = 0) -> None:
    """Take a lock, waiting for it for some time.

    Raises:
        StoreError: another process has it.
    """
    try:
        lock.acquire(timeout=seconds)
    except Timeout as error:
        raise StoreError(refusal) from error


def _is_held(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def fresh_folder(folder: Path) -> Path:
    """Make a folder, or empty it if it exists, and return it; a run's checkpoint stays.

    Raises:
        StoreError: it cannot be written.
    """
    with writing(folder):
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path == RunFolder(folder).checkpoint:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    return folder


def write_atomically(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Write a file, text as UTF-8, so that a crash leaves the old content or the new, never a part of it.

    If it need not be `durable`, a crash of the machine may leave neither; that spares the wait for the disk.

    Raises:
        StoreError: the file cannot be written.
    """
    with writing(path), replacing(path, durable=durable) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Replace a file, at the end of this context, by the one that is written to the yielded path.

    Raises:
        OSError: that cannot be done; the old file then stays alone.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)  # what is written must not go where a link leads
    try:
        yield temporary
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())  # or the rename could reach the disk before the content
        temporary.replace(path)
    except Exception:
        temporary.unlink(missing_ok=True)
        raise
