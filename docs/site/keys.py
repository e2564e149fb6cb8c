"""The page of all keys of a study file, made of the specs: their docstrings, types, ranges and defaults."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tuneoff.spec import study_schema
from tuneoff.spec.methods import KINDS, TunedSpec

Schema = Mapping[str, Any]

_LARGE = 2**30
_TASKS = ("ClassificationSpec", "MultipleChoiceSpec", "SummarizationSpec", "GenerationSpec")
_SOURCES = ("FilesSource", "HubSource", "BuiltinSource")
_PLACES = {
    "ModelSpec": "model",
    "AblationSpec": "ablations",
    "MixtureSpec": "mixtures",
    "SeedRange": "seeds of a race",
    "BudgetSpec": "budget",
    "TrainingSpec": "training",
    "DropoutSpec": "training.dropout",
    "SearchSpec": "search",
    "ComparisonSpec": "comparison",
    "ForgettingSpec": "forgetting",
}
"""From a spec that has a section of its own to the section's title; the page has them in this order."""


def keys_page() -> str:
    """Return the page's sections as Markdown."""
    schema = study_schema()
    specs: dict[str, Schema] = schema.pop("$defs")
    own = {spec.__name__: f"kind: {kind}" for kind, spec in KINDS.items()}
    titles = _PLACES | own | {name: f"kind: {_kind(specs[name])}" for name in _TASKS}
    # what later versions add has a section, too
    rest = [name for name in specs if name not in (*titles, *_SOURCES) and "properties" in specs[name]]
    titles |= {name: specs[name]["title"].removesuffix("Spec").lower() for name in rest}
    return "\n".join(_sections(schema, specs, titles))


def _sections(study: Schema, specs: Mapping[str, Schema], titles: Mapping[str, str]) -> Iterator[str]:
    def table(spec: Schema, *, only: Callable[[str], bool] = lambda key: True) -> str:
        return _table(spec, titles, only=only)

    yield f"## The study\n\n{table(study)}\n"
    yield f"## model\n\n{_about(specs['ModelSpec'])}\n\n{table(specs['ModelSpec'])}\n"

    shared = set.intersection(*(set(specs[name]["properties"]) for name in _TASKS)) - {"kind"}
    first = specs[_TASKS[0]]
    text = table(first, only=shared.__contains__)
    yield f"## tasks\n\nEach task has these keys, and those of its kind.\n\n{text}\n"
    for name in _TASKS:
        yield _section(3, titles[name], specs[name], table(specs[name], only=lambda key: key not in shared))
    for name in _SOURCES:
        title = f"source: {name.removesuffix('Source').lower()}"
        yield _section(3, title, specs[name], table(specs[name]))

    common = set(TunedSpec.model_fields) - {"kind", "learning_rate"}
    text = table(specs["LoraSpec"], only=common.__contains__)
    yield (
        "## methods\n\nEach method that trains something has these keys, those of its kind, and "
        f"`learning_rate`, whose default depends on the kind.\n\n{text}\n"
    )
    for kind, spec in KINDS.items():
        text = table(specs[spec.__name__], only=lambda key: key not in common)
        source = f"\n\nSource: {spec.source}." if issubclass(spec, TunedSpec) else ""
        yield _section(3, f"kind: {kind}", specs[spec.__name__], text + source)

    for name, title in titles.items():
        if not title.startswith("kind: ") and name != "ModelSpec":
            yield _section(2, title, specs[name], table(specs[name]))


def _section(level: int, title: str, spec: Schema, text: str) -> str:
    return f"{'#' * level} {title}\n\n{_about(spec)}\n\n{text}\n"


def _about(spec: Schema) -> str:
    return str(spec.get("description", ""))


def _kind(spec: Schema) -> str:
    return str(spec["properties"]["kind"]["const"])


def _table(spec: Schema, titles: Mapping[str, str], *, only: Callable[[str], bool]) -> str:
    rows = []
    for key, field in spec["properties"].items():
        if key == "kind" or not only(key):
            continue
        default = "required" if key in spec.get("required", ()) else _default(field)
        meaning = _cell(field.get("description", ""))
        rows.append(f"| `{key}` | {_cell(_in_words(field, titles))} | {default} | {meaning} |")
    if not rows:
        return "No keys of its own."
    return "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *rows])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default(field: Schema) -> str:
    value = field.get("default")
    return "" if value is None or isinstance(value, dict) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _in_words(field: Schema, titles: Mapping[str, str]) -> str:
    """Return what a value may be."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"keys of [{titles[name]}](#{slug(titles[name])})" if name in titles else "any"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{one}`" for one in field["enum"])
    options = field.get("anyOf") or field.get("oneOf")
    if options and "discriminator" in field:
        return "a mapping with `kind`"
    if options and all("Source" in one.get("$ref", "") for one in options):
        return " or ".join(f"[{kind}](#source-{kind})" for kind in ("files", "hub", "builtin"))
    if options:
        return " or ".join(dict.fromkeys(_in_words(one, titles) for one in options))
    match field.get("type"):
        case "integer":
            return "whole number" + _range(field)
        case "number":
            return "number" + _range(field)
        case "string":
            return "text"
        case "boolean":
            return "`true` or `false`"
        case "null":
            return "`null`"
        case "array" if "prefixItems" in field:
            return "list of " + ", ".join(_in_words(one, titles) for one in field["prefixItems"])
        case "array":
            return f"list of: {_in_words(field['items'], titles)}"
        case "object" if "properties" in field and "description" in field:
            return (
                "some of the keys of the training"
                if "max_steps" in field["properties"]
                else "keys of the part"
            )
        case "object" if "properties" in field:
            return "keys of the part"
        case "object":
            values = [*field.get("patternProperties", {}).values(), field.get("additionalProperties")]
            found = next((one for one in values if isinstance(one, dict)), None)
            return f"mapping to: {_in_words(found, titles)}" if found else "mapping"
        case list() as types:
            return " or ".join("`null`" if one == "null" else f"{one}" for one in types)
        case _:
            return "any"


def _range(field: Schema) -> str:
    """Return the limits of a number; those that are only there to keep it computable are left out."""
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    limits = {word: field[key] for key, word in words.items() if key in field and field[key] < _LARGE}
    if field["type"] == "integer" and "above" in limits:
        limits = {"from": limits.pop("above") + 1, **limits}
    parts = [f"{word} {limit:,}" for word, limit in limits.items()]
    return f" {' '.join(parts)}" if parts else ""


def slug(title: str) -> str:
    """Return a heading's anchor, as the site and code hosts make it of these titles."""
    kept = "".join(one for one in title.lower() if one.isalnum() or one in " -_")
    return kept.replace(" ", "-")
