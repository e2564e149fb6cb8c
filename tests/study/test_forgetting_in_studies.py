"""Forgetting in a whole study: measured when it is asked for, completed later, and shown in the report."""

import json
from pathlib import Path

import pandas as pd
import pytest

from helpers import small
from helpers.command_line import tuneoff
from helpers.listening import EventLog
from tuneoff.reporting import write_report
from tuneoff.results import RunRecord, read_folder, read_records
from tuneoff.spec import ForgettingSpec, expand, load_study, searches
from tuneoff.study import InlineExecutor, run_study

SMALL = ("train_sizes=[8]", "ablations={}")
LINES = "The film was good and long.\nA bad book, they said.\nNobody knows why it rains.\n"


def done(study: Path, folder: Path, *overrides: str) -> tuple[int, dict[str, RunRecord]]:
    """Run the study; return how many runs were done, and the records by method."""
    listener = EventLog()
    spec = load_study(str(study), overrides=[*SMALL, *overrides])
    run_study(spec, folder, executor=InlineExecutor(), on_event=listener)
    return len(listener.ended), {record.spec.method_name: record for record in read_folder(folder).records}


@pytest.mark.slow
def test_a_study_is_completed_when_forgetting_is_asked_for_later(tmp_path: Path) -> None:
    study, folder = small.study(tmp_path), tmp_path / "out"
    (tmp_path / "texts.txt").write_text(LINES, encoding="utf-8")
    asked = f"forgetting.texts={tmp_path / 'texts.txt'}"
    before = done(study, folder)[1]
    count, records = done(study, folder, asked)
    assert count == 2
    for name, record in records.items():
        # measured on the stored weights: nothing was trained or tested again
        assert record.timings == before[name].timings and record.scores == before[name].scores
        assert record.forgetting is not None and record.forgetting.texts == 3
    assert records["zero_shot"].forgetting.increase == 0 != records["lora"].forgetting.increase
    assert done(study, folder, asked)[0] == 0
    at_once = done(study, tmp_path / "at-once", asked)[1]
    for name, record in at_once.items():
        assert record.forgetting.after == pytest.approx(records[name].forgetting.after, abs=1e-5)

    result = write_report(folder)
    summary = pd.read_csv(folder / "report" / "summary.csv").set_index("Method")
    assert summary.loc["zero_shot", ["forgetting", "forgetting_low", "forgetting_high"]].tolist() == [0, 0, 0]
    lora = summary.loc["lora"]
    assert lora["forgetting"] == pytest.approx(records["lora"].forgetting.increase)
    assert lora["forgetting_low"] < lora["forgetting"] < lora["forgetting_high"]
    text = result.report.with_name("report.md").read_text(encoding="utf-8")
    assert "The model predicts how a text goes on" in text and "Loss before" in text
    assert 'id="forgetting"' in result.report.read_text(encoding="utf-8")
    (places,) = json.loads((folder / "report" / "decision.json").read_text(encoding="utf-8")).values()
    found = {one["method"]: one.get("forgetting") for one in places["8"]["candidates"]}
    assert found["zero_shot"] == {"mean": 0, "low": 0, "high": 0}
    assert found["baseline majority"] is None

    # other texts are measured anew; without the setting nothing is done and nothing shown
    (tmp_path / "texts.txt").write_text(LINES + "One more line of text.\n", encoding="utf-8")
    count, records = done(study, folder, asked)
    assert count == 2 and records["lora"].forgetting.texts == 4
    count, records = done(study, folder)
    assert count == 0 and records["lora"].forgetting is None
    assert read_records(folder)[0].forgetting is not None
    assert "Loss before" not in write_report(folder).report.with_name("report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_runs_without_stored_weights_are_done_again(tmp_path: Path) -> None:
    study, folder = small.study(tmp_path), tmp_path / "out"
    before = done(study, folder, "training.save_strategy=no")[1]
    count, records = done(study, folder, "training.save_strategy=no", "forgetting.texts=builtin")
    assert count == 2
    assert records["lora"].scores == before["lora"].scores
    assert records["lora"].timings != before["lora"].timings
    assert records["zero_shot"].timings == before["zero_shot"].timings
    assert all(record.forgetting is not None for record in records.values())


@pytest.mark.slow
def test_a_report_names_the_runs_that_lack_it(tmp_path: Path) -> None:
    study, folder = small.study(tmp_path), tmp_path / "out"
    done(study, folder)
    spec = (folder / "study.yaml").read_text(encoding="utf-8")
    asked = spec.replace("forgetting: null", "forgetting: {texts: builtin}")
    assert asked != spec
    (folder / "study.yaml").write_text(asked, encoding="utf-8")
    found = read_folder(folder)
    assert found.notes == ("forgetting is not measured yet in 2 runs; `tuneoff run` measures it",)
    assert len(found.pending(found.plan)) == 2 == len(found.records)


def test_forgetting_is_no_part_of_what_identifies_a_run_or_a_search(tmp_path: Path) -> None:
    search = "search={trials: 2, space: {learning_rate: [1e-4, 1e-2, log]}}"
    plain = small.spec(tmp_path, [search])
    asked = small.spec(tmp_path, [search, "forgetting.texts=builtin"])
    for one, other in zip(expand(plain), expand(asked), strict=True):
        assert (one.run_id, one.settings_key) == (other.run_id, other.settings_key)
        assert other.forgetting == ForgettingSpec(texts="builtin")
    assert [one.search_id for one in searches(plain)] == [one.search_id for one in searches(asked)]
    # trials are scored on validation alone
    assert {one.run.forgetting for one in searches(asked)} == {None}


def test_a_relative_path_starts_from_the_file_of_the_study(tmp_path: Path) -> None:
    spec = small.spec(tmp_path, ["forgetting.texts=texts.txt"])
    assert spec.forgetting.texts == str(tmp_path / "texts.txt")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("forgetting.texts=missing.txt", "there is no file"),
        ("forgetting.texts=general.csv", "no column"),
        ("forgetting={texts: general.csv, column: sentence}", "no column 'sentence'"),
        ("forgetting={texts: builtin, column: text}", "leave out column"),
        ("forgetting={texts: builtin, objective: span_corruption}", "leave out objective"),
        ("forgetting={texts: builtin, max_length: 1}", "forgetting.max_length"),
        ("forgetting={texts: builtin, texts_column: text}", "texts_column"),
        ("forgetting={}", "forgetting.texts"),
        ("forgetting=builtin", "forgetting"),
    ],
)
def test_bad_settings_and_files_are_refused_before_any_run(
    tmp_path: Path, setting: str, message: str
) -> None:
    study = small.study(tmp_path)
    (tmp_path / "general.csv").write_text("label,words\n1,a\n0,b\n", encoding="utf-8")
    outcome = tuneoff("run", study, "--out", tmp_path / "out", "--set", setting)
    assert outcome.code == 2
    assert message in outcome.err and len(outcome.err.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "runs").exists()
