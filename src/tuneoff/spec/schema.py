"""The JSON Schema of study files, with which an editor completes, explains and checks them."""

from typing import Any

from tuneoff.spec.base import Spec
from tuneoff.spec.methods import KINDS
from tuneoff.spec.methods.kinds import added_kinds
from tuneoff.spec.methods.presets import PresetSpec
from tuneoff.spec.study import StudySpec

SCHEMA_FILE = "study.schema.json"
"""The name of the schema beside a drafted study, whose first line refers to it."""
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def study_schema() -> dict[str, Any]:
    """Return the JSON Schema of a study file, with the kinds of methods that other packages add here.

    It knows keys, types and ranges. What depends on several keys, or on the data, only `load_study` and
    `tuneoff plan` check.
    """
    schema = StudySpec.model_json_schema()
    specs = schema["$defs"]
    for spec in specs.values():
        if training := spec.get("properties", {}).get("training"):
            _allow_a_part(training, specs["TrainingSpec"])
    for kind in KINDS.values():
        fields = specs[kind.__name__]["properties"]
        for name, field in fields.items():
            # one that a subclass gives another default has its text in the base class
            texts = [base.model_fields[name].description for base in _bases(kind, name)]
            if text := next(filter(None, texts), None):
                field["description"] = text
        if issubclass(kind, PresetSpec):
            specs[kind.__name__]["required"] = ["kind"]
            for part in kind.settings:
                _allow_a_part(fields[part], specs[fields[part].pop("$ref").rpartition("/")[2]])
    (method,) = schema["properties"]["methods"]["patternProperties"].values()
    for methods in (method, specs["StackSpec"]["properties"]["parts"]["items"]):
        # their settings are known to their packages alone
        methods["oneOf"] += [
            {"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]}
            for kind in added_kinds()
        ]
    return {"$schema": _DIALECT, **schema}


def _bases(spec: type[Spec], field: str) -> list[type[Spec]]:
    """Return a spec and its base classes that have the field, the spec first."""
    return [base for base in spec.__mro__ if issubclass(base, Spec) and field in base.model_fields]


def _allow_a_part(schema: dict[str, Any], spec: dict[str, Any]) -> None:
    """Make the schema of a mapping allow any of a spec's keys, none of which is required."""
    schema |= {"type": "object", "properties": spec["properties"], "additionalProperties": False}
