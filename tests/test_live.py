"""The live view: on terminals of every width, without one, and from another terminal."""

import io
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from helpers import fabricated as made
from helpers import simulated, small
from helpers.command_line import tuneoff
from tuneoff.api import run as run_study
from tuneoff.cli import live
from tuneoff.cli.progress import Progress
from tuneoff.results import Activity, Count, CurvePoint, StudyFolder, Training, means, write_activity
from tuneoff.spec import expand
from tuneoff.study import PointLogged, RunFinished, RunsPlanned, RunStarted


def _training(number: int = 0, **changes: object) -> Training:
    values = {
        "task": "reviews",
        "method": "lora",
        "train_size": 1344,
        "seed": number,
        "step": 35,
        "steps": 84,
        "losses": (0.9, 0.7, 0.5, 0.4),
        "loss": 0.4,
        "metric": "accuracy",
        "score": 0.75,
        "seconds": 12.0,
    }
    return Training.model_validate(values | changes)


def _activity(running: int = 2, **changes: object) -> Activity:
    values = {
        "study": "quickstart",
        "stage": "runs",
        "runs": Count(done=12, total=12 + running + 3),
        "running": tuple(map(_training, range(running))),
        "seconds": 252.0,
        "left": 301.0,
    }
    return Activity.model_validate(values | changes)


def test_a_wide_view_says_all() -> None:
    assert live.draw(_activity(), width=100) == [
        "runs   " + 16 * "\u2501" + 8 * "\u2500" + " 12 of 17 done, 2 running, 3 waiting",
        "  reviews.lora.n1344.s0  35/84  0.400  \u2588\u2585\u2582\u2581  accuracy 0.750  12 s",
        "  reviews.lora.n1344.s1  35/84  0.400  \u2588\u2585\u2582\u2581  accuracy 0.750  12 s",
        "4 min 10 s so far, about 5 min left",
    ]


def test_a_narrow_view_keeps_all_names_and_has_a_second_line_for_each_run() -> None:
    assert live.draw(_activity(1), width=40) == [
        "runs 12 of 16 done, 1 running, 3 waiting",
        "  reviews.lora.n1344.s0",
        "    35/84  0.400  \u2588\u2585\u2582\u2581  accuracy 0.750",
        "4 min 10 s so far, about 5 min left",
    ]


def test_a_view_in_between_has_fewer_fields_in_a_line() -> None:
    (_, line, _) = live.draw(_activity(1), width=52)
    assert line == "  reviews.lora.n1344.s0  35/84  0.400  \u2588\u2585\u2582\u2581"


@given(
    width=st.integers(10, 200),
    height=st.integers(3, 60),
    running=st.integers(0, 300),
    name=st.text(min_size=1, max_size=80),
    ascii_only=st.booleans(),
)
def test_no_view_is_wider_or_higher_than_its_terminal(
    width: int, height: int, running: int, name: str, ascii_only: bool
) -> None:
    trainings = tuple(_training(number, method=name, losses=()) for number in range(running))
    activity = _activity(running=0, trials=Count(done=3, total=9)).model_copy(update={"running": trainings})
    lines = live.draw(activity, width=width, height=height, ascii_only=ascii_only)
    assert all(cell_len(line) <= width for line in lines)
    assert len(lines) <= max(height, 5)
    assert all(character >= " " and character != "\x7f" for line in lines for character in line)
    if running > height:
        assert width < 14 or "more" in lines[-2]


def test_an_ascii_terminal_gets_ascii() -> None:
    assert all(line.isascii() for line in live.draw(_activity(), width=40, ascii_only=True))


@given(st.lists(st.floats(-1e6, 1e6), max_size=40), st.integers(1, 20))
def test_a_curve_is_high_where_its_values_are_high(values: list[float], width: int) -> None:
    shown = live.curve(values, width)
    kept = means(values, width)
    assert len(shown) == len(kept) == min(len(values), width)
    heights = [ord(bar) for bar in shown]
    assert all(a <= b for (x, a) in zip(kept, heights) for (y, b) in zip(kept, heights) if x <= y)  # noqa: B905
    if len(set(kept)) > 1 and max(kept) - min(kept) > 1e-3:
        assert {min(heights), max(heights)} == {0x2581, 0x2588}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (172, "2 min 50 s"), (597, "10 min"), (7500, "2 h 05 min")],
)
def test_times_are_rough(seconds: float, expected: str) -> None:
    assert live.rough(seconds) == expected


def test_without_a_terminal_each_event_is_a_plain_line() -> None:
    runs = expand(made.a_study())
    out = io.StringIO()
    with Progress(Console(file=out)) as progress:
        progress.show(RunsPlanned(runs, len(runs)))
        progress.show(RunStarted(runs[1]))
        progress.show(PointLogged(runs[1], CurvePoint(step=0, scores={"eval_accuracy": 0.5})))
        progress.show(PointLogged(runs[1], CurvePoint(step=10, loss=1.0)))
        progress.show(PointLogged(runs[1], CurvePoint(step=100, scores={"eval_accuracy": 0.75})))
        progress.show(RunFinished(made.a_record(runs[1])))
    name, score = runs[1].run_id, made.scores_of(runs[1])["eval_accuracy"]
    assert out.getvalue().splitlines() == [
        f"{name}  started",
        f"{name}  step 0  accuracy 0.500 on validation",
        f"{name}  step 100  accuracy 0.750 on validation",
        f"{name}  complete  accuracy {score:.3f}  150 s  (1 of 13 runs)",
    ]


def test_without_a_terminal_a_search_tells_of_its_trials() -> None:
    study = made.a_study(search={"trials": 2}, methods={"lora": {"kind": "lora"}}, seeds=[0])
    true = simulated.machine(study, np.random.default_rng(0))
    out = io.StringIO()
    with Progress(Console(file=out)) as progress:
        for one in simulated.events(study, true, true.loads, workers=1):
            progress.show(one.event)
    lines = [line.partition("  (")[0] for line in out.getvalue().splitlines()]
    assert lines[:4] == [
        "sst2.lora.nfull  trial 0  seed 1000  200 steps  started",
        "sst2.lora.nfull  trial 0  complete  accuracy 0.500 on validation",
        "sst2.lora.nfull  trial 1  seed 1000  200 steps  started",
        "sst2.lora.nfull  trial 1  complete  accuracy 0.500 on validation",
    ]
    assert "1 of 2 trials" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def _terminal(width: int = 100) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=20, legacy_windows=False)


def test_a_terminal_shows_runs_under_way_and_keeps_a_line_for_each_that_ended() -> None:
    runs = expand(made.a_study())
    console = _terminal()
    with Progress(console) as progress:
        progress.show(RunsPlanned(runs, len(runs)))
        progress.show(RunStarted(runs[1]))
        progress.show(PointLogged(runs[1], CurvePoint(step=10, loss=1.25)))
        progress._live.refresh()
        progress.show(RunFinished(made.a_record(runs[1])))
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert "sst2.full.nfull.s0" in out
    assert "1.250" in out
    assert (
        f"{runs[1].run_id}  complete  accuracy {made.scores_of(runs[1])['eval_accuracy']:.3f}  150 s\n" in out
    )


class _Elsewhere:
    """A process that works on a folder, as one that watches it sees it: by what it finds after each pause."""

    def __init__(self, folder: Path, activities: list[Activity | None], pause: float = 2.0) -> None:
        self.folder, self.activities, self.pause = StudyFolder(folder), activities, pause
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        assert self.activities, "it watches on"
        self.now += self.pause
        if activity := self.activities.pop(0):
            write_activity(self.folder.activity(), activity)
        else:
            self.folder.activity().unlink(missing_ok=True)

    def watch(self, console: Console, *, is_done: bool = False) -> str:
        live.watch(self.folder.path, console, is_done=is_done, sleep=self.sleep, clock=lambda: self.now)
        return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_watching_shows_what_the_files_say_until_no_process_works_on_the_study(tmp_path: Path) -> None:
    first = _activity(runs=Count(done=12, total=20))
    second = _activity(runs=Count(done=13, total=20), left=None)
    out = _Elsewhere(tmp_path, [first, second, None]).watch(_terminal(60))
    assert "no process works on this study" in out
    assert "344.s1 " in out
    assert "about 5 min left" in out
    assert "13 of 20 done" in out
    assert "time left not known yet" in out


def test_watching_counts_down_while_nothing_is_new_and_says_so_at_last(tmp_path: Path) -> None:
    same = [_activity() for _ in range(4)]
    out = _Elsewhere(tmp_path, [*same, None], pause=60.0).watch(_terminal())
    for left in ("5 min left", "4 min left", "3 min left", "no news for 2 min"):
        assert left in out


def test_watching_without_a_terminal_prints_a_line_for_each_change(tmp_path: Path) -> None:
    first, second = _activity(), _activity(runs=Count(done=13, total=17))
    out = _Elsewhere(tmp_path, [first, first, second, None]).watch(Console(file=io.StringIO()))
    assert out.splitlines() == [
        "no process works on this study; waiting for one",
        "12 of 17 runs, about 5 min left",
        "13 of 17 runs, about 5 min left",
    ]


def test_watching_a_study_that_nobody_works_on_ends(tmp_path: Path) -> None:
    assert _Elsewhere(tmp_path, []).watch(Console(file=io.StringIO()), is_done=True) == ""
    waiting = _Elsewhere(tmp_path, [None] * 40)
    waiting.watch(Console(file=io.StringIO()))
    assert 60 < waiting.now < 70


def test_the_status_of_a_done_study_is_the_same_when_it_is_watched(finished: Path) -> None:
    assert tuneoff("status", finished, "--watch") == tuneoff("status", finished)


def test_ctrl_c_ends_watching_with_130(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([_activity()])

    def read(folder: StudyFolder) -> Activity:
        for activity in found:
            return activity
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "read_activity", read)
    monkeypatch.setattr(live, "_EVERY", 0.0)
    outcome = tuneoff("status", finished, "--watch")
    assert (outcome.code, outcome.err) == (130, "")
    assert outcome.out.startswith("12 of 17 runs, about 5 min left")


def test_watching_a_folder_without_a_study_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneoff.cli.live._PATIENCE", 0.0)
    assert tuneoff("status", tmp_path, "--watch").code == 2


@pytest.mark.slow
def test_watching_waits_for_a_study_that_has_just_been_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(folder: Path, console: Console, *, is_done: bool) -> None:
        assert not is_done
        overrides = ["methods={zero_shot: {kind: none}}", "ablations={}", "train_sizes=[8]"]
        run_study(small.spec(tmp_path, overrides), out=folder)

    # by its module: `tuneoff.cli.status` is the command until the module of this name is imported
    monkeypatch.setattr(import_module("tuneoff.cli.status"), "watch_folder", begin)
    outcome = tuneoff("status", tmp_path / "out", "--watch")
    assert outcome.code == 0, outcome.err
    assert "1 of 1 runs complete" in outcome.out
