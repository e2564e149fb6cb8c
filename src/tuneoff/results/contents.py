"""Which results in an output folder count: the one rule of `run`, `status` and `report`.

A result belongs to a study if it is of one of its runs, if it was made from a model and data of the same
content as the study's, and if all its files are as they were written. Whatever else lies in the folder is
excluded, with a reason.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from tuneoff.errors import DamagedError, NewerFormatError
from tuneoff.results.baseline import BaselineRecord
from tuneoff.results.curve import read_curve
from tuneoff.results.format import FileChecksum, damaged_if_unreadable, file_checksum, read_json
from tuneoff.results.identity import Inputs, ModelIdentity, places_of
from tuneoff.results.layout import RunFolder, StudyFolder, result_name
from tuneoff.results.predictions import score_column
from tuneoff.results.reader import read_inputs, read_study
from tuneoff.results.record import RunRecord
from tuneoff.results.search import SearchResult, chosen_values
from tuneoff.spec import RunSpec, StudySpec, Task, expand, searches
from tuneoff.spec.run import S

ROUNDING = 1e-9
"""How far a score may lie from the mean of its predictions, as sums are taken in another order."""


class Excluded(NamedTuple):
    """A result that does not count."""

    path: Path
    """Of its JSON file."""
    reason: str

    @property
    def name(self) -> str:
        """The id of a run or search, or a baseline's task, train size and name."""
        return result_name(self.path)


@dataclass(frozen=True)
class Contents:
    """What an output folder holds of a study."""

    study: StudySpec
    plan: tuple[RunSpec, ...]
    """All runs, with the values that the searches chose."""
    records: tuple[RunRecord, ...]
    """Of the planned runs, in the plan's order."""
    searches: tuple[SearchResult, ...]
    """Of the study's searches, in its order."""
    baselines: tuple[BaselineRecord, ...]
    """Of the study's tasks and train sizes, in its order."""
    damaged: tuple[Excluded, ...] = ()
    """Files of theirs are not as they were written; `run` does them again."""
    newer: tuple[Excluded, ...] = ()
    """A newer version wrote them."""
    other_inputs: tuple[Excluded, ...] = ()
    """They are of the study's runs, but were made from another model or other data."""
    unrelated: tuple[Excluded, ...] = ()
    """They are of no planned run."""
    notes: tuple[str, ...] = ()
    """What is to be known of results that count: fields that were ignored, checksums that are not there."""

    @property
    def excluded(self) -> tuple[Excluded, ...]:
        """Results of the study's runs that must not be used."""
        return self.damaged + self.newer + self.other_inputs


def read_folder(folder: Path) -> Contents:
    """Return what an output folder holds of the study that was last run in it.

    Raises:
        StoreError: the folder holds no study.
    """
    return contents(folder, read_study(folder), read_inputs(folder))


def contents(folder: Path, study: StudySpec, inputs: Inputs | None, *, weights: bool = False) -> Contents:
    """Return what an output folder holds of a study that is made from the given inputs.

    Without inputs, which older versions did not record, models and data are not compared. Saved weights are
    read only where it is asked for, as there can be gigabytes of them; else their size is looked at.
    """
    found, layout = _Reader(study, inputs), StudyFolder(folder)
    results = found.intact(SearchResult, layout.search_results(), lambda path, result: None)
    done = tuple(_own_searches(study, results, found))
    plan = expand(study, chosen_values(study, done))
    records = found.intact(RunRecord, layout.records(), partial(_check_run, weights=weights))
    baselines = found.intact(BaselineRecord, layout.baseline_records(), partial(_check_baseline, layout))
    without_checksums = sum(record.state == "complete" and not record.files for _, record in records)
    if without_checksums:
        found.notes.append(
            f"{without_checksums} of the runs are of an older version, which left no checksums"
        )
    return Contents(
        study=study,
        plan=plan,
        records=_own_records(plan, records, found),
        searches=done,
        baselines=_own_baselines(study, layout, baselines, found),
        damaged=tuple(found.damaged),
        newer=tuple(found.newer),
        other_inputs=tuple(found.other_inputs),
        unrelated=tuple(found.unrelated),
        notes=tuple(found.notes),
    )


@dataclass
class _Reader:
    """Reads results, and collects those that are excluded."""

    study: StudySpec
    inputs: Inputs | None
    damaged: list[Excluded] = field(default_factory=list)
    newer: list[Excluded] = field(default_factory=list)
    other_inputs: list[Excluded] = field(default_factory=list)
    unrelated: list[Excluded] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def intact(
        self, kind: type[S], paths: Iterable[Path], check: Callable[[Path, S], None]
    ) -> list[tuple[Path, S]]:
        """Return the results that are as they were written, with their files; `check` looks at the rest."""
        results = []
        for path in paths:
            try:
                result, unknown = read_json(kind, path)
                check(path, result)
            except NewerFormatError as error:
                self.newer.append(Excluded(path, str(error)))
            except DamagedError as error:
                self.damaged.append(Excluded(path, str(error)))
            else:
                named = f"fields that this version does not know: {', '.join(unknown)}"
                if any(name.startswith(("spec.", "task.")) for name in unknown):
                    self.unrelated.append(Excluded(path, f"its settings have {named}"))
                    continue
                if unknown:
                    self.notes.append(f"{path.parent.name} has {named}, which are ignored")
                results.append((path, result))
        return results

    def record_problem(self, record: RunRecord) -> str | None:
        """Return why a run's record is of other inputs than the study."""
        task = self.study.tasks[record.spec.task_name]
        if self.inputs is None and (record.spec.model, record.spec.task.source) != (
            self.study.model,
            task.source,
        ):
            return "study.yaml names another model or source of data than it was made with"
        digests = record.data.digests if record.data else {}
        return self.origin_problem(record.spec.task_name, record.model, digests)

    def origin_problem(
        self, task_name: str, model: ModelIdentity | None, digests: Mapping[str, str]
    ) -> str | None:
        """Return why a result is of other inputs than the study; what is unknown is not held against it."""
        if self.inputs is None:
            return None
        if self.inputs.places != places_of(self.study):
            return "study.yaml was edited after the run: it names another model or source of data"
        if model and not model.is_same(self.inputs.model):
            return f"it was made with another model ('{model.id}' as it was then)"
        if digests and digests != self.inputs.data.get(task_name):
            return f"it was made from other data of task '{task_name}'"
        return None


def _check_run(path: Path, record: RunRecord, *, weights: bool) -> None:
    """Compare a record with its folder.

    Raises:
        DamagedError: it is another run's, or a file that the run left is not as it was written.
    """
    folder = RunFolder(path.parent)
    if folder.path.name != record.run_id:
        raise DamagedError(f"{path} is the record of another run, {record.run_id}")
    if record.files:
        for name, checksum in record.files.items():
            file = folder.path / name
            _check_file(file, checksum, read=weights or not file.is_relative_to(folder.adapter))
    elif record.state == "complete":
        _check_scores(folder, record)


def _check_file(path: Path, checksum: FileChecksum, *, read: bool = True) -> None:
    with damaged_if_unreadable(path):
        same = path.stat().st_size == checksum.bytes and (not read or file_checksum(path) == checksum)
    if not same:
        raise DamagedError(f"{path} was changed after it was written")


def _check_scores(folder: RunFolder, record: RunRecord) -> None:
    """Compare scores with predictions, where an older version has left no checksums."""
    read_curve(folder)
    path = folder.predictions
    with damaged_if_unreadable(path, pyarrow.ArrowException):
        file = pyarrow.parquet.ParquetFile(path)
        columns = {score_column(name): score for name, score in record.scores.items()}
        table = file.read([name for name in columns if name in file.schema_arrow.names])
        means = {name: pyarrow.compute.mean(table[name]).as_py() for name in table.column_names}
        rows = file.metadata.num_rows
    if record.data and rows != record.data.test.used:
        raise DamagedError(f"{path} has {rows} rows, but the run was tested on {record.data.test.used}")
    for name, mean in means.items():
        if mean is None or not abs(mean - columns[name]) <= ROUNDING:
            raise DamagedError(f"{path} has a mean {name} of {mean}, but the record has {columns[name]}")


def _check_baseline(layout: StudyFolder, path: Path, record: BaselineRecord) -> None:
    own = layout.baseline(record.task_name, record.train_size, record.name).record
    if path != own:
        raise DamagedError(f"{path} is the record of another baseline, {result_name(own)}")
    for name, checksum in record.files.items():
        _check_file(path.parent / name, checksum)


def _own_records(
    plan: tuple[RunSpec, ...], records: Iterable[tuple[Path, RunRecord]], found: _Reader
) -> tuple[RunRecord, ...]:
    """Return the records of the planned runs in order; among several of one run, that with its id."""
    planned = {run.run_id for run in plan}
    keys = {run.settings_key for run in plan}
    own: dict[str, RunRecord] = {}
    others: list[tuple[str, Excluded]] = []
    for path, record in sorted(records, key=lambda one: one[1].run_id not in planned):
        key = record.spec.settings_key
        if key not in keys:
            found.unrelated.append(Excluded(path, "it is no run of this study"))
        elif problem := found.record_problem(record):
            others.append((key, Excluded(path, problem)))
        elif key in own:
            found.unrelated.append(Excluded(path, f"{own[key].run_id} is of the same run"))
        else:
            own[key] = record
    for key, other in others:
        (found.unrelated if key in own else found.other_inputs).append(other)
    return tuple(own[run.settings_key] for run in plan if run.settings_key in own)


def _own_searches(
    study: StudySpec, results: list[tuple[Path, SearchResult]], found: _Reader
) -> Iterator[SearchResult]:
    for search in searches(study):
        for path, result in results:
            if not result.answers(search):
                continue
            if problem := found.origin_problem(result.task_name, result.model, result.digests):
                found.other_inputs.append(Excluded(path, problem))
            else:
                yield result
                break


def _own_baselines(
    study: StudySpec, layout: StudyFolder, baselines: Iterable[tuple[Path, BaselineRecord]], found: _Reader
) -> tuple[BaselineRecord, ...]:
    """Return the baselines of the study's tasks and train sizes; others are no problem, `run` makes these."""
    tasks, sizes = list(study.tasks), list(study.train_sizes)
    own = [
        one
        for _, one in baselines
        if one.task_name in tasks
        and one.train_size in sizes
        and one.seed == study.seeds[0]
        and _settings(one.task) == _settings(study.tasks[one.task_name])
        and not found.origin_problem(one.task_name, None, one.digests)
    ]
    wanted = {layout.baseline(one.task_name, one.train_size, name) for one in own for name in one.all_names}
    present = {layout.baseline(one.task_name, one.train_size, one.name) for one in own}
    for files in sorted(wanted - present, key=lambda files: files.record):
        found.notes.append(f"{result_name(files.record)} is missing; `tuneoff run` computes it again")
    return tuple(sorted(own, key=lambda one: (tasks.index(one.task_name), sizes.index(one.train_size))))


def _settings(task: Task) -> dict[str, object]:
    """Return what decides a baseline but for the data, which are compared by content."""
    return task.model_dump(exclude={"source", "training"})
