"""Which results in an output folder count."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from helpers.command_line import contents, tuneoff
from tuneoff.results import Contents, read_folder, read_records
from tuneoff.results.format import file_checksum
from tuneoff.spec import RunSpec, dump_study, expand, load_study, searches
from tuneoff.spec.load import FORMAT
from tuneoff.spec.run import digest_of
from tuneoff.spec.training import DropoutSpec, TrainingSpec

ZERO_SHOT = "films.zero_shot.nfull"
LORA = "films.lora.n8"


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


def _run_folder(folder: Path, start: str) -> Path:
    return next((folder / "runs").glob(f"{start}.s0-*"))


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file as someone with an editor would."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def _as_older_version(record: Path) -> None:
    """Make a record what it was before it had checksums."""
    _edit(record, lambda content: [content.pop(name) for name in ("format", "checksum", "files", "model")])


def _flip(path: Path, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)


def _first_rows(path: Path) -> None:
    pd.read_parquet(path).head(3).to_parquet(path)


def _better(path: Path) -> None:
    pd.read_parquet(path).assign(correct=1.0).to_parquet(path)


def test_an_undamaged_folder_is_taken_whole(finished: Path) -> None:
    found = read_folder(finished)
    assert [record.run_id for record in found.records] == [run.run_id for run in found.plan]
    assert len(found.baselines) == 4
    assert (found.excluded, found.unrelated, found.notes) == ((), (), ())


DAMAGES: dict[str, Callable[[Path], object]] = {
    "score edited": lambda run: _edit(
        run / "record.json", lambda record: record["scores"].update(eval_accuracy=1.0)
    ),
    "state edited": lambda run: _edit(run / "record.json", lambda record: record.update(state="failed")),
    "record cut": lambda run: (run / "record.json").write_bytes((run / "record.json").read_bytes()[:900]),
    "record empty": lambda run: (run / "record.json").write_bytes(b""),
    "curve edited": lambda run: _flip(run / "curve.jsonl", 9),
    "curve gone": lambda run: (run / "curve.jsonl").unlink(),
    "predictions cut to three rows": lambda run: _first_rows(run / "predictions.parquet"),
    "all answers right": lambda run: _better(run / "predictions.parquet"),
    "predictions gone": lambda run: (run / "predictions.parquet").unlink(),
    "a bit of the predictions": lambda run: _flip(run / "predictions.parquet", 300),
    "predictions a folder": lambda run: (
        (run / "predictions.parquet").unlink(),
        (run / "predictions.parquet").mkdir(),
    ),
    "weights gone": lambda run: (run / "adapter/adapter.safetensors").unlink(),
    "weights cut": lambda run: (run / "adapter/adapter.safetensors").write_bytes(b"x"),
    "folder renamed": lambda run: run.rename(run.with_name("films.lora.n8.s0-00000000")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_named_and_excluded_and_the_rest_stays(folder: Path, damage: str) -> None:
    DAMAGES[damage](_run_folder(folder, LORA))
    found = read_folder(folder)
    (excluded,) = found.damaged
    assert excluded.name.startswith(LORA)
    assert excluded.reason
    assert len(found.records) == 4
    assert not any(record.run_id.startswith(LORA) for record in found.records)


def test_a_complete_run_of_an_older_version_without_predictions_is_damaged(folder: Path) -> None:
    run = _run_folder(folder, LORA)
    _as_older_version(run / "record.json")
    assert read_folder(folder).notes == ("runs of an older version, which have no checksums: 1",)
    (run / "predictions.parquet").unlink()
    (excluded,) = read_folder(folder).damaged
    assert re.search(r"predictions\.parquet cannot be read: .*No such file", excluded.reason)


@pytest.mark.parametrize("number", [0, -1, True, 1.5, "2", None])
def test_a_format_that_no_version_wrote_is_damage(folder: Path, number: object) -> None:
    _edit(_run_folder(folder, LORA) / "record.json", lambda record: record.update(format=number))
    assert [one.name[: len(LORA)] for one in read_folder(folder).damaged] == [LORA]


def test_a_study_that_does_not_say_what_its_runs_are_of_is_damaged(folder: Path) -> None:
    path = folder / "study.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    del content["inputs"]
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    outcome = tuneoff("report", folder)
    assert outcome.code == 2
    assert "it does not name its model and data" in outcome.err


def test_an_older_study_edited_to_another_model_has_no_results(folder: Path) -> None:
    study = read_folder(folder).study
    edited = study.model_copy(update={"model": study.model.model_copy(update={"id": "builtin:tiny"})})
    (folder / "study.yaml").write_text(dump_study(edited), encoding="utf-8")
    assert read_folder(folder).records == ()


def test_what_is_not_trained_is_known_without_a_seed_or_training_settings(finished: Path) -> None:
    study = load_study(
        str(finished.parent / "study.yaml"), overrides=["seeds=[1, 0]", "training.max_steps=9"]
    )
    untrained, lora = expand(study)[:2]
    found = {record.spec.method_name: record for record in read_folder(finished).records}
    assert untrained.seed == 1
    assert untrained.settings_key == found["zero_shot"].spec.settings_key
    assert lora.settings_key not in {record.spec.settings_key for record in found.values()}


@pytest.mark.slow
def test_results_of_other_data_beside_the_study_s_own_change_nothing(folder: Path, finished: Path) -> None:
    run = _run_folder(folder, LORA)
    copy = run.with_name(f"{run.name[:-8]}00000000")
    shutil.copytree(run, copy)

    def unrelated(record: dict[str, Any]) -> None:
        record["run_id"] = copy.name
        record["data"]["digests"]["test"] = "0" * 64

    _edit(copy / "record.json", lambda record: _with_new_checksum(record, unrelated))
    found = read_folder(folder)
    assert len(found.records) == 5
    assert [one.name for one in found.unrelated] == [copy.name]
    outcome = tuneoff("run", finished.parent / "study.yaml", "--out", folder)
    assert outcome.out.startswith("5 of 5 runs are already done")


@pytest.mark.parametrize("damage", ["all answers right", "predictions cut to three rows"])
def test_scores_of_older_versions_are_compared_with_their_predictions(folder: Path, damage: str) -> None:
    run = _run_folder(folder, LORA)
    _as_older_version(run / "record.json")
    assert len(read_folder(folder).records) == 5
    DAMAGES[damage](run)
    (excluded,) = read_folder(folder).damaged
    assert "has a mean correct of 1.0" in excluded.reason or "has 3 rows, but" in excluded.reason


@pytest.mark.slow
def test_status_and_report_name_the_damaged_run_and_run_does_it_again(finished: Path, folder: Path) -> None:
    run = _run_folder(folder, LORA)
    DAMAGES["score edited"](run)
    status = tuneoff("status", folder)
    assert status.code == 0
    assert status.out.splitlines()[0] == "4 of 5 runs complete"
    assert f"excluded: {run.name}: " in status.out

    outcome = tuneoff("report", folder)
    assert outcome.code == 1
    page = (folder / "report/report.md").read_text(encoding="utf-8")
    assert "4 of 5 runs are complete; 1 excluded." in page
    assert f"| {run.name}" in page.partition("## Incomplete runs")[2]
    rows = (folder / "report/summary.csv").read_text(encoding="utf-8").splitlines()
    assert next(line for line in rows if line.startswith("lora,films,8,")).endswith(",0,,,,")

    assert tuneoff("run", finished.parent / "study.yaml", "--out", folder).code == 0
    again = {record.run_id: record.scores for record in read_folder(folder).records}
    assert again == {record.run_id: record.scores for record in read_records(finished)}
    assert [path.name for path in (folder / "damaged/runs").iterdir()] == [run.name]


@pytest.mark.slow
def test_a_damaged_study_is_named_and_written_anew_from_the_study_s_own_file(
    folder: Path, finished: Path
) -> None:
    whole = (folder / "study.yaml").read_bytes()
    (folder / "study.yaml").write_bytes(whole[:40])
    outcome = tuneoff("report", folder)
    assert outcome.code == 2
    assert "study.yaml is damaged; `tuneoff run` with the study's own file writes it again" in outcome.err
    outcome = tuneoff("run", finished.parent / "study.yaml", "--out", folder)
    assert outcome.out.startswith("5 of 5 runs are already done")
    assert (folder / "study.yaml").read_bytes() == whole


def test_a_baseline_under_the_name_of_another_is_named_and_excluded(folder: Path) -> None:
    place = folder / "baselines/films.n8"
    shutil.copy(place / "majority.json", place / "tfidf.json")
    found = read_folder(folder)
    assert [one.name for one in found.damaged] == ["films.n8/tfidf"]
    assert [one.name for one in found.baselines if one.train_size == 8] == ["majority"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["majority.json", "tfidf.parquet"])
def test_a_damaged_baseline_is_named_and_made_again(folder: Path, finished: Path, name: str) -> None:
    path = folder / "baselines/films.n8" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    found = read_folder(folder)
    assert [one.name for one in found.damaged] == [f"films.n8/{path.stem}"]
    assert len(found.baselines) == 3
    assert tuneoff("run", finished.parent / "study.yaml", "--out", folder).code == 0
    assert len(read_folder(folder).baselines) == 4
    assert pd.read_parquet(path.with_suffix(".parquet")).equals(
        pd.read_parquet(finished / "baselines/films.n8" / f"{path.stem}.parquet")
    )


@pytest.mark.slow
def test_a_baseline_that_is_gone_is_named_and_computed_again(folder: Path, finished: Path) -> None:
    path = folder / "baselines/films.n8/tfidf.json"
    path.unlink()
    assert read_folder(folder).notes == ("films.n8/tfidf is missing; `tuneoff run` computes it again",)
    assert "films.n8/tfidf is missing" in tuneoff("status", folder).out
    assert tuneoff("run", finished.parent / "study.yaml", "--out", folder).code == 0
    assert path.is_file()


@pytest.mark.slow
def test_a_flipped_bit_in_the_weights_is_found_by_run(folder: Path, finished: Path) -> None:
    run = _run_folder(folder, LORA)
    whole = (run / "adapter/adapter.safetensors").read_bytes()
    _flip(run / "adapter/adapter.safetensors", -1)
    outcome = tuneoff("run", finished.parent / "study.yaml", "--out", folder)
    assert outcome.out.startswith(f"{run.name} will be computed again: ")
    assert "adapter.safetensors was changed after it was written" in outcome.out.splitlines()[0]
    assert (run / "adapter/adapter.safetensors").read_bytes() == whole


def test_a_study_edited_to_another_model_has_no_results(folder: Path) -> None:
    path = folder / "study.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("id: builtin:random", "id: builtin:tiny"))
    edited = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert edited["model"]["id"] == "builtin:tiny"
    found = read_folder(folder)
    assert found.records == ()
    assert len(found.other_inputs) == 5
    assert "study.yaml was edited after the run" in found.other_inputs[0].reason


@pytest.mark.parametrize("change", [pytest.param("model", marks=pytest.mark.slow), "data"])
def test_run_refuses_a_folder_with_results_of_another_model_or_data(
    folder: Path, finished: Path, tmp_path: Path, change: str
) -> None:
    shutil.copytree(finished.parent, tmp_path / "study", ignore=shutil.ignore_patterns("out"))
    study = tmp_path / "study/study.yaml"
    before = contents(folder / "runs"), (folder / "study.yaml").read_bytes()
    if change == "model":
        study.write_text(study.read_text().replace("builtin:random", "builtin:tiny"), encoding="utf-8")
    else:
        with open(tmp_path / "study/test.csv", "a", encoding="utf-8") as file:
            file.write("one more good film,1\n")
    outcome = tuneoff("run", study, "--out", folder)
    assert outcome.code == 2
    assert "give another --out, or restore the original" in outcome.err
    assert (contents(folder / "runs"), (folder / "study.yaml").read_bytes()) == before


@pytest.mark.slow
def test_a_moved_study_keeps_its_results(folder: Path, finished: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(finished.parent, moved, ignore=shutil.ignore_patterns("out"))
    found = read_folder(folder)
    study = load_study(str(moved / "study.yaml"))
    assert {run.run_id for run in expand(study)}.isdisjoint(run.run_id for run in found.plan)
    assert {run.settings_key for run in expand(study)} == {run.settings_key for run in found.plan}
    assert tuneoff("run", moved / "study.yaml", "--out", folder).out.startswith(
        "5 of 5 runs are already done"
    )
    assert len(list((folder / "runs").iterdir())) == 5


def _with_new_checksum(content: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> None:
    """Change a record as a program does that knows of the checksum."""
    del content["checksum"]
    change(content)
    content["checksum"] = digest_of(content)


OUTSIDE = {
    "above the folder": "../../study.yaml",
    "below and above again": "adapter/../../../study.yaml",
    "from the root": "{folder}/study.yaml",
    "with a character that hides others": "curve.jsonl\u202e",
}


@pytest.mark.parametrize("name", OUTSIDE.values(), ids=OUTSIDE)
def test_a_file_outside_of_its_run_makes_a_record_damaged(folder: Path, name: str) -> None:
    name, run = name.format(folder=folder), _run_folder(folder, LORA)
    if name.startswith("curve"):
        (run / name).touch()
    checksum = file_checksum(run / name).model_dump()
    record = run / "record.json"
    _edit(
        record, lambda content: _with_new_checksum(content, lambda one: one["files"].update({name: checksum}))
    )
    (excluded,) = read_folder(folder).damaged
    assert "a file must be named by its path inside the run's folder" in excluded.reason


def test_a_run_outside_of_the_study_makes_a_record_damaged(folder: Path) -> None:
    record = _run_folder(folder, LORA) / "record.json"
    elsewhere = {"run_id": "../../elsewhere", "files": {}}
    _edit(record, lambda content: _with_new_checksum(content, lambda one: one.update(weights_of=elsewhere)))
    (excluded,) = read_folder(folder).damaged
    assert "weights_of.run_id: String should match pattern" in excluded.reason


def _excluded_by_format(folder: Path, change: Callable[[dict[str, Any]], object]) -> Contents:
    """The folder after a version has written a record that this one does not know in every respect."""
    _edit(_run_folder(folder, LORA) / "record.json", lambda record: _with_new_checksum(record, change))
    return read_folder(folder)


def test_a_record_of_a_newer_format_is_named_and_never_done_again(folder: Path, finished: Path) -> None:
    found = _excluded_by_format(folder, lambda record: record.update(format=FORMAT + 1))
    assert [one.name[: len(LORA)] for one in found.newer] == [LORA]
    assert "upgrade tuneoff" in found.newer[0].reason
    before = contents(folder)
    outcome = tuneoff("run", finished.parent / "study.yaml", "--out", folder)
    assert outcome.code == 2
    assert "upgrade tuneoff" in outcome.err
    assert contents(folder) == before


def test_an_unknown_field_is_named_and_the_record_read(folder: Path) -> None:
    found = _excluded_by_format(folder, lambda record: record["timings"].update(energy=3.0))
    assert len(found.records) == 5
    (note,) = found.notes
    assert note.startswith(LORA)
    assert note.endswith("has fields that this version does not know: timings.energy, which are ignored")


def test_a_record_with_an_unknown_setting_is_of_no_run_of_the_study(folder: Path) -> None:
    found = _excluded_by_format(folder, lambda record: record["spec"]["method"].update(rotate=True))
    assert len(found.records) == 4
    (unrelated,) = found.unrelated
    assert unrelated.reason.endswith("fields that this version does not know: spec.method.rotate")


def test_a_study_of_a_newer_format_is_refused_by_name(folder: Path) -> None:
    path = folder / "study.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(f"format: {FORMAT}", "format: 99"))
    outcome = tuneoff("status", folder)
    assert outcome.code == 2
    assert (
        "study.yaml was written by a newer version of tuneoff (format 99, this one reads up to 2)"
        in outcome.err
    )


@pytest.mark.slow
def test_a_folder_of_an_older_version_is_read_and_goes_on(folder: Path, finished: Path) -> None:
    study = read_folder(folder).study
    (folder / "study.yaml").write_text(dump_study(study), encoding="utf-8")
    for path in folder.glob("runs/*/record.json"):
        _as_older_version(path)
        old = path.parent.with_name(path.parent.name.rpartition("-")[0] + "-0123abcd")
        _edit(path, lambda record, name=old.name: record.update(run_id=name))  # type: ignore[misc]
        path.parent.rename(old)
    for path in folder.glob("baselines/*/*.json"):
        _edit(path, lambda record: [record.pop(name) for name in ("format", "checksum", "files")])
    found = read_folder(folder)
    assert len(found.records) == 5
    assert len(found.baselines) == 4
    assert tuneoff("run", finished.parent / "study.yaml", "--out", folder).out.startswith(
        "5 of 5 runs are already done"
    )


def test_an_id_hashes_only_what_decides_the_result(finished: Path) -> None:
    study = load_study(str(finished.parent / "study.yaml"))
    run = expand(study)[1]
    for field, value in (("logging_steps", 7), ("save_strategy", "no"), ("per_device_eval_batch_size", 5)):
        training = run.training.model_copy(update={field: value})
        assert run.model_copy(update={"training": training}).run_id == run.run_id
    for field, value in (("max_steps", 5), ("weight_decay", 0.5), ("dropout", DropoutSpec(encoder=0.0))):
        training = run.training.model_copy(update={field: value})
        assert run.model_copy(update={"training": training}).run_id != run.run_id


def test_a_new_setting_at_its_default_keeps_the_id(finished: Path) -> None:
    class LaterTraining(TrainingSpec):
        neftune_noise_alpha: float | None = None
        """A setting that a later version brings."""

    class LaterRun(RunSpec):
        training: LaterTraining

    run = expand(load_study(str(finished.parent / "study.yaml")))[1]
    later = LaterRun.model_validate_json(run.model_dump_json())
    assert later.run_id == run.run_id
    assert later.settings_key == run.settings_key
    used = later.training.model_copy(update={"neftune_noise_alpha": 5.0})
    assert later.model_copy(update={"training": used}).run_id != run.run_id


STUDY = """
name: pinned
model: {id: org/model}
tasks:
  reviews:
    kind: classification
    source: {builtin: reviews}
    prompt: "{text}"
    target: label
    labels: {0: negative, 1: positive}
methods:
  zero_shot: {kind: none}
  prefix: {kind: prefix, length: 10}
training: {max_steps: 10, dropout: {encoder: 0.0}}
search: {trials: 2}
"""


def test_ids_stay_what_they_are_from_version_to_version(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    study = load_study(str(path))
    assert [run.run_id for run in expand(study)] == [
        "reviews.zero_shot.nfull.s0-eae73160",
        "reviews.prefix.nfull.s0-1985ddfa",
    ]
    assert [search.search_id for search in searches(study)] == ["reviews.prefix.nfull-f4010961"]
