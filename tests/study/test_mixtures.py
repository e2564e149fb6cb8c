"""A study with a mixture of tasks: one training, and a record for each task."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from helpers import small
from helpers.command_line import contents, tuneoff
from helpers.listening import EventLog
from tuneoff import api
from tuneoff.reporting import load_report_data
from tuneoff.results import (
    CurvePoint,
    RunFailure,
    RunFolder,
    RunRecord,
    RunState,
    StudyFolder,
    read_curve,
    read_folder,
    read_records,
    read_searches,
)
from tuneoff.results import contents as counting
from tuneoff.results.reader import read_inputs
from tuneoff.spec import RunSpec, StudySpec, expand, load_study
from tuneoff.study import Executor, InlineExecutor, ProcessExecutor, run_study
from tuneoff.training import Session, run_member, train_run

pytestmark = pytest.mark.slow

# the second task reads the same rows with another prompt, labels and lengths
STUDY = small.STUDY.replace(
    "methods:",
    """\
  tone:
    kind: classification
    source: {files: {train: train.csv, validation: validation.csv, test: test.csv}}
    prompt: "What tone has this? {text}"
    target: label
    labels: {0: sad, 1: merry}
    max_source_length: 8
    max_target_length: 6
mixtures:
  both: {of: [films, tone], cap: 6}
methods:""",
)
SMALL = ("train_sizes=[8]", "ablations={}")
FILMS, TONE = "films.lora@both", "tone.lora@both"


def study_in(folder: Path, overrides: Sequence[str] = ()) -> StudySpec:
    return load_study(str(small.study(folder, STUDY)), overrides=[*SMALL, *overrides])


def run(study: StudySpec, folder: Path, *, executor: Executor | None = None) -> EventLog:
    listener = EventLog()
    run_study(study, folder, executor=executor or InlineExecutor(), on_event=listener)
    return listener


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    return study_in(tmp_path_factory.mktemp("mixed"))


@pytest.fixture(scope="module")
def mixed(study: StudySpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of the study; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("mixed") / "out"
    run(study, folder)
    return folder


def record_of(folder: Path, cell: str) -> RunRecord:
    (found,) = (one for one in read_records(folder) if one.run_id.startswith(cell))
    return found


def timeless(folder: Path) -> list[dict[str, object]]:
    return [record.model_dump(exclude={"timings"}) for record in read_records(folder)]


def files_of(folder: Path) -> dict[str, str]:
    """The digests of all that runs leave besides their records."""
    return {name: one for name, one in contents(folder / "runs").items() if not name.endswith("record.json")}


def test_each_task_has_a_whole_record_of_the_one_training(mixed: Path) -> None:
    films, tone = record_of(mixed, FILMS), record_of(mixed, TONE)
    assert {one.state for one in read_records(mixed)} == {"complete"}
    for name in ("footprint", "steps", "best_step", "tokens", "seeds", "shares", "environment"):
        assert getattr(films, name) == getattr(tone, name), name
    assert {name: (one.rows, one.epoch_rows) for name, one in films.shares.items()} == {
        "films": (8, 6),
        "tone": (8, 6),
    }
    assert films.timings and tone.timings
    assert films.timings.train == tone.timings.train
    assert tone.seconds == pytest.approx(tone.timings.total + films.timings.train)
    assert films.data and tone.data
    # each is read with its own lengths
    assert films.data.train.truncated_inputs == 0 < tone.data.train.truncated_inputs
    for one in (films, tone):
        assert {"eval_loss", "eval_accuracy"} <= one.scores.keys() & one.validation.keys()
        assert len(pd.read_parquet(StudyFolder(mixed).run(one.run_id).predictions)) == small.ROWS["test"]


def test_the_weights_are_stored_once_and_named_by_the_other_record(mixed: Path) -> None:
    films, tone = record_of(mixed, FILMS), record_of(mixed, TONE)
    folder = StudyFolder(mixed)
    assert films.weights_of is None
    assert tone.weights_of and tone.weights_of.run_id == films.run_id
    assert tone.weights_of.files == {
        name: one for name, one in films.files.items() if name.startswith("adapter/")
    }
    assert not folder.run(tone.run_id).adapter.exists()
    assert tone.weights_folder(folder.run(tone.run_id)) == folder.run(films.run_id)


def test_the_weights_kept_are_those_with_the_best_mean_over_the_tasks(mixed: Path) -> None:
    curves = {}
    for cell in (FILMS, TONE):
        record = record_of(mixed, cell)
        points = [point for point in read_curve(StudyFolder(mixed).run(record.run_id)) if point.scores]
        curves[cell] = {point.step: point.scores for point in points}
    assert curves[FILMS].keys() == curves[TONE].keys() == {0, 2, 4}
    means = {}
    for step, scores in curves[FILMS].items():
        means[step] = (scores["eval_accuracy"] + curves[TONE][step]["eval_accuracy"]) / 2
        assert scores["eval_mixture"] == pytest.approx(means[step])
    best = max((step for step in means if step), key=lambda step: (means[step], -step))
    for cell in (FILMS, TONE):
        record = record_of(mixed, cell)
        assert record.best_step == best
        assert record.validation["eval_accuracy"] == curves[cell][best]["eval_accuracy"]


@pytest.mark.parametrize("cell", [FILMS, TONE])
def test_a_run_of_a_mixture_answers_rows_of_its_task(mixed: Path, study: StudySpec, cell: str) -> None:
    record = record_of(mixed, cell)
    found = api.predict(mixed / record.run_id, study.tasks["films"].source.files["test"])
    tested = pd.read_parquet(StudyFolder(mixed).run(record.run_id).predictions)
    assert list(found["prediction"]) == list(tested["prediction"])
    assert set(found["answer"]) <= set(record.spec.task.model_dump()["labels"].values())


def test_the_weights_can_be_exported_and_cut_by_the_record_of_any_task(mixed: Path, tmp_path: Path) -> None:
    record = record_of(mixed, TONE)
    outcome = tuneoff("export", mixed / record.run_id, "--to", tmp_path / "model")
    assert (outcome.code, outcome.err) == (0, "")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "Tasks of the one training: films and tone" in card
    assert f"films train rows, SHA-256: `{record.shares['films'].digests['train']}`" in card
    outcome = tuneoff("prune", mixed / record.run_id, "--keep", "0.5", "--out", tmp_path / "cut")
    assert (outcome.code, outcome.err) == (0, "")


def test_reports_set_the_mixture_beside_the_task_alone(mixed: Path) -> None:
    data = load_report_data(mixed)
    pairs = {(one.task, one.method, one.reference) for one in data.judgement.comparisons}
    for task in ("films", "tone"):
        assert (task, "lora@both", "lora") in pairs
        (decision,) = (one for place, one in data.judgement.decisions.items() if place.task == task)
        assert {"lora", "lora@both", "zero_shot"} <= {one.name for one in decision.candidates}
    outcome = tuneoff("report", mixed)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.count("lora@both  8") == 2


def test_what_the_one_training_took_is_counted_once_in_sums(mixed: Path) -> None:
    from tuneoff.reporting.settings import time_table

    data = load_report_data(mixed)
    once = sum(one.timings.train for one in data.records if one.timings and not one.weights_of)
    twice = sum(one.timings.train for one in data.records if one.timings)
    assert once < twice
    rows = {row[0]: row for row in time_table(data).rows}
    assert rows["lora@both"][1] == "2"
    assert rows["lora@both"][2] == rows["lora@both"][3]  # the mean of two is the sum of one


def test_the_plan_lists_and_times_the_runs_of_a_mixture(study: StudySpec, tmp_path: Path) -> None:
    outcome = tuneoff("plan", small.study(tmp_path, STUDY), *(f"--set={one}" for one in SMALL))
    assert (outcome.code, outcome.err) == (0, "")
    assert "films.lora@both.n8.s0-" in outcome.out and "tone.lora@both.n8.s0-" in outcome.out
    assert "6 runs, about" in outcome.out


def test_a_task_whose_test_is_missing_is_tested_again_and_nothing_is_trained(
    mixed: Path, study: StudySpec, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(mixed, tmp_path / "out"))
    tone = record_of(folder, TONE)
    shutil.rmtree(folder / "runs" / tone.run_id)
    listener = run(study, folder)
    assert listener.begun == [tone.run_id]
    assert timeless(folder) == timeless(mixed)
    assert files_of(folder) == files_of(mixed)


def test_damaged_weights_are_trained_again_for_all_tasks(
    mixed: Path, study: StudySpec, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(mixed, tmp_path / "out"))
    films, tone = record_of(folder, FILMS), record_of(folder, TONE)
    weights = StudyFolder(folder).run(films.run_id).adapter / "adapter.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    listener = run(study, folder)
    assert sorted(listener.repaired) == listener.begun == [films.run_id, tone.run_id]
    assert timeless(folder) == timeless(mixed)
    assert files_of(folder) == files_of(mixed)


def test_an_interrupted_training_is_done_again_before_the_other_tests(
    mixed: Path, study: StudySpec, tmp_path: Path
) -> None:
    def interrupt(run: RunSpec, point: CurvePoint) -> None:
        if run.mixture and point.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "out", executor=InlineExecutor(), on_event=EventLog(interrupt))
    listener = run(study, tmp_path / "out")
    assert [one for one in listener.begun if "@" in one] == [
        record_of(mixed, FILMS).run_id,
        record_of(mixed, TONE).run_id,
    ]
    assert timeless(tmp_path / "out") == timeless(mixed)


@pytest.mark.subprocess
def test_worker_processes_give_equal_records(mixed: Path, study: StudySpec, tmp_path: Path) -> None:
    run(study, tmp_path / "out", executor=ProcessExecutor(2))
    assert timeless(tmp_path / "out") == timeless(mixed)
    assert files_of(tmp_path / "out") == files_of(mixed)


@pytest.mark.parametrize("state", ["diverged", "failed", "out_of_memory"])
def test_where_the_training_has_no_result_no_task_has_one(
    mixed: Path, tmp_path: Path, state: RunState
) -> None:
    failure = RunFailure(kind="DivergedError", message="the loss is nan")
    films = record_of(mixed, FILMS)
    trained = RunRecord(run_id=films.run_id, spec=films.spec, state=state, failure=failure)
    record = run_member(trained, record_of(mixed, TONE).spec, tmp_path)
    assert record.state == state
    assert record.failure and "the loss is nan" in record.failure.message
    assert films.run_id in record.failure.message


def test_other_data_of_one_task_exclude_the_results_of_the_mixture_on_all(
    mixed: Path, study: StudySpec
) -> None:
    inputs = read_inputs(mixed)
    assert inputs
    other = inputs.data | {"tone": dict.fromkeys(inputs.data["tone"], "0" * 64)}
    found = counting.contents(mixed, study, inputs.model_copy(update={"data": other}))
    excluded = {one.name.partition(".n")[0] for one in found.other_inputs}
    assert excluded == {FILMS, TONE, "tone.lora", "tone.zero_shot"}


def test_a_mixture_of_a_task_with_itself_is_a_training_on_its_doubled_rows(tmp_path: Path) -> None:
    again = STUDY.replace("What tone has this?", "Good or bad?").replace("sad", "negative")
    again = again.replace("merry", "positive").replace("max_source_length: 8", "max_source_length: 512")
    settings = ("mixtures.both={of: [films, tone]}", "train_sizes=[full]")
    path = small.study(tmp_path, again.replace("dropout: 0.1", "dropout: 0"))
    runs = expand(load_study(str(path), overrides=[*SMALL, *settings]))
    (both,) = (one for one in runs if one.run_id.startswith(FILMS))
    (alone,) = (one for one in runs if one.run_id.startswith("films.lora.n"))
    train = tmp_path / "train.csv"
    (tmp_path / "both").mkdir()
    mixture = train_run(both, tmp_path / "both", session=Session())
    header, *rows = train.read_text(encoding="utf-8").splitlines()
    train.write_text("\n".join([header, *rows, *rows]), encoding="utf-8")
    (tmp_path / "alone").mkdir()
    doubled = train_run(alone, tmp_path / "alone", session=Session())
    assert mixture.state == doubled.state == "complete"
    curves = [read_curve(RunFolder(tmp_path / name)) for name in ("both", "alone")]
    losses = [[point.loss for point in curve if point.loss is not None] for curve in curves]
    assert len(losses[0]) == 4
    assert losses[0] == pytest.approx(losses[1])
    assert mixture.scores == pytest.approx(doubled.scores)


def test_one_search_chooses_for_all_tasks_of_a_mixture(tmp_path: Path) -> None:
    search = "search={trials: 2, max_steps: 2, seeds: [7], space: {learning_rate: [1e-4, 1e-1, log]}}"
    study = study_in(tmp_path, [search])
    listener = run(study, tmp_path / "out")
    (found,) = (one for one in read_searches(tmp_path / "out") if "@" in one.method_name)
    assert (found.tasks, found.metric) == (("films", "tone"), "eval_mixture")
    assert len(listener.searches) == 3
    assert found.best
    rates = [record_of(tmp_path / "out", cell).spec.method.model_dump() for cell in (FILMS, TONE)]
    assert [one["learning_rate"] for one in rates] == [found.best.values["learning_rate"]] * 2
    assert run(study, tmp_path / "out").searches == []
    outcome = tuneoff("report", tmp_path / "out")
    assert (outcome.code, outcome.err) == (0, "")


def test_forgetting_that_a_finished_mixture_lacks_is_measured_without_training(
    mixed: Path, study: StudySpec, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(mixed, tmp_path / "out"))
    texts = tmp_path / "texts.txt"
    texts.write_text("It rained on the town all day.\nThe bus was late again.\n", encoding="utf-8")
    study = load_study(study, overrides=[f"forgetting={{texts: {texts.as_posix()}}}"])
    run(study, folder)
    films, tone = record_of(folder, FILMS), record_of(folder, TONE)
    assert films.forgetting and tone.forgetting
    assert films.forgetting.after == pytest.approx(tone.forgetting.after)
    weights = [record_of(one, FILMS).files["adapter/adapter.safetensors"] for one in (mixed, folder)]
    assert weights[0] == weights[1]
    assert read_folder(folder).pending(expand(study)) == ()
