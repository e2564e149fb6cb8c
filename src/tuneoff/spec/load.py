"""From a study file, or the name of a packaged study, to a checked `StudySpec`."""

import importlib.resources
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tuneoff.errors import StudyError, unknown_name
from tuneoff.spec.plan import ablation_variants
from tuneoff.spec.study import BUILTIN, Spec, StudySpec

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
        data = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise StudyError(f"a study must be valid YAML: {where}: {error}") from error
    if not isinstance(data, dict):
        raise StudyError(f"a study must be a mapping of keys to values, but {where} holds {_kind(data)}")
    for override in overrides:
        _apply(data, override)
    _anchor_paths(data, folder)
    try:
        spec = StudySpec.model_validate_json(json.dumps(data, default=str))
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
    return spec


def dump_study(study: StudySpec) -> str:
    """The study as YAML that `load_study` reads back to an equal spec."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """YAML 1.2 floats (`1e-4` is a number), and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key must stand once, but '{key}' stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def _read(study: str) -> tuple[str, str, Path]:
    path = Path(study)
    if study in packaged_studies():
        return (_PACKAGED / f"{study}.yaml").read_text(encoding="utf-8"), f"study {study}", Path.cwd()
    if not path.is_file():
        raise StudyError(
            f"a study is a YAML file or a packaged name, but there is no file '{study}'; "
            f"{unknown_name(study, packaged_studies())}"
        )
    try:
        return path.read_text(encoding="utf-8"), path.name, path.resolve().parent
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"a study file must be readable UTF-8 text: {study}: {error}") from error


def _apply(data: dict[str, Any], override: str) -> None:
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
        data[last] = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise StudyError(f"an override's value must be valid YAML, but got '{override}'") from error


def _anchor_paths(data: dict[str, Any], folder: Path) -> None:
    """Makes the local paths of a study absolute; what has another form is left for validation."""
    model = data.get("model")
    if isinstance(model, dict) and isinstance(name := model.get("id"), str) and not name.startswith(BUILTIN):
        local = folder / Path(name).expanduser()
        if local.is_dir() or name.startswith((".", "/", "~")):
            model["id"] = local.resolve().as_posix()
    tasks = data.get("tasks")
    for task in tasks.values() if isinstance(tasks, dict) else ():
        source = task.get("source") if isinstance(task, dict) else None
        files = source.get("files") if isinstance(source, dict) else None
        for split, name in dict(files).items() if isinstance(files, dict) else ():
            if isinstance(name, str):
                files[split] = (folder / Path(name).expanduser()).resolve().as_posix()


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
            return f"{place}: {unknown_name(str(detail['loc'][-1]), _known_keys())}"
        case "missing":
            return f"{place}: this key is required"
        case "union_tag_not_found":
            return f"{place}: one of its keys must say what it is (kind; for a source: hub, files or builtin)"
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
        if isinstance(data, dict) and (key := _key(data, step)) is not None:
            data = data[key]
        elif isinstance(data, list) and isinstance(step, int):
            data = data[step]
        elif detail["type"] != "missing" or step != detail["loc"][-1]:
            continue
        steps.append(str(step))
    return ".".join(steps), data


def _key(data: dict[Any, Any], step: int | str) -> Any:
    """The key of the mapping that JSON has turned into this text."""
    return next((key for key in data if str(key) == str(step)), None)


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
