"""Caches of what all runs of one process share: rows, tokens, and what frozen models make of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from tuneoff.spec import FilesSource, ForgettingSpec, ModelSpec, NoneSpec, RunSpec, Task
from tuneoff.tasks import Example, TaskData, general_texts, load_task, train_subset
from tuneoff.training.backbone import Backbone, load_backbone
from tuneoff.training.batches import Encoded, encode
from tuneoff.training.frozen_outputs import FrozenOutputs
from tuneoff.training.mixing import Mixing, quotas
from tuneoff.training.seeding import stream_seed
from tuneoff.training.tokenizer import tokenizer_key

FileState = tuple[str, int, int, int]
"""Path, bytes, time of the last change in nanoseconds, and inode."""
DrawKey = tuple[str, str, int]
"""Task as JSON, train size (`none` for zero-shot), and seed."""


@dataclass(frozen=True)
class _Loaded:
    data: TaskData
    files: tuple[FileState, ...]
    """The state of the source's files from before they were read."""


@dataclass(frozen=True)
class _LoadedTexts:
    texts: tuple[str, ...]
    files: tuple[FileState, ...]


class Session:
    """A cache of rows, tokens and encoder outputs. Sessions share nothing.

    Data stay as they were read until `forget_changed_files`, so that all runs of a study see the same rows.
    """

    def __init__(self) -> None:
        self.load_backbone: Callable[[ModelSpec], Backbone] = load_backbone
        """Returns a model that belongs to the caller, who may change it."""
        self.frozen_outputs = FrozenOutputs()
        self._tasks: dict[str, _Loaded] = {}
        self._drawn: dict[DrawKey, TaskData] = {}
        self._tokens: dict[tuple[str, int, int], dict[Example, Encoded]] = {}
        """By tokenizer (as JSON) and the limits of source and target."""
        self._texts: dict[ForgettingSpec, _LoadedTexts] = {}
        self.untouched_losses: dict[tuple[str, str, str, int], tuple[float, ...]] = {}
        """Of the untouched model on each general text: by model, texts, precision and batch size."""

    def task_data(self, task: Task) -> TaskData:
        """Return the rows of a task; they are read once.

        Raises:
            DataError: the source cannot be used.
        """
        key = task.model_dump_json()
        if key not in self._tasks:
            files = _file_states(_paths(task))
            self._tasks[key] = _Loaded(load_task(task), files)
        return self._tasks[key].data

    def run_rows(self, run: RunSpec) -> TaskData:
        """Return the rows of a run: those of its task, with only the run's own training rows.

        Raises:
            DataError: the source cannot be used, or has too few rows.
        """
        key = _draw_key(run)
        if key not in self._drawn:
            data = self.task_data(run.task)
            seed = stream_seed(run.seed, "subsample")
            trained = not isinstance(run.method, NoneSpec)
            train = train_subset(data.train, run.train_size, seed=seed) if trained else ()
            self._drawn[key] = replace(data, train=train)
        return self._drawn[key]

    def epoch_rows(self, run: RunSpec) -> int:
        """Return how many rows an epoch of a run has.

        Raises:
            DataError: a source cannot be used.
        """
        mixing = self.mixing(run)
        if mixing is not None:
            return mixing.epoch_rows
        return self._train_count(run)

    def mixing(self, run: RunSpec) -> Mixing | None:
        """Return which of the joined training rows of a mixture make an epoch; None where there is none.

        Raises:
            DataError: a source cannot be used.
        """
        if run.mixture is None:
            return None
        counts = tuple(map(self._train_count, run.members))
        shares = quotas(counts, rate=run.mixture.rate, cap=run.mixture.cap)
        return Mixing(counts, shares, run.seed)

    def _train_count(self, run: RunSpec) -> int:
        """Return the training rows of a run's own task."""
        return len(self.run_rows(run).train) if run.train_size == "full" else run.train_size

    def encoded(
        self, examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, task: Task
    ) -> list[Encoded]:
        """Tokenize examples, each of them once."""
        source_limit, target_limit = task.max_source_length, task.max_target_length
        cached = self._tokens.setdefault((tokenizer_key(tokenizer), source_limit, target_limit), {})
        new = [example for example in examples if example not in cached]
        rows = encode(new, tokenizer, max_source_length=source_limit, max_target_length=target_limit)
        cached.update(zip(new, rows, strict=True))
        return [cached[example] for example in examples]

    def general_texts(self, spec: ForgettingSpec) -> tuple[str, ...]:
        """Return the general texts of a study; they are read once.

        Raises:
            DataError: they cannot be used.
        """
        if spec not in self._texts:
            files = _file_states([] if spec.is_builtin else [spec.texts])
            self._texts[spec] = _LoadedTexts(general_texts(spec), files)
        return self._texts[spec].texts

    def for_runs(self, runs: Iterable[RunSpec]) -> "Session":
        """Return a session for another process, with the rows of some runs alone, and all tokens.

        Raises:
            DataError: a source cannot be used, or has too few rows.
        """
        part = Session()
        for run in runs:
            for member in run.members:
                part._drawn[_draw_key(member)] = self.run_rows(member)
            if run.forgetting:
                self.general_texts(run.forgetting)
        part._tokens, part._texts = self._tokens, self._texts
        return part

    def forget_changed_files(self) -> None:
        """Forget the rows of tasks, and the texts, whose files have changed since they were read."""
        changed = {key for key, loaded in self._tasks.items() if _have_changed(loaded.files)}
        self._tasks = {key: loaded for key, loaded in self._tasks.items() if key not in changed}
        self._drawn = {key: data for key, data in self._drawn.items() if key[0] not in changed}
        self._texts = {
            spec: loaded for spec, loaded in self._texts.items() if not _have_changed(loaded.files)
        }


def _draw_key(run: RunSpec) -> DrawKey:
    size = "none" if isinstance(run.method, NoneSpec) else str(run.train_size)
    return run.task.model_dump_json(), size, run.seed


def _paths(task: Task) -> list[str]:
    source = task.source
    return sorted(set(source.files.values())) if isinstance(source, FilesSource) else []


def _file_states(paths: Iterable[str]) -> tuple[FileState, ...]:
    return tuple(_file_state(path) for path in paths)


def _have_changed(files: tuple[FileState, ...]) -> bool:
    return files != _file_states(path for path, *_ in files)


def _file_state(path: str) -> FileState:
    try:
        status = Path(path).stat()
    except OSError:  # reading the file will raise the right message
        return path, -1, -1, -1
    return path, status.st_size, status.st_mtime_ns, status.st_ino
