"""Runs of PEFT's methods: what their records and the report have of them."""

from pathlib import Path

import pytest

from helpers import small
from tuneoff.errors import StudyError
from tuneoff.methods import load
from tuneoff.reporting.data import load_report_data
from tuneoff.reporting.ranks import ranks_table
from tuneoff.results import RunRecord, StudyFolder, read_records
from tuneoff.spec import ModelSpec, StudySpec, expand, load_study
from tuneoff.study import InlineExecutor, estimate, run_study
from tuneoff.training import Session, load_backbone

pytestmark = pytest.mark.slow

METHODS = """
methods:
  adalora: {kind: adalora, rank: 1, initial_rank: 3, learning_rate: 1e-2}
  loha: {kind: peft, config: {peft_type: LOHA, r: 2}}
  bias: {kind: bias}
train_sizes: [full]
training: {max_steps: 10, per_device_train_batch_size: 4, eval_steps: 5, load_best_model_at_end: false}
"""
STUDY = small.STUDY.partition("methods:")[0] + METHODS


def the_study(folder: Path, *overrides: str) -> StudySpec:
    return load_study(str(small.study(folder, STUDY)), overrides=overrides)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("peft")
    run_study(the_study(place), place / "out", executor=InlineExecutor())
    return place / "out"


def of(folder: Path, method: str) -> RunRecord:
    (record,) = [one for one in read_records(folder) if one.spec.method_name == method]
    return record


def test_adaloras_record_has_the_ranks_that_are_stored(folder: Path) -> None:
    record = of(folder, "adalora")
    assert record.state == "complete"
    # builtin:random has 3 + 2 layers with 3 + 4 attentions, q and v each
    assert len(record.ranks) == 14
    assert sum(record.ranks.values()) == 14
    assert record.footprint is not None
    assert record.footprint.stored * 2 < record.footprint.trainable
    model = load_backbone(ModelSpec(id="builtin:random")).model
    loaded = load(model, StudyFolder(folder).run(record.run_id).adapter)
    assert loaded.ranks() == record.ranks
    assert sum(tensor.numel() for tensor in loaded.stored().values()) == record.footprint.stored


def test_the_report_shows_the_ranks(folder: Path) -> None:
    rows = ranks_table(load_report_data(folder)).rows
    assert {row[0] for row in rows} == {"adalora"}
    assert {row[3] for row in rows} == {
        "encoder.SelfAttention.q",
        "encoder.SelfAttention.v",
        "decoder.SelfAttention.q",
        "decoder.SelfAttention.v",
        "decoder.EncDecAttention.q",
        "decoder.EncDecAttention.v",
    }


def test_a_type_of_peft_is_trained_and_one_that_does_not_fit_fails_alone(folder: Path) -> None:
    loha = of(folder, "loha")
    assert loha.state == "complete"
    assert loha.footprint is not None
    assert loha.footprint.trainable == loha.footprint.receiving_gradient == loha.footprint.stored > 0
    assert loha.ranks == {}
    bias = of(folder, "bias")
    assert bias.state == "failed"
    assert bias.failure is not None
    assert "has none; kind: ln_tuning" in bias.failure.message


def test_the_schedule_of_adalora_is_refused_by_plan_where_a_run_is_too_short(tmp_path: Path) -> None:
    study = the_study(tmp_path, "training.max_steps=1", "training.eval_steps=1")
    unfit = {one.run.method_name: one.unfit for one in estimate(expand(study), Session())}
    assert "AdaLoRA needs two steps or more" in str(unfit["adalora"])
    assert unfit["loha"] is None


def test_a_wrong_config_is_refused_before_the_first_run(tmp_path: Path) -> None:
    study = the_study(tmp_path, "methods.loha.config={peft_type: LOHA, ranks: 2}")
    with pytest.raises(StudyError, match="config of PEFT's LOHA: unknown name 'ranks'"):
        run_study(study, tmp_path / "out", executor=InlineExecutor())
    assert not (tmp_path / "out").exists()
