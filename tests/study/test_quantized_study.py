"""A study on a quantized model, from its file to its report."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from helpers import small
from helpers.command_line import tuneoff as command
from tuneoff import api
from tuneoff.errors import InputError
from tuneoff.spec import ModelSpec
from tuneoff.training import load_backbone

needs_torchao = pytest.mark.skipif(not importlib.util.find_spec("torchao"), reason="needs torchao")
needs_bitsandbytes = pytest.mark.skipif(
    not importlib.util.find_spec("bitsandbytes"), reason="needs bitsandbytes"
)


@pytest.mark.slow
@needs_bitsandbytes
def test_the_report_says_what_quantization_costs_the_untuned_model(tmp_path: Path) -> None:
    changes = ["model.quantization=nf4", "ablations={}", "train_sizes=[full]"]
    result = api.run(small.spec(tmp_path, changes), out=tmp_path / "out")
    records = {record.spec.method_name: record for record in result.data.records}
    assert list(records) == ["zero_shot", "lora", "zero_shot-quantization=none"]
    quantized, plain = records["zero_shot"], records["zero_shot-quantization=none"]
    assert quantized.model == plain.model
    assert quantized.footprint.base == plain.footprint.base
    assert quantized.footprint.base_bytes < plain.footprint.base_bytes / 2
    assert "bitsandbytes" in quantized.environment.packages
    assert "bitsandbytes" not in plain.environment.packages
    assert quantized.scores["eval_loss"] != plain.scores["eval_loss"]
    pairs = {(one.method, one.reference): one for one in result.comparisons.itertuples()}
    assert ("zero_shot-quantization=none", "zero_shot") in pairs
    assert any(
        "films: before any tuning, quantization to nf4 changes accuracy by" in one
        for one in result.conclusions
    )
    report = (tmp_path / "out/report/report.md").read_text(encoding="utf-8")
    cells = " ".join(report.split())
    assert re.search(r"\| quantization +\| nf4 \| \| memory of the weights +\| [\d.]+ [kM]B \|", cells)
    assert not result.data.excluded


@needs_torchao
def test_full_fine_tuning_of_a_quantized_model_is_refused_in_one_line_before_the_first_run(
    tmp_path: Path,
) -> None:
    study = str(small.study(tmp_path))
    changes = ["--set", "model.quantization=int8", "--set", "methods.full={kind: full}"]
    for name in ("plan", "run"):
        out = ["--out", str(tmp_path / "out")] if name == "run" else []
        code, _, err = command(name, study, *changes, *out)
        assert code == 2
        assert err.count("\n") == 1
        assert "kind: full trains every weight of the model, but quantized weights cannot be trained" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "quantization",
    [pytest.param("int8", marks=needs_torchao), pytest.param("nf4", marks=needs_bitsandbytes)],
)
def test_a_quantized_model_is_that_of_its_files_with_as_many_parameters_in_less_memory(quantization):
    plain, quantized = (
        load_backbone(ModelSpec(id="builtin:random", quantization=one)) for one in (None, quantization)
    )
    assert quantized.digest == plain.digest
    assert quantized.model.get_memory_footprint() < plain.model.get_memory_footprint()


@pytest.mark.parametrize(("quantization", "package"), [("int8", "torchao"), ("nf4", "bitsandbytes")])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, quantization: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    expected = rf"model.quantization: {quantization} .*'tuneoff\[quantized\]' \(missing: {package}\)$"
    with pytest.raises(InputError, match=expected):
        load_backbone(ModelSpec(id="builtin:random", quantization=quantization))
