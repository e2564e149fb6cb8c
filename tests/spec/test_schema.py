"""The JSON Schema of studies, read by another library's validator."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from helpers.command_line import tuneoff
from tuneoff.spec import packaged_studies, study_schema
from tuneoff.spec.methods import KINDS
from tuneoff.spec.yaml import parse_yaml

ROOT = Path(__file__).parents[2]
FOLDERS = ("src/tuneoff/spec/studies", "examples", "benchmarks", "pretraining")
STUDIES = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = study_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def as_editors_read(path: Path) -> Any:
    """The study as JSON; PyYAML alone would take `4e-3` for text."""
    return parse_yaml(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_projects_studies_are_valid(validator: jsonschema.Draft202012Validator, path: Path) -> None:
    assert [error.message for error in validator.iter_errors(as_editors_read(path))] == []


def test_the_packaged_studies_are_among_them() -> None:
    assert set(packaged_studies()) <= {path.stem for path in STUDIES}


def quickstart(**changes: Any) -> dict[str, Any]:
    return as_editors_read(ROOT / "src/tuneoff/spec/studies/quickstart.yaml") | changes


def wrong_studies() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "unknown key", quickstart(sedes=[1])
    yield "missing key", {"name": "x"}
    yield "key of another kind", quickstart(methods={"full": {"kind": "full", "rank": 8}})
    yield "unknown kind", quickstart(methods={"one": {"kind": "lorra"}})
    yield (
        "kind in a stack",
        quickstart(methods={"both": {"kind": "stack", "parts": [{"kind": "lora"}, {"kind": "full"}]}}),
    )
    yield "wrong type", quickstart(methods={"lora": {"kind": "lora", "rank": "eight"}})
    yield "out of range", quickstart(methods={"lora": {"kind": "lora", "dropout": 1.5}})
    yield "key of a preset's part", quickstart(methods={"mam": {"kind": "mam", "prefix": {"rank": 8}}})
    task = quickstart()["tasks"]["reviews"]
    yield "key of a task", quickstart(tasks={"reviews": task | {"labls": ["a", "b"]}})
    yield "key of a task's training", quickstart(tasks={"reviews": task | {"training": {"steps": 3}}})
    yield (
        "two sources",
        quickstart(tasks={"reviews": task | {"source": {"builtin": "reviews", "hub": "glue"}}}),
    )


@pytest.mark.parametrize("study", [pytest.param(study, id=name) for name, study in wrong_studies()])
def test_a_wrong_study_is_not(validator: jsonschema.Draft202012Validator, study: dict[str, Any]) -> None:
    assert not validator.is_valid(study)


@pytest.mark.parametrize(
    "method",
    [
        {"kind": "mam"},
        {"kind": "mam", "prefix": {"length": 10}, "adapter": {"reduction": 8}},
        {"kind": "stack", "parts": [{"kind": "lora"}, {"kind": "prefix"}]},
        {"kind": "peft", "config": {"peft_type": "LOHA", "r": 8}},
    ],
)
def test_methods_with_parts_and_configs_are_valid(
    validator: jsonschema.Draft202012Validator, method: dict[str, Any]
) -> None:
    validator.validate(quickstart(methods={"one": method}))


def test_labels_may_be_written_as_in_the_file_or_as_a_list(
    validator: jsonschema.Draft202012Validator,
) -> None:
    task = quickstart()["tasks"]["reviews"]
    for labels in ({"0": 0, "1": True, "2": 0.5}, ["bad", "good"]):
        validator.validate(quickstart(tasks={"reviews": task | {"labels": labels}}))


def test_every_key_is_explained() -> None:
    schema = study_schema()
    keys = {
        f"{name}.{key}": field
        for name, spec in {"study": schema, **schema["$defs"]}.items()
        for key, field in spec.get("properties", {}).items()
    }
    presets = {f"{KINDS[kind].__name__}.{part}" for kind in ("mam", "unipelt") for part in KINDS}
    unexplained = {
        name for name, field in keys.items() if not field.get("description") and not name.endswith(".kind")
    }
    assert unexplained <= presets  # a part has the name of its kind


def test_the_command_writes_it(tmp_path: Path) -> None:
    outcome = tuneoff("schema", "--out", tmp_path / "schema.json")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert json.loads((tmp_path / "schema.json").read_text(encoding="utf-8")) == study_schema()
    assert json.loads(tuneoff("schema").out) == study_schema()
