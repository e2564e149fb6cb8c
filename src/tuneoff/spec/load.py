"""From a study file, or the name of a packaged study, to a checked `StudySpec`."""

import importlib.resources
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tuneoff.errors import NewerFormatError, StudyError, shown, unknown_name
from tuneoff.spec.plan import ablation_variants, searches, task_training, variants
from tuneoff.spec.search import check_space
from tuneoff.spec.study import NoneSpec, Spec, StudySpec

FORMAT = 2
"""Of studies, records and results as this version writes them; 1 is that of files without a number."""
_PACKAGED = importlib.resources.files("tuneoff.spec") / "studies"


def packaged_studies() -> tuple[str, ...]:
    """Names of the studies that come with tuneoff."""
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in _PACKAGED.iterdir() if entry.is_file()))


def load_study(study: str, *, overrides: Iterable[str] = ()) -> StudySpec:
    """The study in a file or of a packaged name, with `path=value` overrides applied.

    Relative paths in the file are relative to the file's folder.

    Raises:
        StudyError: no such study, not YAML, or values that break a rule; all broken rules are told.
    """
    text, where, folder = _read(study)
    try:
        data, written = parse_yaml(text), parse_yaml(text, _WrittenLoader)
    except ValueError as error:
        raise StudyError(f"a study must be valid YAML: {where}: {error}") from error
    if not isinstance(data, dict):
        raise StudyError(f"a study must be a mapping of keys to values, but {where} holds {_kind(data)}")
    _check_format(data.pop("format", FORMAT), where)
    data.pop("inputs", None)  # stands in the study of an output folder, see tuneoff.spec.results
    for override in overrides:
        _apply(data, override)
        _apply(written, override, _WrittenLoader)
    _take_labels(data, written)
    _anchor_paths(data, folder)
    try:
        spec = StudySpec.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise StudyError(_told(where, data, error)) from error
    for name, ablation in spec.ablations.items():
        place = f"{where}: ablations.{name}"
        try:
            ablation_variants(spec, ablation)
        except ValidationError as error:
            raise StudyError(_told(f"{place}.vary", data["ablations"][name]["vary"], error)) from error
        except StudyError as error:
            raise StudyError(f"{place}.of: {error}") from error
    for name, task in spec.tasks.items():
        try:
            task_training(spec, task)
        except ValidationError as error:
            raise StudyError(_told(f"{where}: tasks.{name}.training", task.training, error)) from error
    _check_search(spec, where)
    return spec


def _check_search(spec: StudySpec, where: str) -> None:
    known = [name for name, method in variants(spec) if not isinstance(method, NoneSpec)]
    for name in spec.search.spaces if spec.search else ():
        if name not in known:
            raise StudyError(f"{where}: search.spaces are trained methods: {unknown_name(name, known)}")
    for search in searches(spec):
        try:
            check_space(search)
        except ValueError as error:
            place = f"{where}: search, method {search.run.method_name}"
            if isinstance(error, ValidationError):
                raise StudyError(_told(place, search.space, error)) from error
            raise StudyError(f"{place}: {error}") from error


def _check_format(number: object, where: str) -> None:
    if not isinstance(number, int) or number < 1:
        raise StudyError(f"{where}: format: a format is a whole number from 1, but got {shown(number)}")
    if number > FORMAT:
        raise NewerFormatError(
            f"{where} was written by a newer version of tuneoff (format {number}, this one reads up to "
            f"{FORMAT}); upgrade tuneoff"
        )


def dump_study(study: StudySpec, *, head: Mapping[str, Any] = MappingProxyType({})) -> str:
    """The study as YAML that `load_study` reads back to an equal spec, with other keys in front of it."""
    content = {**head, **study.model_dump(mode="json")}
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


_TAG = "tag:yaml.org,2002:"
_NOT_RESOLVED = ("bool", "timestamp", "value")


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars (`1e-4` is a number, `no`, `=` and dates are text), and no key twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) not in _NOT_RESOLVED]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [str(key.value) for key, _ in node.value if key.tag != f"{_TAG}merge"]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key must stand once, but '{key}' stands twice", node.start_mark
                )
        self.flatten_mapping(node)
        node.value = [(_as_written(key), value) for key, value in node.value]
        return super().construct_mapping(node, deep)


class _WrittenLoader(_Loader):
    """Every value as the text that stands in the file: `1.0`, `True`, `01`, `null`."""

    yaml_implicit_resolvers = {"<": _Loader.yaml_implicit_resolvers["<"]}  # noqa: RUF012


def _as_written(key: yaml.Node) -> yaml.Node:
    """A mapping's key as text: YAML would make 1 of `01`, 90 of `1:30`, and null of `null`."""
    if not isinstance(key, yaml.ScalarNode) or not key.tag.startswith(_TAG):
        return key
    return yaml.ScalarNode(f"{_TAG}str", key.value, key.start_mark, key.end_mark)


class _Dumper(yaml.SafeDumper):
    """Quotes text that `_Loader` would read as a number, and escapes line breaks other than a newline."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        style = '"' if set("\x85\u2028\u2029") & set(text) else None
        return self.represent_scalar(f"{_TAG}str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)

_FLOAT = re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$")
_BOOL = re.compile(r"^(true|True|TRUE|false|False|FALSE)$")
_Loader.add_implicit_resolver(f"{_TAG}bool", _BOOL, list("tTfF"))
# `<<` where no key stands
_Loader.add_constructor(f"{_TAG}merge", _Loader.construct_yaml_str)
for _yaml in (_Loader, _Dumper):
    _yaml.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789."))


def parse_yaml(text: str, loader: type[yaml.SafeLoader] = _Loader) -> Any:
    """What a YAML text says, as JSON has it: keys are text as written, and so is what JSON has no type for.

    Raises:
        ValueError: not YAML, or not a tree.
    """
    try:
        return json.loads(json.dumps(yaml.load(text, Loader=loader), default=str))
    except (yaml.YAMLError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _read(study: str) -> tuple[str, str, Path]:
    path = Path(study)
    if study in packaged_studies():
        return (_PACKAGED / f"{study}.yaml").read_text(encoding="utf-8"), f"study {study}", Path.cwd()
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8"), path.name, path.resolve().parent
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"a study file must be readable UTF-8 text: {study}: {error}") from error
    raise StudyError(
        f"a study is a YAML file or a packaged name, but there is no file '{study}'; "
        f"{unknown_name(study, packaged_studies())}"
    )


def _apply(data: dict[str, Any], override: str, loader: type[yaml.SafeLoader] = _Loader) -> None:
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise StudyError(f"an override has the form path=value, but got '{override}' (--set seeds=[0,1])")
    *parents, last = path.split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise StudyError(
                f"an override's path must lead through mappings, but '{parent}' in '{path}' is a value"
            )
    try:
        data[last] = parse_yaml(text, loader)
    except ValueError as error:
        raise StudyError(f"an override's value must be valid YAML, but got '{override}'") from error


def _take_labels(data: dict[str, Any], written: dict[str, Any]) -> None:
    """Takes the labels of all tasks, and the positive ones, as they are written."""
    tasks = data.get("tasks")
    for name, task in tasks.items() if isinstance(tasks, dict) else ():
        for key in ("labels", "positive"):
            if isinstance(task, dict) and task.get(key) is not None:
                task[key] = written["tasks"][name][key]


def _anchor_paths(data: dict[str, Any], folder: Path) -> None:
    """Makes the local paths of a study absolute; what has another form is left for validation."""
    match data.get("model"):
        case {"id": str(name)} if name.startswith((".", "/", "~")) or (name and (folder / name).is_dir()):
            data["model"]["id"] = _anchored(folder, name)
    tasks = data.get("tasks")
    for task in tasks.values() if isinstance(tasks, dict) else ():
        source = task.get("source") if isinstance(task, dict) else None
        files = source.get("files") if isinstance(source, dict) else None
        if isinstance(files, dict):
            names = {split: name for split, name in files.items() if isinstance(name, str)}
            files |= {split: _anchored(folder, name) for split, name in names.items()}


def _anchored(folder: Path, name: str) -> str:
    try:
        return (folder / Path(name).expanduser()).resolve().as_posix()
    except (RuntimeError, ValueError) as error:
        raise StudyError(
            f"a path must be one that this system can resolve, but got {name!r}: {error}"
        ) from error


def _told(where: str, data: object, error: ValidationError) -> str:
    """One line for each broken rule: place, rule, value."""
    details = error.errors()
    inner = {detail["loc"][:size] for detail in details for size in range(len(detail["loc"]))}
    # a collection with a bad item is also reported as too short: that line would mislead
    return "\n".join(_line(where, data, detail) for detail in details if detail["loc"] not in inner)


def _line(where: str, data: object, detail: ErrorDetails) -> str:
    path, value = _located(data, detail)
    place = f"{where}: {path}" if path else where
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            return f"{place}: {_unknown_key(str(detail['loc'][-1]))}"
        case "missing":
            return f"{place}: this key is required"
        case "union_tag_not_found":
            return f"{place}: one key must say what it is (kind; for a source: one of hub, files and builtin)"
        case "union_tag_invalid":
            known = context["expected_tags"].replace("'", "").split(", ")
            return f"{place}.kind: {unknown_name(context['tag'], known)}"
        case "value_error":
            return f"{place}: {context['error']}"
        case _:
            return f"{place}: {detail['msg']}, but got {value!r}"


def _located(data: Any, detail: ErrorDetails) -> tuple[str, Any]:
    """The dotted path of an error without the union tags that pydantic puts in, and the value there."""
    steps: list[str] = []
    for step in detail["loc"]:
        inside = data if isinstance(data, dict) else dict(enumerate(data if isinstance(data, list) else ()))
        if step in inside:
            data = inside[step]
        elif detail["type"] != "missing" or step != detail["loc"][-1]:
            continue
        steps.append(str(step))
    return ".".join(steps), data


def _unknown_key(key: str) -> str:
    known = _known_keys()
    return f"'{key}' is a key of something else, not of this" if key in known else unknown_name(key, known)


def _known_keys() -> set[str]:
    pending, keys = [Spec], set[str]()
    while pending:
        spec = pending.pop()
        pending.extend(spec.__subclasses__())
        if spec.__module__ == StudySpec.__module__:
            keys.update(spec.model_fields)
    return keys


def _kind(data: object) -> str:
    return "nothing" if data is None else f"a {type(data).__name__}"
