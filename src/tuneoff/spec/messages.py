"""Messages about a study that breaks rules: from pydantic's errors to place, rule and value."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tuneoff.errors import LONGEST_VALUE, shown, unknown_name
from tuneoff.spec.base import Spec
from tuneoff.spec.forgetting import ForgettingSpec
from tuneoff.spec.methods import KINDS
from tuneoff.spec.mixtures import MixtureSpec
from tuneoff.spec.model import ModelSpec
from tuneoff.spec.search import SearchSpec
from tuneoff.spec.seeds import BudgetSpec, SeedRange
from tuneoff.spec.study import AblationSpec, ComparisonSpec, StudySpec
from tuneoff.spec.tasks import (
    BuiltinSource,
    ClassificationSpec,
    FilesSource,
    GenerationSpec,
    HubSource,
    MultipleChoiceSpec,
    SummarizationSpec,
)
from tuneoff.spec.training import DropoutSpec, TrainingSpec

_MOST_LINES = 20
_PARTS: dict[type[Spec], str] = {
    StudySpec: "the study's top level",
    ModelSpec: "`model`",
    TrainingSpec: "`training`",
    DropoutSpec: "`training.dropout`",
    SearchSpec: "`search`",
    AblationSpec: "`ablations`",
    MixtureSpec: "`mixtures`",
    ComparisonSpec: "`comparison`",
    ForgettingSpec: "`forgetting`",
    SeedRange: "`seeds`",
    BudgetSpec: "`budget`",
    ClassificationSpec: "`kind: classification`",
    MultipleChoiceSpec: "`kind: multiple_choice`",
    SummarizationSpec: "`kind: summarization`",
    GenerationSpec: "`kind: generation`",
    HubSource: "`source`",
    FilesSource: "`source`",
    BuiltinSource: "`source`",
}
_OWNERS: Mapping[type[Spec], str] = MappingProxyType(
    _PARTS | {spec: f"`kind: {kind}`" for kind, spec in KINDS.items()}
)
"""All specs that a study file is made of, and where a message says that their keys belong."""


def broken_rules(where: str, data: object, error: ValidationError) -> str:
    """Return one line for each broken rule, with place, rule and value; at most 20 lines."""
    details = error.errors()
    # A list with a bad item gives two errors: one at ("seeds", 0), and one at ("seeds",) that calls the list
    # too short. The second would mislead, so an error is dropped if its place contains the place of another:
    # if its `loc` is a proper prefix of another `loc`.
    places = [detail["loc"] for detail in details]
    containing = {place[:length] for place in places for length in range(len(place))}
    innermost = [detail for detail in details if detail["loc"] not in containing]
    lines = [_line(where, data, detail) for detail in innermost[:_MOST_LINES]]
    if more := len(innermost) - len(lines):
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
        case "union_tag_not_found" if detail["loc"][-1] == "source":
            return f"{place}: exactly one of the keys hub, files and builtin is required"
        case "union_tag_not_found":
            return f"{place}: the key 'kind' is required"
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
    """Return the dotted path of an error in the study as it was written, and the value there.

    Pydantic puts the chosen kind of a union among the steps: ("methods", "lora_8", "lora", "rank") for the
    path methods.lora_8.rank. A step that is no key of the data is such a kind and is skipped, unless it is
    the key that is missing.
    """
    steps: list[str] = []
    for step in detail["loc"]:
        match data:
            case dict() if step in data:
                data = data[step]
            case list() if isinstance(step, int) and step < len(data):
                data = data[step]
            case _:
                if detail["type"] != "missing" or step != detail["loc"][-1]:
                    continue
        steps.append(str(step))
    return dotted(steps), data


def dotted(steps: Iterable[str]) -> str:
    """Return a path with dots; a step that does not print, or is long, is quoted."""
    return ".".join(
        step if step.isprintable() and len(step) <= LONGEST_VALUE else shown(step) for step in steps
    )


def _unknown_key(key: str) -> str:
    """Return a message on a key in the wrong place, or one that no place knows."""
    owners = [place for spec, place in _OWNERS.items() if key in _keys(spec)]
    if owners:
        return f"{shown(key)} is not valid here; it belongs to {', '.join(dict.fromkeys(owners))}"
    return unknown_name(key, {known for spec in _OWNERS for known in _keys(spec)})


def _keys(spec: type[Spec]) -> set[str]:
    """Return the keys of a spec as a study writes them."""
    return {field.alias or name for name, field in spec.model_fields.items()}
