"""The search: equal trials, on validation only, with seeds of its own, and resumable."""

import shutil
from collections.abc import Callable, Sequence
from math import log10
from pathlib import Path

import pytest

import small
from listening import Told
from tuneoff.errors import StoppedError, StudyError
from tuneoff.spec import (
    CurvePoint,
    LoraSpec,
    RunRecord,
    RunSpec,
    SearchResult,
    expand,
    load_study,
    read_records,
    read_searches,
    searches,
)
from tuneoff.study import InlineExecutor, run_study, tune
from tuneoff.study.tune import SearchJob, even_points, search_job, stretches
from tuneoff.training import try_run

SEARCH = (
    "search={trials: 4, max_steps: 2, seeds: [7], space: {learning_rate: [1e-4, 1e-1, log]}}",
    "train_sizes=[8]",
    "methods={zero_shot: {kind: none}, full: {kind: full}, prompt: {kind: prompt, length: 2}}",
    "ablations={}",
)


def _searched(folder: Path, overrides: Sequence[str] = SEARCH, *, out: Path | None = None) -> Told:
    listener = Told()
    study = load_study(str(small.study(folder)), overrides=overrides)
    run_study(study, out or folder / "out", executor=InlineExecutor(), listener=listener)
    return listener


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched")
    _searched(folder)
    return folder


def test_every_trained_method_gets_the_same_trials_of_the_same_length(searched: Path) -> None:
    results = read_searches(searched / "out")
    assert [result.method_name for result in results] == ["full", "prompt"]
    assert {(len(result.trials), result.steps, result.seeds) for result in results} == {(4, 2, (7,))}
    evenly = [[trial.values for trial in result.trials[:3]] for result in results]
    assert evenly[0] == evenly[1]


def test_a_trial_never_sees_the_test_split(searched: Path) -> None:
    trials = list((searched / "out/search").glob("*/trials/*"))
    assert len(trials) == 8
    assert all({path.name for path in trial.iterdir()} == {"curve.jsonl"} for trial in trials)


def test_runs_have_the_values_with_the_best_validation_score(searched: Path) -> None:
    chosen = {result.method_name: result.best for result in read_searches(searched / "out")}
    for result in read_searches(searched / "out"):
        assert result.best is not None
        assert result.best.score == max(trial.score or 0 for trial in result.trials)
    records = {record.spec.method_name: record for record in read_records(searched / "out")}
    for name, best in chosen.items():
        assert best is not None
        assert records[name].spec.method.learning_rate == best.values["learning_rate"]
        assert records[name].spec.training.max_steps == 4
    study = load_study(str(searched / "study.yaml"), overrides=SEARCH)
    planned = expand(study, read_searches(searched / "out"))
    assert {run.run_id for run in planned} == {record.run_id for record in records.values()}


def test_a_finished_search_is_not_done_again(searched: Path, tmp_path: Path) -> None:
    listener = _searched(searched, out=Path(shutil.copytree(searched / "out", tmp_path / "out")))
    assert (listener.searches, listener.pending) == ([], [])


def test_an_interrupted_search_ends_as_if_it_had_not_been(
    searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def interrupted(spec: RunSpec, folder: Path, **options: object) -> RunRecord:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(folder.name)
        return try_run(spec, folder, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(tune, "try_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _searched(searched, out=tmp_path)
    listener = _searched(searched, out=tmp_path)
    assert len(listener.searches) == 2
    assert _trials(listener.found) == _trials(read_searches(searched / "out"))


def test_a_diverged_trial_counts_and_is_not_chosen(tmp_path: Path) -> None:
    wide = "search.space.learning_rate=[1e-4, 1e30, log]"
    (result,) = _searched(tmp_path, [*SEARCH, wide, "methods={full: {kind: full}}"]).found
    assert "diverged" in {trial.state for trial in result.trials}
    assert len(result.trials) == 4
    assert result.best is not None
    assert result.best.state == "complete"


def test_a_hopeless_trial_is_ended_early_where_the_study_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.9, 0.8, 0.7, 0.1])

    def scripted(spec: RunSpec, folder: Path, *, on_point: Callable[[CurvePoint], None]) -> RunRecord:
        found = {"eval_accuracy": next(scores), "eval_loss": 1.0}
        try:
            on_point(CurvePoint(step=1, scores=found))
        except StoppedError:
            return RunRecord(run_id=spec.run_id, spec=spec, state="cancelled")
        return RunRecord(run_id=spec.run_id, spec=spec, state="complete", validation=found)

    monkeypatch.setattr(tune, "try_run", scripted)
    pruned = small.spec(tmp_path, [*SEARCH, "search.pruner=median", "methods={full: {kind: full}}"])
    result = search_job(SearchJob(searches(pruned)[0], tmp_path / "search", 1.0))
    assert [trial.state for trial in result.trials] == ["complete", "complete", "complete", "pruned"]


def test_a_stopped_trial_ends_as_cancelled(tmp_path: Path) -> None:
    def stop(point: CurvePoint) -> None:
        raise StoppedError("enough")

    (search, _) = searches(small.spec(tmp_path, SEARCH))
    (tmp_path / "trial").mkdir()
    assert try_run(search.run, tmp_path / "trial", on_point=stop).state == "cancelled"


def test_equal_operations_give_cheap_methods_more_steps(tmp_path: Path) -> None:
    study = small.spec(tmp_path, [*SEARCH, "search.budget=flops"])
    found = {
        search.run.method_name: stretches(searches(study))[search.search_id] for search in searches(study)
    }
    assert found["full"] == 1
    assert 1.2 < found["prompt"] < 3


def test_even_points_lie_in_the_middle_of_equal_parts_of_each_range() -> None:
    points = even_points({"learning_rate": (1e-5, 1.0, "log"), "rank": (1, 9, "linear")}, 5)
    assert sorted(log10(point["learning_rate"]) for point in points) == pytest.approx(
        [-4.5, -3.5, -2.5, -1.5, -0.5]
    )
    assert sorted(point["rank"] for point in points) == [2, 3, 5, 7, 8]
    assert all(isinstance(point["rank"], int) for point in points)


def test_the_best_value_at_an_end_of_those_tried_is_told() -> None:
    def result(scores: Sequence[float]) -> SearchResult:
        trials = [
            {"number": n, "values": {"learning_rate": 10.0**-n}, "state": "complete", "score": score}
            for n, score in enumerate(scores)
        ]
        values = {"search_id": "x", "task_name": "t", "method_name": "m", "train_size": "full", "steps": 1}
        space = {"learning_rate": (1e-5, 1.0, "log")}
        return SearchResult(
            **values,
            metric="eval_accuracy",
            space=space,
            seeds=(1,),
            trials=tuple(trials),  # type: ignore[arg-type]
        )

    assert result([0.5, 0.9, 0.6]).edges == {}
    assert result([0.9, 0.8, 0.6]).edges == {"learning_rate": "high"}
    assert result([0.5, 0.8, 0.9]).edges == {"learning_rate": "low"}


def test_the_parts_of_a_stack_are_searched_by_name(tmp_path: Path) -> None:
    stack = "methods={both: {kind: stack, parts: [{kind: lora}, {kind: prompt}]}}"
    space = "search={space: {lora.learning_rate: [1e-4, 1e-2, log], prompt.learning_rate: [0.1, 1.0, log]}}"
    (search,) = searches(small.spec(tmp_path, [*SEARCH, stack, space]))
    method = search.trial(
        {"lora.learning_rate": 0.002, "prompt.learning_rate": 0.5}, seed=7, steps=None
    ).method
    assert [part.learning_rate for part in method.parts] == [0.002, 0.5]
    assert isinstance(method.parts[0], LoraSpec)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "search.space={learning_rat: [1e-4, 1e-2, log]}",
            "search, method full: learning_rat: unknown name",
        ),
        ("search.space={learning_rate: [1e-2, 1e-4, log]}", "`low < high` must hold"),
        ("search.space={learning_rate: [0, 1, log]}", "`0 < low` on a log scale"),
        (
            "search.spaces={ful: {learning_rate: [1e-4, 1e-2, log]}}",
            "unknown name 'ful'; did you mean 'full'",
        ),
        ("search.seeds=[0]", "seeds that the study does not use, but both have \\[0\\]"),
        (
            "methods={both: {kind: stack, parts: [{kind: lora}, {kind: prompt}]}}",
            "search, method both: .* named by its part .*, but got 'learning_rate'",
        ),
    ],
)
def test_a_search_that_does_not_fit_is_refused(tmp_path: Path, override: str, told: str) -> None:
    with pytest.raises(StudyError, match=told):
        small.spec(tmp_path, [*SEARCH, override])


def _trials(results: Sequence[SearchResult]) -> list[dict[str, object]]:
    return [result.model_dump() for result in results]
