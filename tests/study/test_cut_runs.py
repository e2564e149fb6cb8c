"""Runs whose LoRA is cut after training, and the cut methods that `tuneoff prune` saves."""

import re
import shutil
from pathlib import Path

import pyarrow.parquet
import pytest
import torch

from helpers import small
from helpers.command_line import contents, tuneoff
from helpers.models import tiny_t5
from tuneoff.methods import attach, load, save
from tuneoff.methods.lora_rank import ranks
from tuneoff.results import RunRecord, StudyFolder, read_records
from tuneoff.spec import PromptSpec
from tuneoff.training import Decoder, Session, load_backbone
from tuneoff.training.data import run_data
from tuneoff.training.scores import scores_of

pytestmark = pytest.mark.slow
KEEPS = (0.5, 0.25)
STUDY = small.STUDY.replace("dropout: 0.1}", "dropout: 0.1, cuts: [0.5, 0.25], learning_rate: 0.5}")
OVERRIDES = ("--set", "ablations={}", "--set", "train_sizes=[8]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a small study that measures cuts."""
    place = tmp_path_factory.mktemp("cuts")
    outcome = tuneoff("run", small.study(place, STUDY), "--out", place / "out", *OVERRIDES)
    assert (outcome.code, outcome.err) == (0, "")
    return place / "out"


def lora(folder: Path) -> RunRecord:
    (record,) = (one for one in read_records(folder) if one.spec.method_name == "lora")
    return record


def test_a_run_has_the_scores_of_each_cut_as_a_whole_and_by_row(folder: Path) -> None:
    record = lora(folder)
    assert record.footprint is not None
    assert [cut.keep for cut in record.cuts] == list(KEEPS)
    table = pyarrow.parquet.read_table(StudyFolder(folder).run(record.run_id).cuts).to_pandas()
    for cut in record.cuts:
        assert 0 < cut.stored <= cut.keep * record.footprint.stored
        assert cut.stored_bytes == 4 * cut.stored
        own = table[table["keep"] == cut.keep]
        assert sorted(own["row"]) == list(range(small.ROWS["test"]))
        assert own["score"].mean() == pytest.approx(cut.scores["eval_accuracy"])
    assert "cuts.parquet" in record.files


def test_a_cut_scores_as_what_prune_saves_and_load_opens(folder: Path, tmp_path: Path) -> None:
    record = lora(folder)
    assert record.scores["eval_loss"] != pytest.approx(record.cuts[-1].scores["eval_loss"], rel=1e-6)
    for cut in record.cuts:
        place = tmp_path / f"{cut.keep}"
        outcome = tuneoff("prune", folder / record.run_id, "--keep", str(cut.keep), "--out", place)
        assert (outcome.code, outcome.err) == (0, "")
        backbone = load_backbone(record.spec.model)
        adapted = load(backbone.model, place)
        assert ranks(adapted.stored()) == cut.ranks
        data = run_data(record.spec, backbone.tokenizer, Session())
        decoder = Decoder(adapted, backbone.tokenizer, record.spec.task, 32, "float32")
        answers = decoder.answers(data.encoded["test"])
        scores = scores_of(record.spec.task, data.examples["test"], data.encoded["test"], answers)
        # the run may have been tested in bfloat16
        assert scores["eval_loss"] == pytest.approx(cut.scores["eval_loss"], rel=1e-2)


def test_cuts_that_a_finished_study_lacks_are_measured_by_doing_those_runs_again(
    folder: Path, tmp_path: Path
) -> None:
    study = small.study(tmp_path, STUDY.replace("cuts: [0.5, 0.25], ", ""))
    tuneoff("run", study, "--out", tmp_path / "out", *OVERRIDES)
    before = lora(tmp_path / "out")
    assert before.cuts == ()
    again = tuneoff("run", small.study(tmp_path, STUDY), "--out", tmp_path / "out", *OVERRIDES)
    assert "1 of 2 runs are already done" in again.out
    after = lora(tmp_path / "out")
    assert after.run_id == before.run_id
    assert after.scores == before.scores
    assert [cut.keep for cut in after.cuts] == list(KEEPS)
    fewer = small.study(tmp_path, STUDY.replace("[0.5, 0.25]", "[0.25]"))
    assert "2 of 2 runs are already done" in tuneoff("run", fewer, "--out", tmp_path / "out", *OVERRIDES).out


def test_cuts_are_measured_later_in_a_study_that_measures_forgetting_too(tmp_path: Path) -> None:
    text = f"{STUDY}forgetting: {{texts: builtin}}\n"
    without = small.study(tmp_path, text.replace("cuts: [0.5, 0.25], ", ""))
    tuneoff("run", without, "--out", tmp_path / "out", *OVERRIDES)
    assert lora(tmp_path / "out").cuts == ()
    tuneoff("run", small.study(tmp_path, text), "--out", tmp_path / "out", *OVERRIDES)
    after = lora(tmp_path / "out")
    assert [cut.keep for cut in after.cuts] == list(KEEPS)
    assert after.forgetting is not None


def test_a_changed_file_of_cuts_is_damage(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "out"))
    path = StudyFolder(copy).run(lora(copy).run_id).cuts
    path.write_bytes(path.read_bytes() + b"x")
    assert "cuts.parquet was changed after it was written" in tuneoff("report", copy).out


def run_of(folder: Path, beginning: str) -> Path:
    (found,) = (folder / "runs").glob(f"{beginning}-*")
    return found


@pytest.fixture
def done(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished study without cuts."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


def test_a_run_is_pruned_by_its_folder_or_its_id_and_stays_as_it_was(done: Path, tmp_path: Path) -> None:
    run = run_of(done, "films.lora.n8.s0")
    before = contents(run)
    outcome = tuneoff("prune", run, "--keep", "0.5")
    assert (outcome.code, outcome.err) == (0, "")
    place = done / "pruned" / f"{run.name}.keep0.5"
    assert set(contents(place)) == {"adapter.json", "adapter.safetensors"}
    assert f"saved: {place.as_posix()}" in outcome.out
    assert contents(run) == before
    by_id = tuneoff("prune", done / run.name, "--keep", "0.5", "--out", tmp_path / "other")
    assert by_id.code == 0
    assert contents(tmp_path / "other") == contents(place)
    assert "5 of 5 runs complete" in tuneoff("status", done).out


def test_what_is_kept_is_printed_with_bytes_before_and_after(done: Path, tmp_path: Path) -> None:
    run = run_of(done, "films.lora.n8.s0")
    outcome = tuneoff("prune", run, "--keep", "0.5", "--out", tmp_path / "half")
    backbone = load_backbone(lora_records(done)[run.name].spec.model)
    stored = load(backbone.model, tmp_path / "half").stored()
    count = sum(tensor.numel() for tensor in stored.values())
    assert f"{count:,} (" in outcome.out
    kept = ranks(stored)
    rows = {line.split()[0]: line.split()[1:] for line in outcome.out.splitlines() if line.count(".") > 2}
    assert {name: int(row[1]) for name, row in rows.items() if name in kept} == kept


def lora_records(folder: Path) -> dict[str, RunRecord]:
    return {record.run_id: record for record in read_records(folder)}


@pytest.mark.parametrize(
    ("run", "keep", "message"),
    [
        (
            "films.zero_shot.nfull.s0",
            "0.5",
            "only a saved method can be cut, .* has none: it trained nothing",
        ),
        ("films.lora.n8.s0", "0", r"--keep must be a share above 0 and up to 1, but got 0"),
        ("films.lora.n8.s0", "1.5", r"--keep must be a share above 0 and up to 1, but got 1.5"),
        ("films.lora.n8.s0", "nan", r"--keep must be a share above 0 and up to 1, but got nan"),
        ("films.lora.n8.s0", "1e-9", r"--keep must leave LoRA at least one rank of one layer"),
    ],
)
def test_what_cannot_be_pruned_is_refused_in_one_line(done: Path, run: str, keep: str, message: str) -> None:
    outcome = tuneoff("prune", run_of(done, run), "--keep", keep)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert re.search(message, outcome.err)
    assert not (done / "pruned").exists()


def test_a_run_that_does_not_exist_is_refused_with_near_names(done: Path) -> None:
    name = run_of(done, "films.lora.n8.s0").name
    outcome = tuneoff("prune", done / f"{name[:-1]}x", "--keep", "0.5")
    assert outcome.code == 2
    assert "is no run that has ended" in outcome.err
    assert f"did you mean '{name}'" in outcome.err


def test_a_run_without_its_weights_and_an_existing_folder_are_refused(done: Path, tmp_path: Path) -> None:
    run = run_of(done, "films.lora.n8.s0")
    (tmp_path / "there").mkdir()
    there = tuneoff("prune", run, "--keep", "0.5", "--out", tmp_path / "there")
    assert (there.code, there.out) == (2, "")
    assert "there" in there.err
    shutil.rmtree(run / "adapter")
    without = tuneoff("prune", run, "--keep", "0.5")
    assert without.code == 2
    assert "lacks one or both" in without.err


def test_a_method_without_lora_is_refused(done: Path) -> None:
    run = run_of(done, "films.lora.n8.s0")
    shutil.rmtree(run / "adapter")
    prompt = PromptSpec(kind="prompt", length=3, init="random")
    save(attach(tiny_t5(), prompt, generator=torch.Generator(), tokenizer=None), run / "adapter")
    outcome = tuneoff("prune", run, "--keep", "0.5")
    assert outcome.code == 2
    assert "only LoRA can be cut to fewer ranks" in outcome.err
    assert "kind: prompt" in outcome.err
