"""`model.quantization` in studies: what it adds to the plan, and what it leaves as it was."""

from pathlib import Path

import pytest

from helpers import small
from tuneoff.errors import StudyError
from tuneoff.results.identity import places_of
from tuneoff.spec import ablation_variants, expand, load_study, variants

INT8 = "model.quantization=int8"


def test_ids_of_runs_and_the_place_of_the_model_are_those_from_before_there_was_any(tmp_path: Path) -> None:
    study = small.spec(tmp_path)
    assert study.model.quantization is None
    assert "quantization" not in expand(study)[0].identifying_settings()["model"]
    assert places_of(study) == places_of(small.spec(tmp_path, [INT8]))


def test_a_quantized_model_has_other_runs(tmp_path: Path) -> None:
    plain, quantized = (expand(small.spec(tmp_path, changes)) for changes in ([], [INT8]))
    own = [run for run in quantized if run.model.quantization == "int8"]
    assert [run.method_name for run in own] == [run.method_name for run in plain]
    assert not {run.settings_key for run in own} & {run.settings_key for run in plain}


def test_the_untuned_model_is_run_without_quantization_too(tmp_path: Path) -> None:
    added = [run for run in expand(small.spec(tmp_path, [INT8])) if run.model.quantization is None]
    assert [(run.method_name, run.method.kind) for run in added] == [("zero_shot-quantization=none", "none")]
    untuned = next(run for run in expand(small.spec(tmp_path)) if run.method_name == "zero_shot")
    assert added[0].model_copy(update={"method_name": "zero_shot"}).settings_key == untuned.settings_key


@pytest.mark.parametrize("changes", [[], [INT8, "methods={lora: {kind: lora}}"]])
def test_without_a_quantized_or_an_untuned_model_nothing_is_added(tmp_path: Path, changes: list[str]) -> None:
    study = small.spec(tmp_path, changes)
    names = {*study.methods, *(one.name for one in ablation_variants(study, study.ablations["lora_rank"]))}
    assert {one.name for one in variants(study)} == names


def test_the_quantization_can_be_varied_for_any_method(tmp_path: Path) -> None:
    ablation = "{of: lora, vary: {quantization: [null, int8, nf4], rank: [1, 2]}}"
    study = small.spec(tmp_path, [f"ablations={{bits: {ablation}}}", "model.quantization=nf4"])
    found = {
        one.name: (one.model.quantization, one.method.rank)
        for one in ablation_variants(study, study.ablations["bits"])
    }
    assert found == {
        "lora-quantization=none-rank=1": (None, 1),
        "lora-quantization=none-rank=2": (None, 2),
        "lora-quantization=int8-rank=1": ("int8", 1),
        "lora-quantization=int8-rank=2": ("int8", 2),
        "lora-quantization=nf4-rank=1": ("nf4", 1),
        "lora": ("nf4", 2),  # as the study has it
    }
    assert all(one.id == study.model.id for one in {run.model for run in expand(study)})


def test_an_ablation_of_the_untuned_model_is_the_run_that_is_added(tmp_path: Path) -> None:
    ablation = "ablations={bits: {of: zero_shot, vary: {quantization: [null, nf4]}}}"
    names = [one.name for one in variants(small.spec(tmp_path, [INT8, ablation]))]
    assert sorted(names) == ["lora", "zero_shot", "zero_shot-quantization=nf4", "zero_shot-quantization=none"]


@pytest.mark.parametrize(
    ("override", "place"),
    [
        ("model.quantization=int4", r"model\.quantization"),
        ("ablations.lora_rank.vary={quantization: [int4]}", r"ablations\.lora_rank\.vary.*quantization"),
    ],
)
def test_another_quantization_is_refused_with_those_that_there_are(
    tmp_path: Path, override: str, place: str
) -> None:
    with pytest.raises(StudyError, match=f"{place}.*'int8' or 'nf4'.*int4"):
        load_study(str(small.study(tmp_path)), overrides=[override])
