"""Which results in an output folder count: the one rule of `run`, `status` and `report`.

A result counts for a study if

1. its files are intact: not damaged, and not of a newer version (`_Reader.intact`);
2. it is of one of the study's runs, searches or baselines (`_own_records` and the like);
3. it was made from a model and data of the same content as the study's (`_Reader.input_problem`).

Every other record or search result in the folder is excluded, with a reason; baselines that do not count are
computed again without a word, as that takes no training, and so are the test examples of other data. Searches
come first, as the planned runs depend on the values that they chose. A record counts whatever its run's
state: `run` repeats a run that failed (`RunStore.pending`), and tables are made of complete runs only.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow
import pyarrow.compute

from tuneoff.errors import DamagedError, NewerFormatError
from tuneoff.phrases import plural
from tuneoff.results.baseline import BaselineRecord
from tuneoff.results.curve import read_curve
from tuneoff.results.examples import TaskExamples, read_examples
from tuneoff.results.format import FileChecksum, damaged_if_unreadable, file_checksum, read_json
from tuneoff.results.identity import Inputs, ModelIdentity, places_of
from tuneoff.results.layout import RunFolder, StudyFolder, result_name
from tuneoff.results.parquet import open_parquet
from tuneoff.results.predictions import score_column
from tuneoff.results.reader import read_inputs, read_study
from tuneoff.results.record import FINISHED, RunRecord
from tuneoff.results.search import SearchResult, chosen_values
from tuneoff.spec import RunSpec, StudySpec, Task, expand, searches
from tuneoff.spec.run import S

T = TypeVar("T")

ROUNDING = 1e-9
"""Largest difference of a score and the mean of its predictions, whose sums have different orders."""


class Excluded(NamedTuple):
    """A result that does not count, and why."""

    path: Path
    """Of its JSON file, or of a file of examples."""
    reason: str

    @property
    def name(self) -> str:
        """The id of a run or search, a baseline's task, train size and name, or `examples/` and a task."""
        return result_name(self.path)


@dataclass(frozen=True)
class Contents:
    """The results of a study in its output folder, and the other results there."""

    study: StudySpec
    plan: tuple[RunSpec, ...]
    """All runs, with the values that the searches chose."""
    records: tuple[RunRecord, ...]
    """Records of the planned runs, in the plan's order."""
    searches: tuple[SearchResult, ...]
    """Results of the study's searches, in its order."""
    baselines: tuple[BaselineRecord, ...]
    """Baselines of the study's tasks and train sizes, in its order."""
    examples: Mapping[str, TaskExamples] = field(default_factory=dict)
    """The test examples by task; a folder of an older version has none."""
    damaged: tuple[Excluded, ...] = ()
    """Results with a file that is missing or was changed; `run` computes them again."""
    newer: tuple[Excluded, ...] = ()
    """Results written by a newer version."""
    other_inputs: tuple[Excluded, ...] = ()
    """Results of the study's runs, but made from another model or other data."""
    unrelated: tuple[Excluded, ...] = ()
    """Results that are of no planned run, have unknown settings, or repeat a result that counts."""
    notes: tuple[str, ...] = ()
    """Remarks on results that count: unknown fields that were ignored, missing checksums."""

    def pending(self, runs: Iterable[RunSpec]) -> tuple[RunSpec, ...]:
        """Return the runs that have no finished record, or whose record lacks what the study measures."""
        finished = {one.spec.settings_key: one for one in self.records if one.state in FINISHED}

        def is_done(run: RunSpec) -> bool:
            record = finished.get(run.settings_key)
            if record is None or record.state != "complete":
                return record is not None
            return record.has_cuts(run) and not _lacks_forgetting(self.study, record)

        return tuple(run for run in runs if not is_done(run))

    @property
    def excluded(self) -> tuple[Excluded, ...]:
        """Results of the study's own runs that must not be used."""
        return self.damaged + self.newer + self.other_inputs


def read_folder(folder: Path) -> Contents:
    """Return the contents of an output folder, for the study that was last run in it.

    Raises:
        StoreError: the folder holds no study.
    """
    return contents(folder, read_study(folder), read_inputs(folder))


def contents(folder: Path, study: StudySpec, inputs: Inputs | None, *, weights: bool = False) -> Contents:
    """Return the contents of an output folder, for a study with the given model and data.

    Without inputs, which older versions did not record, models and data are not compared. The checksums of
    saved weights are computed only with `weights`, as there can be gigabytes of them; else only their sizes
    are compared.
    """
    reader, layout = _Reader(study, inputs), StudyFolder(folder)
    results = reader.intact(
        SearchResult, layout.search_results(), lambda path, result: None
    )  # no other files
    done = _own_searches(study, results, reader)
    plan = expand(study, chosen_values(study, done))
    records = reader.intact(RunRecord, layout.records(), partial(_check_run, weights=weights))
    baselines = reader.intact(BaselineRecord, layout.baseline_records(), partial(_check_baseline, layout))
    examples = _own_examples(study, layout, reader)
    without_checksums = sum(record.state == "complete" and not record.files for _, record in records)
    if without_checksums:
        reader.notes.append(f"runs of an older version, which have no checksums: {without_checksums}")
    return Contents(
        study=study,
        plan=plan,
        records=_own_records(plan, records, reader),
        searches=done,
        baselines=_own_baselines(study, layout, baselines, reader),
        examples=examples,
        damaged=tuple(reader.damaged),
        newer=tuple(reader.newer),
        other_inputs=tuple(reader.other_inputs),
        unrelated=tuple(reader.unrelated),
        notes=tuple(reader.notes),
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
        """Read JSON files of one kind, and return those that are intact; `check` looks at their other files.

        `check` raises a DamagedError for a file that is not as it was written.
        """
        results = []
        for path in paths:
            found = self.read(path, partial(_read_checked, kind, check))
            if found is None:
                continue
            result, unknown = found
            fields = f"fields that this version does not know: {', '.join(unknown)}"
            # an unknown setting may have changed the result; an unknown measurement has not
            if any(name.startswith(("spec.", "task.")) for name in unknown):
                self.unrelated.append(Excluded(path, f"its settings have {fields}"))
                continue
            if unknown:
                self.notes.append(f"{path.parent.name} has {fields}, which are ignored")
            results.append((path, result))
        return results

    def read(self, path: Path, read: Callable[[Path], T]) -> T | None:
        """Return what `read` makes of a file; None if it is excluded, being damaged or of a newer version."""
        try:
            return read(path)
        except NewerFormatError as error:
            self.newer.append(Excluded(path, str(error)))
        except DamagedError as error:
            self.damaged.append(Excluded(path, str(error)))
        return None

    def record_problem(self, record: RunRecord) -> str | None:
        """Return why a run's record is of another model or other data than the study; None if it is not."""
        task = self.study.tasks[record.spec.task_name]
        places = (record.spec.model, record.spec.task.source)
        if self.inputs is None and places != (self.study.model, task.source):
            return "study.yaml names another model or source of data than it was made with"
        digests = {record.spec.task_name: record.data.digests if record.data else {}}
        digests |= {name: share.digests for name, share in record.shares.items()}
        problems = (self.input_problem(name, record.model, one) for name, one in digests.items())
        return next(filter(None, problems), None)

    def measured(self, record: RunRecord) -> RunRecord:
        """Return a record without its measurement of forgetting if that is not on the study's own texts."""
        digest = self.inputs.texts if self.inputs and self.study.forgetting else None
        own = record.forgetting is None or record.forgetting.digest == digest
        return record if own else record.model_copy(update={"forgetting": None})

    def input_problem(
        self,
        task_name: str,
        model: ModelIdentity | None,
        digests: Mapping[str, str],
        other_tasks: Iterable[str] = (),
    ) -> str | None:
        """Return why a result is of another model or other data than the study; None if it is not.

        `digests` are those of the task, and of the other ones of a mixture. A model of None and empty digests
        are not known, and count as equal.
        """
        if self.inputs is None:
            return None
        if self.inputs.places != places_of(self.study):
            return "study.yaml was edited after the run: it names another model or source of data"
        if model and not model.is_same(self.inputs.model):
            return f"it was made with another model ('{model.id}' as it was then)"
        if digests and digests != self.inputs.digests_of(task_name, *other_tasks):
            return f"it was made from other data of task '{task_name}'"
        return None


def _lacks_forgetting(study: StudySpec, record: RunRecord) -> bool:
    return study.forgetting is not None and record.state == "complete" and record.forgetting is None


def _read_checked(kind: type[S], check: Callable[[Path, S], None], path: Path) -> tuple[S, tuple[str, ...]]:
    result, unknown = read_json(kind, path)
    check(path, result)
    return result, unknown


def _check_run(path: Path, record: RunRecord, *, weights: bool) -> None:
    """Compare a record with the files in its folder.

    Raises:
        DamagedError: the record is another run's, or a file of the run is not as it was written.
    """
    folder = RunFolder(path.parent)
    if folder.path.name != record.run_id:
        raise DamagedError(f"{path} is the record of another run, {record.run_id}")
    if record.files:
        for name, checksum in record.files.items():
            file = folder.path / name
            _check_file(file, checksum, size_only=not weights and file.is_relative_to(folder.adapter))
        if record.weights_of:
            for name, checksum in record.weights_of.files.items():
                file = record.weights_folder(folder).path / name
                _check_file(file, checksum, size_only=not weights)
    elif record.state == "complete":
        _check_scores(folder, record)


def _check_file(path: Path, expected: FileChecksum, *, size_only: bool = False) -> None:
    with damaged_if_unreadable(path):
        if path.stat().st_size == expected.bytes and (size_only or file_checksum(path) == expected):
            return
    raise DamagedError(f"{path} was changed after it was written")


def _check_scores(folder: RunFolder, record: RunRecord) -> None:
    """Compare scores with the means of the predictions, for a run of an older version without checksums."""
    read_curve(folder)
    path = folder.predictions
    with damaged_if_unreadable(path, pyarrow.ArrowException):
        file = open_parquet(path)
        columns = {score_column(name): score for name, score in record.scores.items()}
        table = file.read([name for name in columns if name in file.names])
        means = {name: pyarrow.compute.mean(table[name]).as_py() for name in table.column_names}
        rows = file.file.metadata.num_rows
    if record.data and rows != record.data.test.used:
        raise DamagedError(f"{path} has {rows} rows, but the run was tested on {record.data.test.used}")
    for name, mean in means.items():
        # not `>`: a mean of NaN must not pass
        if mean is None or not abs(mean - columns[name]) <= ROUNDING:
            raise DamagedError(f"{path} has a mean {name} of {mean}, but the record has {columns[name]}")


def _check_baseline(layout: StudyFolder, path: Path, record: BaselineRecord) -> None:
    own = layout.baseline(record.task_name, record.train_size, record.name).record
    if path != own:
        raise DamagedError(f"{path} is the record of another baseline, {result_name(own)}")
    for name, checksum in record.files.items():
        _check_file(path.parent / name, checksum)


def _own_records(
    plan: tuple[RunSpec, ...], records: Iterable[tuple[Path, RunRecord]], reader: _Reader
) -> tuple[RunRecord, ...]:
    """Return the records of the planned runs in the plan's order; other records are excluded.

    A record is of a planned run if their settings are equal (`RunSpec.settings_key`). The folder can hold
    several records of one run, as its id changes when the model or the data move. Then the one with the
    planned id counts.
    """
    planned_ids = {run.run_id for run in plan}
    planned_keys = dict.fromkeys(run.settings_key for run in plan)
    own: dict[str, RunRecord] = {}
    of_other_inputs: list[tuple[str, Excluded]] = []
    # those with a planned id first, so that they are the ones that are kept
    for path, record in sorted(records, key=lambda one: one[1].run_id not in planned_ids):
        key = record.spec.settings_key
        if key not in planned_keys:
            reader.unrelated.append(Excluded(path, "it does not belong to this study"))
        elif problem := reader.record_problem(record):
            of_other_inputs.append((key, Excluded(path, problem)))
        elif key in own:
            reader.unrelated.append(Excluded(path, f"{own[key].run_id} is of the same run"))
        else:
            own[key] = reader.measured(record)
    if lacking := sum(_lacks_forgetting(reader.study, record) for record in own.values()):
        reader.notes.append(
            f"forgetting is not measured yet in {plural(lacking, 'run')}; `tuneoff run` measures it"
        )
    # a record of other inputs is a conflict only if its run has no record of the right ones
    for key, excluded in of_other_inputs:
        (reader.unrelated if key in own else reader.other_inputs).append(excluded)
    return tuple(own[key] for key in planned_keys if key in own)


def _own_searches(
    study: StudySpec, results: list[tuple[Path, SearchResult]], reader: _Reader
) -> tuple[SearchResult, ...]:
    """Return the first result of each of the study's searches that is of the right model and data."""
    own = []
    for search in searches(study):
        of_other_inputs = []
        for path, result in results:
            if not result.answers(search):
                continue
            problem = reader.input_problem(result.task_name, result.model, result.digests, result.other_tasks)
            if problem is None:
                own.append(result)
                break
            of_other_inputs.append(Excluded(path, problem))
        else:
            # only a conflict if no result is of the right inputs, as for records
            reader.other_inputs += of_other_inputs
    return tuple(own)


def _own_baselines(
    study: StudySpec, layout: StudyFolder, baselines: Iterable[tuple[Path, BaselineRecord]], reader: _Reader
) -> tuple[BaselineRecord, ...]:
    """Return the baselines of the study's tasks and train sizes, and note which are missing.

    Others are ignored: they take no training to compute again.
    """
    tasks, sizes = list(study.tasks), list(study.train_sizes)
    own = [
        record
        for _, record in baselines
        if record.task_name in tasks
        and record.train_size in sizes
        and record.seed == study.all_seeds[0]
        and _settings(record.task) == _settings(study.tasks[record.task_name])
        and not reader.input_problem(record.task_name, None, record.digests)
    ]
    present, expected = set(), set()
    for record in own:
        present.add(layout.baseline(record.task_name, record.train_size, record.name))
        for name in record.all_names:
            expected.add(layout.baseline(record.task_name, record.train_size, name))
    for files in sorted(expected - present, key=lambda files: files.record):
        reader.notes.append(f"{result_name(files.record)} is missing; `tuneoff run` computes it again")
    return tuple(sorted(own, key=lambda one: (tasks.index(one.task_name), sizes.index(one.train_size))))


def _own_examples(study: StudySpec, layout: StudyFolder, reader: _Reader) -> dict[str, TaskExamples]:
    """Return the test examples of the study's tasks."""
    own = {}
    for task_name in study.tasks:
        path = layout.examples(task_name)
        if path.exists():
            examples = reader.read(path, read_examples)
            if examples and not reader.input_problem(task_name, None, examples.digests):
                own[task_name] = examples
    return own


def _settings(task: Task) -> dict[str, object]:
    """Return the settings that affect a baseline, without the data's place: data are compared by content."""
    return task.model_dump(exclude={"source", "training"})
