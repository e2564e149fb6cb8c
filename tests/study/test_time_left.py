"""The time that a study still takes, told from its events while it runs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers import fabricated as made
from helpers import simulated, small
from tuneoff.spec import StudySpec, expand, load_study
from tuneoff.stats import Cell
from tuneoff.study import Follower, activity
from tuneoff.study.time_left import Speeds, Spent, makespan
from tuneoff.study.workload import Load, expected_loads
from tuneoff.training import Session, total_steps

TIMED = {
    "reviews": {"zero_shot": 3.0, "full": 26.7, "lora": 23.1, "prefix": 19.0, "prompt": 24.1},
    "dialogues": {"zero_shot": 5.8, "full": 26.5, "lora": 27.8, "prefix": 20.8, "prompt": 21.3},
}
"""Seconds of a run of the quickstart, by task and method, as they were measured on two cores."""


def _study(**changes: object) -> StudySpec:
    return made.a_study(tasks={"sst2": made.SST2, "samsum": made.SAMSUM}, seeds=[0, 1, 2, 3], **changes)


def _said(
    study: StudySpec,
    seed: int,
    workers: int,
    expect: Callable[[dict[Cell, Load], np.random.Generator], dict[Cell, Load]] = simulated.expected,
) -> Iterator[tuple[float, float, float | None]]:
    """Share of the time that has passed, seconds left, and what was said to be left, at every tenth event."""
    rng = np.random.default_rng(seed)
    true = simulated.machine(study, rng)
    events = simulated.events(study, true, expect(true.loads, rng), workers=workers)
    now = [0.0]
    follower = Follower("simulated", clock=lambda: now[0])
    end = events[-1].seconds
    for number, one in enumerate(events):
        now[0] = one.seconds
        follower.take(one.event)
        if number % 10 == 0:
            yield one.seconds / end, end - one.seconds, follower.activity().left


def _is_right(passed: float, left: float, said: float | None, share: float = 0.2) -> bool:
    # at the end, when little is left, a fiftieth of the whole is close enough
    return said is not None and abs(said - left) <= share * left + 0.02 * left / (1 - passed)


@pytest.mark.parametrize(
    "workers", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(5, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "search",
    [None, pytest.param({"trials": 4}, marks=pytest.mark.slow), {"trials": 2, "seeds": [1000, 1001]}],
)
def test_it_is_right_within_a_fifth_after_the_first_tenth(
    search: dict[str, object] | None, workers: int
) -> None:
    study = _study(search=search)
    for seed in range(5):
        for passed, left, said in _said(study, seed, workers):
            if 0.1 < passed < 1:
                assert _is_right(passed, left, said), (seed, passed, left, said)


def test_a_wrong_expectation_is_corrected_by_what_is_seen() -> None:
    def alike(loads: dict[Cell, Load], rng: np.random.Generator) -> dict[Cell, Load]:
        """No method is expected to be slower than another, nor a task."""
        trained = next(load for load in loads.values() if load.steps)
        return {cell: trained if load.steps else load for cell, load in loads.items()}

    # the second task is in the last half: its first round of methods has ended at about 0.7
    for passed, left, said in _said(_study(), 1, 1, alike):
        if 0.75 < passed < 1:
            assert _is_right(passed, left, said), (passed, left, said)


def test_nothing_is_said_before_anything_is_known() -> None:
    (first, *_) = _said(_study(), 1, 1)
    assert first[2] is None


@pytest.mark.slow
def test_it_is_right_for_the_quickstart_as_it_was_timed() -> None:
    runs = expand(load_study("quickstart"))
    loads = expected_loads(runs, Session())
    seconds = [TIMED[run.task_name][run.method_name] for run in runs]
    passed, spent = 0.0, []
    for number, run in enumerate(runs[:-1], start=1):
        passed += seconds[number - 1]
        load = loads[Cell.of(run)].whole
        spent.append(Spent(run.task_name, run.method_name, load, seconds[number - 1]))
        speeds = Speeds(spent)
        said = sum(
            speeds.seconds(later.task_name, later.method_name, loads[Cell.of(later)].whole)
            for later in runs[number:]
        )
        share = passed / sum(seconds)
        # the second task, whose answers are long, begins at one half
        assert _is_right(share, sum(seconds) - passed, said, share=0.25), (run.run_id, share)


def test_what_was_seen_elsewhere_tells_about_what_was_not_seen() -> None:
    """A slow method is slow on every task, a slow task with every method."""
    spent = [Spent("short", "fast", 1, 1), Spent("short", "slow", 1, 9), Spent("long", "fast", 1, 3)]
    found = Speeds([one for one in spent for _ in range(50)]).seconds("long", "slow", 1)
    assert found == pytest.approx(27, rel=0.2)
    assert Speeds(spent).seconds("short", "slow", 1) == pytest.approx(9, rel=0.15)


def test_jobs_are_done_as_workers_become_free() -> None:
    assert makespan([], [3, 1, 1, 1], 2) == 3
    assert makespan([2.0], [1, 1, 1], 2) == 3
    assert makespan([5.0, 1.0], [], 2) == 5
    assert makespan([], [], 4) == 0


def test_loads_follow_the_settings_and_the_rows(tmp_path: Path) -> None:
    methods = "methods={zero_shot: {kind: none}, lora: {kind: lora}, full: {kind: full}}"
    study = small.spec(tmp_path, [methods, "ablations={}"])
    loads = expected_loads(expand(study), Session())
    assert set(loads) == {Cell.of(run) for run in expand(study)}
    full, lora = loads[Cell("films", "full", 8)], loads[Cell("films", "lora", 8)]
    untrained = loads[Cell("films", "zero_shot", "full")]
    assert full.step > lora.step > untrained.step == 0
    assert full.end == lora.end == untrained.end > untrained.start > 0  # more test rows than validation rows
    assert full.whole == pytest.approx(full.start + 4 * full.step + full.end)
    epochs = small.spec(
        tmp_path, [methods, "ablations={}", "training={num_train_epochs: 3, per_device_train_batch_size: 4}"]
    )
    longer = expected_loads(expand(epochs), Session())
    assert longer[Cell("films", "lora", 8)].steps == total_steps(epochs.training, 8) == 6
    assert longer[Cell("films", "lora", "full")].steps > 6


def test_writing_takes_longer_than_choosing(tmp_path: Path) -> None:
    written = (
        "tasks.written={kind: generation, source: {files: {train: train.csv, test: test.csv}}, "
        "prompt: '{text}', target: text, allow_target_in_prompt: true, max_new_tokens: 20, "
        "metrics: [exact_match]}"
    )
    loads = expected_loads(expand(small.spec(tmp_path, [written])), Session())
    of = {task: loads[Cell(task, "zero_shot", "full")].end for task in ("films", "written")}
    assert of["written"] > of["films"]


def test_of_a_mixture_the_first_run_trains_and_the_others_are_tests(tmp_path: Path) -> None:
    second = (
        "tasks.again={kind: classification, source: {files: {train: train.csv, test: test.csv}}, "
        "prompt: '{text}', target: label, labels: {0: negative, 1: positive}}"
    )
    study = small.spec(tmp_path, [second, "mixtures={both: {of: [films, again]}}", "ablations={}"])
    loads = expected_loads(expand(study), Session())
    mixed = {cell.task: load for cell, load in loads.items() if "@" in cell.method and cell.train_size == 8}
    assert mixed["again"].steps == 4
    assert mixed["again"].step > 0
    assert mixed["films"].whole == mixed["films"].end > 0
    alone = loads[Cell("again", "lora", 8)]
    assert mixed["again"].start > alone.start  # it is scored on the validation rows of both


def test_an_estimate_that_takes_long_is_made_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    true = simulated.machine(_study(), rng)
    events = simulated.events(_study(), true, simulated.expected(true.loads, rng), workers=2)
    now, estimates = [0.0], []

    def slow(*given: object) -> float:
        estimates.append(now[0])
        now[0] += 1.0
        return makespan(*given)

    monkeypatch.setattr(activity, "makespan", slow)
    follower = Follower("simulated", clock=lambda: now[0])
    for one in events[: len(events) // 2]:
        now[0] = one.seconds
        follower.take(one.event)
    said = []
    for _ in range(30):
        said.append(follower.activity().left)
        now[0] += 1.0
    assert len(estimates) == 2
    assert np.diff(estimates) == pytest.approx([21.0], abs=1.0)
    # in between, the time goes by
    assert np.diff(said[1:20]) == pytest.approx([-1.0] * 18)
