"""Load a study: from a file, a packaged name or a mapping to a checked `StudySpec`."""

import importlib.resources
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import ValidationError

from tuneoff.errors import NewerFormatError, StudyError, shown, suggestions, unknown_name
from tuneoff.spec.forgetting import BUILTIN_TEXTS
from tuneoff.spec.messages import broken_rules, dotted
from tuneoff.spec.methods import NoneSpec
from tuneoff.spec.plan import (
    all_ablations,
    check_size,
    mixture_training,
    searches,
    task_training,
    variants,
)
from tuneoff.spec.run import range_ends
from tuneoff.spec.study import StudySpec
from tuneoff.spec.yaml import MOST_BYTES, MOST_LEVELS, MOST_VALUES, as_written, dump_yaml, parse_yaml

FORMAT = 2
"""Format number of the studies, records and results that this version writes; files without one have 1."""
_PACKAGED = importlib.resources.files("tuneoff.spec") / "studies"


def packaged_studies() -> tuple[str, ...]:
    """Return the names of the studies that come with tuneoff."""
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in _PACKAGED.iterdir() if entry.is_file()))


def load_study(
    study: str | Path | Mapping[str, Any] | StudySpec, *, overrides: Iterable[str] = ()
) -> StudySpec:
    """Return the study in a file, of a packaged name, or in a mapping like a file's, with overrides applied.

    An override is a text `path=value`. Relative paths in a file are relative to the file's folder, those in a
    mapping to the working directory.

    Raises:
        StudyError: no such study, not YAML, or values that break rules; the message has a line for each.
    """
    overrides = tuple(overrides)
    if isinstance(study, StudySpec):
        if not overrides:
            return study
        study = study.model_dump(mode="json")
    written = _written(study)
    data, where = written.data, written.where
    if not isinstance(data, dict):
        raise StudyError(f"a study must be a mapping of keys to values, but {where} holds {_kind(data)}")
    _check_format(data.pop("format", FORMAT), where)
    data.pop("inputs", None)  # of the study.yaml in an output folder, see tuneoff.results.reader
    for override in overrides:
        _apply(data, override)
        _apply(written.as_text, override, written=True)
    _take_labels(data, written.as_text)
    _make_paths_absolute(data, written.folder)
    _check_values(data, where)
    try:
        # through JSON, where a list fits a tuple in pydantic's strict mode, and nothing else is converted
        spec = StudySpec.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise StudyError(broken_rules(where, data, error)) from error
    _check_size_with_defaults(spec, where)
    try:
        check_size(spec)  # before anything below lists all variants or searches
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from error
    _check_ablations(spec, data, where)
    _check_training(spec, where)
    _check_search(spec, where)
    return spec


class _Written(NamedTuple):
    """A study as it is written: two trees with the same keys.

    A label 01 is a number for YAML, but it is the text "01" in the column of a data file.
    """

    data: Any
    """The values as YAML reads them."""
    as_text: Any
    """Each value as the text in the file."""
    where: str
    folder: Path
    """What relative paths are relative to."""


def _written(study: str | Path | Mapping[str, Any]) -> _Written:
    if isinstance(study, Mapping):
        data = _plain(study)
        return _Written(data, as_written(data), "study", Path.cwd())
    text, where, folder = _read(str(study))
    try:
        return _Written(parse_yaml(text), parse_yaml(text, written=True), where, folder)
    except ValueError as error:
        raise StudyError(f"a study must be valid YAML: {where}: {error}") from error


def _check_values(data: Any, where: str, *, path: tuple[str, ...] = ()) -> None:
    """Check every key and value for what no study can hold, whatever its place.

    Raises:
        StudyError: a text is not Unicode, a number is too large, or values are nested too deeply.
    """
    if len(path) > MOST_LEVELS:
        raise StudyError(f"{where}: values may be nested in at most {MOST_LEVELS} levels")
    match data:
        case dict():
            for key, value in data.items():
                _check_values(key, where, path=(*path, str(key)))
                _check_values(value, where, path=(*path, str(key)))
        case list():
            for number, value in enumerate(data):
                _check_values(value, where, path=(*path, str(number)))
        case str() if data != data.encode(errors="replace").decode():
            raise StudyError(f"{where}: {dotted(path)}: text must be valid Unicode, but got {shown(data)}")
        case int() if abs(data) >= 2**63:
            raise StudyError(
                f"{where}: {dotted(path)}: a whole number must be below 2**63, but got {shown(data)}"
            )


def _check_size_with_defaults(spec: StudySpec, where: str) -> None:
    """Check that the study.yaml of the output folder, which has all defaults in it, can be read again.

    Raises:
        StudyError: it is too large.
    """
    # a walk with a list in place of recursion: counts keys and values, and the characters of both
    unvisited: list[Any] = [spec.model_dump(mode="json")]
    values = characters = 0
    while unvisited:
        part = unvisited.pop()
        values += 1
        if isinstance(part, dict):
            unvisited += [*part, *part.values()]
        elif isinstance(part, list):
            unvisited += part
        elif isinstance(part, str):
            characters += len(part)
    if values > MOST_VALUES or characters > MOST_BYTES // 20:
        raise StudyError(
            f"{where}: with its defaults a study may hold at most {MOST_VALUES:,} values and "
            f"{MOST_BYTES // 20:,} characters, but this one has {values:,} and {characters:,}; "
            "split it into several studies"
        )


def _check_ablations(spec: StudySpec, data: dict[str, Any], where: str) -> None:
    """Make the variants of each ablation.

    Raises:
        StudyError: an ablation's method or field does not exist, or a value does not fit the field.
    """
    ablations = all_ablations(spec)  # a generator: each step makes one ablation, so errors have its name
    for name in spec.ablations:
        place = f"{where}: ablations.{name}"
        try:
            next(ablations)
        except ValidationError as error:
            raise StudyError(broken_rules(f"{place}.vary", data["ablations"][name]["vary"], error)) from error
        except StudyError as error:
            raise StudyError(f"{place}.of: {error}") from error


def _check_training(spec: StudySpec, where: str) -> None:
    """Check the training settings that tasks and mixtures change.

    Raises:
        StudyError: values break rules.
    """
    for name, task in spec.tasks.items():
        try:
            task_training(spec, task)
        except ValidationError as error:
            raise StudyError(broken_rules(f"{where}: tasks.{name}.training", task.training, error)) from error
    for name, mixture in spec.mixtures.items():
        place = f"{where}: mixtures.{name}"
        try:
            saves = mixture_training(spec, name).save_strategy
        except ValidationError as error:
            raise StudyError(broken_rules(f"{place}.training", mixture.training, error)) from error
        if saves == "no":
            raise StudyError(
                f"{place}: its tasks are tested with stored weights, but got training.save_strategy: no; "
                "remove that, or set training: {save_strategy: best} here"
            )


def _check_search(spec: StudySpec, where: str) -> None:
    """Check that each searched range fits its method, and that no search replaces what an ablation varies.

    Raises:
        StudyError: a range, a field or a method's name is wrong.
    """
    if spec.search is None:
        return
    trained = [one.name for one in variants(spec) if not isinstance(one.method, NoneSpec)]
    for name in spec.search.spaces:
        if name not in trained:
            raise StudyError(
                f"{where}: search.spaces: no trained method is called {shown(name)}"
                f"{suggestions(name, trained)}"
            )
    for name, (ablation, varied) in zip(spec.ablations, all_ablations(spec), strict=True):
        for variant in varied:
            space = spec.search.spaces.get(variant.name, spec.search.space)
            if replaced := sorted(set(space) & set(ablation.vary)):
                raise StudyError(
                    f"{where}: search: ablations.{name} varies {', '.join(replaced)}, which the search of "
                    f"{shown(variant.name)} would replace; give it another range under search.spaces"
                )
    for search in searches(spec):
        try:
            range_ends(search)
        except ValueError as error:
            place = f"{where}: search, method {search.run.method_name}"
            if isinstance(error, ValidationError):
                raise StudyError(broken_rules(place, search.space, error)) from error
            raise StudyError(f"{place}: {error}") from error


def _check_format(number: object, where: str) -> None:
    if not isinstance(number, int) or number < 1:
        raise StudyError(
            f"{where}: format: must be a whole number from 1, but got {shown(number)}; remove it from a file "
            "that you write yourself"
        )
    if number > FORMAT:
        raise NewerFormatError(
            f"{where} was written by a newer version of tuneoff (format {number}, this one reads up to "
            f"{FORMAT}); upgrade tuneoff"
        )


def dump_study(study: StudySpec, *, head: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Return the study as YAML that `load_study` reads back to an equal spec, after the keys of `head`."""
    content = {**head, **study.model_dump(mode="json")}
    return dump_yaml(content)


def _plain(value: Any) -> Any:
    """Return a Python value with JSON's types only; keys, and values of other types, become text."""
    match value:
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case None | str() | bool() | int() | float():
            return value
        case _:
            return str(value)


def _read(study: str) -> tuple[str, str, Path]:
    """Return a study's text, its name in messages, and the folder that its relative paths start from.

    Raises:
        StudyError: there is no such study, or it cannot be read.
    """
    path = Path(study)
    if study in packaged_studies():
        return (_PACKAGED / f"{study}.yaml").read_text(encoding="utf-8"), f"study {study}", Path.cwd()
    try:
        if path.is_file():
            if path.stat().st_size > MOST_BYTES:
                raise StudyError(f"a study file may have at most {MOST_BYTES:,} bytes: {shown(study)}")
            return path.read_text(encoding="utf-8"), path.name, path.resolve().parent
    except (OSError, UnicodeError) as error:
        raise StudyError(
            f"a study file must be readable UTF-8 text: {shown(study)}: {shown(str(error))}"
        ) from error
    raise StudyError(
        f"a study is a YAML file or a packaged name, but there is no file {shown(study)}; "
        f"{unknown_name(study, packaged_studies())}"
    )


def _apply(data: dict[str, Any], override: str, *, written: bool = False) -> None:
    """Set the value of an override `path=value` in a study's data; with `written`, as the text it is.

    Raises:
        StudyError: it has another form, its path leads through a value, or its value is not YAML.
    """
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise StudyError(
            f"an override has the form path=value, but got {shown(override)} (--set seeds=[0,1])"
        )
    *parents, last = path.split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise StudyError(
                f"an override's path must lead through mappings, but {shown(parent)} in {shown(path)} is a "
                "value"
            )
    if last == "prompt" and text.startswith("{"):
        data[last] = text  # YAML would read a column in braces as a mapping
        return
    try:
        data[last] = parse_yaml(text, written=written)
    except ValueError as error:
        reason = getattr(error.__cause__, "problem", None) or str(error)
        raise StudyError(
            f"an override's value must be valid YAML, but got {shown(override)} ({reason}); "
            "put quotes around text that YAML could read as something else"
        ) from error


def _take_labels(data: dict[str, Any], as_text: dict[str, Any]) -> None:
    """Replace the labels of all tasks, and the positive ones, by their text in the file."""
    tasks = data.get("tasks")
    for name, task in tasks.items() if isinstance(tasks, dict) else ():
        for key in ("labels", "positive"):
            if isinstance(task, dict) and task.get(key) is not None:
                task[key] = as_text["tasks"][name][key]


def _make_paths_absolute(data: dict[str, Any], folder: Path) -> None:
    """Make a study's paths absolute, so that it means the same when it is read from its output folder.

    The data are not validated yet: values of a wrong type are skipped here and reported by validation.
    """
    match data.get("model"):
        case {"id": str(name)}:
            data["model"]["id"] = model_id(name, folder)
    tasks = data.get("tasks")
    for task in tasks.values() if isinstance(tasks, dict) else ():
        source = task.get("source") if isinstance(task, dict) else None
        files = source.get("files") if isinstance(source, dict) else None
        if isinstance(files, dict):
            for split, name in files.items():
                if isinstance(name, str):
                    files[split] = _absolute(folder, name)
    match data.get("forgetting"):
        case {"texts": str(name)} if name and name != BUILTIN_TEXTS:
            data["forgetting"]["texts"] = _absolute(folder, name)


def model_id(name: str, folder: Path) -> str:
    """Return the id of a model, an absolute path where the name is one that is relative to the folder."""
    # a name without ./ can be a hub id or a folder
    is_path = name.startswith((".", "/", "~")) or (name and _is_model(folder / name))
    return _absolute(folder, name) if is_path else name


def _is_model(path: Path) -> bool:
    """Return whether a model can be read from a path: a folder, or a GGUF file."""
    try:
        return path.is_dir() or (path.suffix == ".gguf" and path.is_file())
    except OSError:  # a name that no file can have
        return False


def _absolute(folder: Path, name: str) -> str:
    try:
        return (folder / Path(name).expanduser()).resolve().as_posix()
    except (OSError, RuntimeError, ValueError) as error:
        raise StudyError(
            f"a path must be one that this system can resolve, but got {shown(name)}: {shown(str(error))}"
        ) from error


def _kind(data: object) -> str:
    return "nothing" if data is None else f"a {type(data).__name__}"
