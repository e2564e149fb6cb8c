"""From a study file, or the name of a packaged study, to a checked `StudySpec`."""

import importlib.resources
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tuneoff.errors import LONGEST_VALUE, NewerFormatError, StudyError, shown, unknown_name
from tuneoff.spec.plan import all_ablations, check_size, searches, task_training, variants
from tuneoff.spec.search import check_space
from tuneoff.spec.study import NoneSpec, Spec, StudySpec

FORMAT = 2
"""Of studies, records and results as this version writes them; 1 is that of files without a number."""
_PACKAGED = importlib.resources.files("tuneoff.spec") / "studies"
MOST_BYTES, MOST_VALUES, MOST_LEVELS = 10_000_000, 100_000, 100
"""Size of a study file; values in it, those of an alias each time that it is used; and nested ones."""
_MOST_LINES, _MOST_DIGITS = 20, 100


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
    _check_values(data, where)
    try:
        spec = StudySpec.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise StudyError(_told(where, data, error)) from error
    _check_written(spec, where)
    try:
        check_size(spec)
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from error
    _check_ablations(spec, data, where)
    for name, task in spec.tasks.items():
        try:
            task_training(spec, task)
        except ValidationError as error:
            raise StudyError(_told(f"{where}: tasks.{name}.training", task.training, error)) from error
    _check_search(spec, where)
    return spec


def _check_values(data: Any, where: str, *, path: tuple[str, ...] = ()) -> None:
    """Look at every value for what a study cannot hold, whatever its key.

    Raises:
        StudyError: a text, a number or the nesting of values.
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
            raise StudyError(f"{where}: {_dotted(path)}: text must be valid Unicode, but got {shown(data)}")
        case int() if abs(data) >= 2**63:
            raise StudyError(
                f"{where}: {_dotted(path)}: a whole number must be below 2**63, but got {shown(data)}"
            )


def _check_written(spec: StudySpec, where: str) -> None:
    """Look whether the study, with all that its file leaves out, can be read back from its output folder.

    Raises:
        StudyError: it is too large.
    """
    pending: list[Any] = [spec.model_dump(mode="json")]
    values = characters = 0
    while pending:
        part = pending.pop()
        values += 1
        if isinstance(part, dict):
            pending += [*part, *part.values()]
        elif isinstance(part, list):
            pending += part
        elif isinstance(part, str):
            characters += len(part)
    if values > MOST_VALUES or characters > MOST_BYTES // 20:
        raise StudyError(
            f"{where}: with its defaults a study may hold at most {MOST_VALUES:,} values and "
            f"{MOST_BYTES // 20:,} characters, but this one has {values:,} and {characters:,}; "
            "make several studies of it"
        )


def _check_ablations(spec: StudySpec, data: dict[str, Any], where: str) -> None:
    found = all_ablations(spec)
    for name in spec.ablations:
        place = f"{where}: ablations.{name}"
        try:
            next(found)
        except ValidationError as error:
            raise StudyError(_told(f"{place}.vary", data["ablations"][name]["vary"], error)) from error
        except StudyError as error:
            raise StudyError(f"{place}.of: {error}") from error


def _check_search(spec: StudySpec, where: str) -> None:
    if spec.search is None:
        return
    known = [name for name, method in variants(spec) if not isinstance(method, NoneSpec)]
    for name in spec.search.spaces:
        if name not in known:
            raise StudyError(f"{where}: search.spaces are trained methods: {unknown_name(name, known)}")
    for name, (ablation, found) in zip(spec.ablations, all_ablations(spec), strict=True):
        for variant in found:
            space = spec.search.spaces.get(variant.name, spec.search.space)
            if undone := sorted(set(space) & set(ablation.vary)):
                raise StudyError(
                    f"{where}: search: ablations.{name} varies {', '.join(undone)}, which the search of "
                    f"{shown(variant.name)} would replace; give it another range under search.spaces"
                )
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
_KINDS = {"str", "int", "float", "bool", "null", "seq", "map", "timestamp", "merge", "value"}


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars (`1e-4` is a number, `no`, `=` and dates are text), no key twice, bounded in size."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) not in _NOT_RESOLVED]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values = self._levels = 0
        self._sizes: dict[int, int] = {}
        """Values in each node, by its `id`."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """Count what is read, aliases as often as they are used, before anything is made of it."""
        before, alias = self._values, self.check_event(yaml.AliasEvent)
        mark = self.peek_event().start_mark
        self._levels += 1
        if self._levels > MOST_LEVELS:
            raise yaml.composer.ComposerError(None, None, f"more than {MOST_LEVELS} levels are nested", mark)
        node: yaml.Node = super().compose_node(parent, index)
        self._levels -= 1
        if alias and id(node) not in self._sizes:
            raise yaml.composer.ComposerError(None, None, "an anchor must not hold itself (circular)", mark)
        self._values += self._sizes[id(node)] if alias else 1
        if self._values > MOST_VALUES:
            message = f"more than {MOST_VALUES:,} values (an alias counts as often as it is used)"
            raise yaml.composer.ComposerError(None, None, message, mark)
        self._sizes.setdefault(id(node), self._values - before)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """A value, if it is what its tag says and what a study can hold."""
        kind = node.tag.removeprefix(_TAG)
        if kind not in _KINDS:
            raise _no_value(
                node, f"it must be text, a number, true, false, null, a list or a mapping, not {kind}"
            )
        if kind == "int" and len(node.value) > _MOST_DIGITS:
            raise _no_value(node, f"a whole number may have at most {_MOST_DIGITS} digits")
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise _no_value(node, f"{kind}: {error}") from error
        except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
            raise _no_value(node, f"it must be what its tag says, {kind}") from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            return super().construct_mapping(node, deep)
        keys = [str(key.value) for key, _ in node.value if key.tag != f"{_TAG}merge"]
        for key, times in Counter(keys).items():
            if times > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key must stand once, but {shown(key)} stands twice", node.start_mark
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


def _no_value(node: yaml.Node, rule: str) -> yaml.YAMLError:
    value = shown(node.value) if isinstance(node, yaml.ScalarNode) else f"a {node.id}"
    error: yaml.YAMLError = yaml.constructor.ConstructorError(
        None, None, f"{value} is no value of a study: {rule}", node.start_mark
    )
    return error


class _Dumper(yaml.SafeDumper):
    """Quotes text that `_Loader` would read as a number, and escapes line breaks other than a newline."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        style = '"' if set("\x85\u2028\u2029") & set(text) else None
        return self.represent_scalar(f"{_TAG}str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)

_FLOAT = re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$")
_Loader.add_constructor(f"{_TAG}value", yaml.SafeLoader.construct_yaml_str)  # a bare "="
_BOOL = re.compile(r"^(true|True|TRUE|false|False|FALSE)$")
_Loader.add_implicit_resolver(f"{_TAG}bool", _BOOL, list("tTfF"))
# `<<` where no key stands
_Loader.add_constructor(f"{_TAG}merge", _Loader.construct_yaml_str)
for _yaml in (_Loader, _Dumper):
    _yaml.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789."))


def parse_yaml(text: str, loader: type[yaml.SafeLoader] = _Loader) -> Any:
    """What a YAML text says, as JSON has it: keys are text as written, and so is what JSON has no type for.

    Raises:
        ValueError: not YAML, not a tree, or too large.
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


def _apply(data: dict[str, Any], override: str, loader: type[yaml.SafeLoader] = _Loader) -> None:
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
        data[last] = text  # a column in braces, which YAML would read as a mapping
        return
    try:
        data[last] = parse_yaml(text, loader)
    except ValueError as error:
        reason = getattr(error.__cause__, "problem", None) or str(error)
        raise StudyError(
            f"an override's value must be valid YAML, but got {shown(override)} ({reason}); "
            "put quotes around text that YAML could take for something else"
        ) from error


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
        case {"id": str(name)} if name.startswith((".", "/", "~")) or (name and _is_folder(folder / name)):
            data["model"]["id"] = _anchored(folder, name)
    tasks = data.get("tasks")
    for task in tasks.values() if isinstance(tasks, dict) else ():
        source = task.get("source") if isinstance(task, dict) else None
        files = source.get("files") if isinstance(source, dict) else None
        if isinstance(files, dict):
            names = {split: name for split, name in files.items() if isinstance(name, str)}
            files |= {split: _anchored(folder, name) for split, name in names.items()}


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no file can have
        return False


def _anchored(folder: Path, name: str) -> str:
    try:
        return (folder / Path(name).expanduser()).resolve().as_posix()
    except (OSError, RuntimeError, ValueError) as error:
        raise StudyError(
            f"a path must be one that this system can resolve, but got {shown(name)}: {shown(str(error))}"
        ) from error


def _told(where: str, data: object, error: ValidationError) -> str:
    """One line for each broken rule: place, rule, value."""
    details = error.errors()
    inner = {detail["loc"][:size] for detail in details for size in range(len(detail["loc"]))}
    # a collection with a bad item is also reported as too short: that line would mislead
    wanted = [detail for detail in details if detail["loc"] not in inner]
    lines = [_line(where, data, detail) for detail in wanted[:_MOST_LINES]]
    if more := len(wanted) - len(lines):
        lines.append(f"{where}: and {more:,} more")
    return "\n".join(lines)


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
        case "string_type" if isinstance(value, dict):
            return f"{place}: {detail['msg']}, but got {shown(value)}; put quotes around text in braces"
        case _:
            return f"{place}: {detail['msg']}, but got {shown(value)}"


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
    return _dotted(steps), data


def _dotted(steps: Iterable[str]) -> str:
    """A path with dots; a step that does not print, or is long, is quoted."""
    return ".".join(
        step if step.isprintable() and len(step) <= LONGEST_VALUE else shown(step) for step in steps
    )


def _unknown_key(key: str) -> str:
    known = _known_keys()
    return (
        f"{shown(key)} is a key of something else, not of this" if key in known else unknown_name(key, known)
    )


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
