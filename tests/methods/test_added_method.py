"""docs/adding_a_method.md, followed to the letter: a package of its own adds a kind."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from pydantic import TypeAdapter, ValidationError

import tuneoff
from helpers import small
from helpers.method_contract import MethodContract
from tuneoff.errors import StudyError
from tuneoff.reporting.methods import described_methods
from tuneoff.spec import LoraSpec, Method, StackSpec, study_schema

GUIDE = Path(tuneoff.__file__).parents[2] / "docs" / "adding_a_method.md"
METHOD = TypeAdapter[Method](Method)


def install(folder: Path) -> None:
    """Write the package of the guide and its entry point as pip would."""
    text = GUIDE.read_text(encoding="utf-8")
    files = re.findall(r"^`(scaled/\w+\.py)`:\n\n```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in files] == ["scaled/spec.py", "scaled/adapter.py"]
    for name, code in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code, encoding="utf-8")
    (point,) = re.findall(r"^scaled = \"(.*)\"$", text, re.MULTILINE)
    describe(folder, f"scaled = {point}")


def describe(folder: Path, entry_point: str) -> None:
    """Write the metadata of an installed package."""
    metadata = folder / "scaled-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: scaled\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[tuneoff.methods]\n{entry_point}\n")


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("site-packages")
    install(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "scaled"]:
        del sys.modules[name]


@pytest.mark.slow
class TestScaled(MethodContract):
    kinds = ("flan", "llama", "bart")

    @property
    def method(self):
        return METHOD.validate_python({"kind": "scaled"})


@pytest.mark.slow
class TestScaledInAStack(MethodContract):
    kinds = ("flan",)

    @property
    def method(self):
        return StackSpec(
            kind="stack", parts=(METHOD.validate_python({"kind": "scaled"}), LoraSpec(kind="lora"))
        )


def test_the_schema_of_studies_knows_its_name() -> None:
    schema = study_schema()
    (methods,) = schema["properties"]["methods"]["patternProperties"].values()
    validator = jsonschema.Draft202012Validator({"$defs": schema["$defs"], **methods})
    assert validator.is_valid({"kind": "scaled", "spread": 0.02})
    assert not validator.is_valid({"kind": "scalde", "spread": 0.02})


@pytest.mark.slow
def test_a_study_runs_it_and_the_report_describes_it(tmp_path: Path) -> None:
    overrides = ["methods={scaled: {kind: scaled, spread: 0.02}}", "ablations={}", "train_sizes=[8]"]
    result = tuneoff.run(small.spec(tmp_path, overrides), out=tmp_path / "out")
    (record,) = result.records
    assert record.state == "complete"
    assert record.spec.method.spread == pytest.approx(0.02)
    described, _ = described_methods(result.data)
    assert [one.name for one in described] == ["scaled"]
    assert described[0].text.startswith("scaled multiplies each dimension of the input's embeddings by a")
    assert described[0].sources[0] == "nobody, it is an example"


def test_its_settings_are_checked_where_they_stand(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"methods\.lora\.spread: .* greater than or equal to 0"):
        small.spec(tmp_path, ["methods.lora={kind: scaled, spread: -1}"])


def test_an_unknown_kind_is_answered_with_the_added_ones(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="did you mean 'scaled'"):
        small.spec(tmp_path, ["methods.lora={kind: scalad}"])


def test_a_package_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    describe(tmp_path / "site", "broken = nothing_here:Spec")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(StudyError, match=r"kind: broken .* \(nothing_here:Spec\), which cannot"):
        small.spec(tmp_path, ["methods.lora={kind: broken}"])


def test_a_package_whose_kind_no_study_names_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    describe(site, "unused = imported_unasked:Spec\nused = imported_asked:Spec")
    for name in ("imported_unasked", "imported_asked"):
        (site / f"{name}.py").write_text("from tuneoff.spec import LoraSpec as Spec\n", encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    small.spec(tmp_path, ["methods.lora={kind: lora}"])
    assert "imported_asked" not in sys.modules
    with pytest.raises(StudyError):  # it is a spec of another kind
        small.spec(tmp_path, ["methods.lora={kind: used}"])
    assert sys.modules.pop("imported_asked")
    assert "imported_unasked" not in sys.modules


def test_full_fine_tuning_is_no_part_of_a_stack_even_as_an_object() -> None:
    full = METHOD.validate_python({"kind": "full"})
    with pytest.raises(ValidationError, match="kind: full cannot be part of a stack"):
        StackSpec(kind="stack", parts=(full, LoraSpec(kind="lora")))
