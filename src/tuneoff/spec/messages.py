"""What pydantic found wrong with a study, as messages that lead to its place."""

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tuneoff.errors import LONGEST_VALUE, shown, unknown_name
from tuneoff.spec.base import Spec
from tuneoff.spec.methods import FullSpec, LoraSpec, NoneSpec, PrefixSpec, PromptSpec, StackSpec
from tuneoff.spec.model import ModelSpec
from tuneoff.spec.search import SearchSpec
from tuneoff.spec.study import AblationSpec, ComparisonSpec, StudySpec
from tuneoff.spec.tasks import BuiltinSource, ClassificationSpec, FilesSource, HubSource, SummarizationSpec
from tuneoff.spec.training import DropoutSpec, TrainingSpec

_MOST_LINES = 20
_SPECS: tuple[type[Spec], ...] = (
    *(StudySpec, ModelSpec, TrainingSpec, DropoutSpec, SearchSpec, AblationSpec, ComparisonSpec),
    *(ClassificationSpec, SummarizationSpec, HubSource, FilesSource, BuiltinSource),
    *(NoneSpec, FullSpec, LoraSpec, PrefixSpec, PromptSpec, StackSpec),
)
"""All that a study file is made of: a key that one of them has is no spelling mistake."""


def broken_rules(where: str, data: object, error: ValidationError) -> str:
    """Return one line for each broken rule: place, rule, value."""
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
    return dotted(steps), data


def dotted(steps: Iterable[str]) -> str:
    """A path with dots; a step that does not print, or is long, is quoted."""
    return ".".join(
        step if step.isprintable() and len(step) <= LONGEST_VALUE else shown(step) for step in steps
    )


def _unknown_key(key: str) -> str:
    known = {field for spec in _SPECS for field in spec.model_fields}
    return (
        f"{shown(key)} is a key of something else, not of this" if key in known else unknown_name(key, known)
    )
