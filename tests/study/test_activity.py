"""What a study is doing, told from its events, in memory and in the folder."""

from pathlib import Path

import numpy as np
import pytest

from helpers import fabricated as made
from helpers import simulated, small
from tuneoff.results import CurvePoint, StudyFolder, read_activity
from tuneoff.spec import expand, searches
from tuneoff.stats import Cell
from tuneoff.study import (
    Event,
    Follower,
    InlineExecutor,
    PointLogged,
    ProcessExecutor,
    RunFinished,
    RunsPlanned,
    RunStarted,
    SearchStarted,
    TrialFinished,
    TrialPointLogged,
    TrialStarted,
    WorkExpected,
    run_study,
)
from tuneoff.study.workload import Load


def test_it_counts_what_is_done_running_and_waiting() -> None:
    runs = expand(made.a_study())
    follower = Follower("fabricated", clock=lambda: 0.0)
    assert follower.activity().stage == "checks"
    follower.take(RunsPlanned(runs[1:], len(runs)))
    follower.take(RunStarted(runs[1]))
    follower.take(RunStarted(runs[2]))
    follower.take(RunFinished(made.a_record(runs[1])))
    found = follower.activity()
    assert (found.stage, found.runs.done, found.runs.total) == ("runs", 2, len(runs))
    assert [one.name for one in found.running] == ["sst2.lora.nfull.s0"]
    assert runs[2].run_id.startswith("sst2.lora.nfull.s0-")


def test_a_run_under_way_has_its_step_its_loss_its_curve_and_its_score() -> None:
    run = expand(made.a_study())[1]
    now = [10.0]
    follower = Follower("fabricated", clock=lambda: now[0])
    follower.take(RunStarted(run))
    for step in range(1, 101):
        follower.take(PointLogged(run, CurvePoint(step=step, loss=1000 - step)))
    follower.take(PointLogged(run, CurvePoint(step=100, scores={"eval_accuracy": 0.75, "eval_loss": 1.0})))
    now[0] = 17.0
    (found,) = follower.activity().running
    assert (found.step, found.loss, found.metric, found.score) == (100, 900, "accuracy", 0.75)
    assert found.seconds == 7
    assert len(found.losses) == 32
    assert list(found.losses) == sorted(found.losses, reverse=True)
    assert np.mean(found.losses) == pytest.approx(np.mean(range(900, 1000)), rel=0.01)


def test_a_run_that_starts_again_after_its_worker_was_lost_is_there_once() -> None:
    run = expand(made.a_study())[1]
    follower = Follower("fabricated")
    follower.take(RunStarted(run))
    follower.take(PointLogged(run, CurvePoint(step=5, loss=1.0)))
    follower.take(RunStarted(run))
    (found,) = follower.activity().running
    assert (found.step, found.losses) == (0, ())


def test_of_a_run_that_goes_on_in_its_midst_only_what_is_done_now_tells_its_speed() -> None:
    run, *later = expand(made.a_study())[1:3]
    loads = {Cell.of(one): Load(start=0.0, step=1.0, steps=100, end=0.0) for one in (run, *later)}
    now = [0.0]
    follower = Follower("fabricated", clock=lambda: now[0])
    follower.take(WorkExpected(loads, ()))
    follower.take(RunsPlanned((run, *later), 2))
    follower.take(RunStarted(run))
    for step in (90, 92, 94):
        follower.take(PointLogged(run, CurvePoint(step=step, loss=1.0)))
        now[0] += 20.0
    left = follower.activity().left
    # four steps took 40 s: 6 are left of this run, for which 20 s have passed, and 100 of the other
    assert left == pytest.approx(6 * 10 - 20 + 100 * 10, rel=0.01)


def test_trials_are_counted_while_a_search_goes_on() -> None:
    study = made.a_study(search={"trials": 3, "seeds": [1000, 1001]})
    rng = np.random.default_rng(0)
    true = simulated.machine(study, rng)
    counts, trials = [], set[str]()
    follower = Follower("fabricated")
    for one in simulated.events(study, true, true.loads, workers=2):
        follower.take(one.event)
        found = follower.activity()
        if found.stage == "search":
            counts.append(found.trials.done)
            trials |= {training.name for training in found.running}
            assert found.runs.total == len(expand(study))
    assert counts == sorted(counts)
    assert (found.trials.done, found.trials.total) == (12, 12)  # of four trained methods
    assert "sst2.lora.nfull.trial2.s1001" in trials
    assert not found.running
    assert found.runs.done == found.runs.total


def test_a_search_that_is_resumed_starts_with_the_trials_that_it_has() -> None:
    study = made.a_study(search={"trials": 3})
    search = searches(study)[0]
    true = simulated.machine(study, np.random.default_rng(0))
    planned = simulated.events(study, true, true.loads, workers=1)[:2]
    follower = Follower("fabricated")
    for one in planned:
        follower.take(one.event)
    for done in (2, 1):  # the second time after its worker was lost
        follower.take(SearchStarted(search, done))
        assert follower.activity().trials.done == done


_SEARCH = ["search={trials: 2, max_steps: 2}", "train_sizes=[8]", "ablations={}"]


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("executor", ["inline", "process"])
def test_every_executor_tells_of_trials_and_the_folder_says_what_goes_on(
    executor: str, tmp_path: Path
) -> None:
    events: list[Event] = []
    seen = []
    folder = StudyFolder(tmp_path / "out")

    def take(event: Event) -> None:
        events.append(event)
        seen.append(read_activity(folder))

    doer = InlineExecutor() if executor == "inline" else ProcessExecutor(1)
    run_study(small.spec(tmp_path, _SEARCH), folder.path, executor=doer, on_event=take)
    of_search = [one for one in events if isinstance(one, TrialStarted | TrialPointLogged | TrialFinished)]
    trial = ["TrialStarted", *["TrialPointLogged"] * 4, "TrialFinished"]  # before the first step; 1, 2; at 2
    assert [type(one).__name__ for one in of_search] == 2 * trial
    assert [one.number for one in of_search if isinstance(one, TrialStarted)] == [0, 1]
    during = [one for one in seen if one is not None]
    assert len(during) == len(seen)
    assert {one.stage for one in during} == {"checks", "search", "runs"}
    assert {training.trial for one in during for training in one.running} == {0, 1, None}
    assert during[-1].runs.done == during[-1].runs.total == 2
    assert during[-1].trials.done == 2
    assert read_activity(folder) is None
    assert not folder.activity().exists()


def test_the_file_of_another_version_is_as_good_as_none(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    for content in ('{"study": "a", "unheard_of": 1}', '{"study": ', ""):
        folder.activity().write_text(content, encoding="utf-8")
        assert read_activity(folder) is None
