"""The search: equal trials, on validation only, with seeds of its own, and resumable."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import log10
from pathlib import Path
from typing import Any, Literal

import pytest

from helpers import small
from helpers.killing import Killing, killed_in_trial
from helpers.listening import EventLog
from tuneoff.errors import StoppedError, StoreError, StudyError, TuneoffError
from tuneoff.results import (
    CurvePoint,
    RunRecord,
    SearchFolder,
    SearchResult,
    chosen_values,
    read_records,
    read_searches,
)
from tuneoff.spec import LoraSpec, RunSpec, expand, load_study, searches
from tuneoff.study import (
    Context,
    Event,
    InlineExecutor,
    Lost,
    TrialPointLogged,
    TrialStarted,
    run_study,
    tune,
)
from tuneoff.study.events import ignore
from tuneoff.study.tune import (
    SearchJob,
    end_trial,
    latin_hypercube,
    length_factors,
    planned_trainings,
    search_job,
)
from tuneoff.training import Session, run_trial

CONTEXT = Context(Session(), ignore)
SEARCH = (
    "search={trials: 4, max_steps: 2, seeds: [7], space: {learning_rate: [1e-4, 1e-1, log]}}",
    "train_sizes=[8]",
    "methods={zero_shot: {kind: none}, full: {kind: full}, prompt: {kind: prompt, length: 2}}",
    "ablations={}",
)


def _searched(folder: Path, overrides: Sequence[str] = SEARCH, *, out: Path | None = None) -> EventLog:
    listener = EventLog()
    study = load_study(str(small.study(folder)), overrides=overrides)
    run_study(study, out or folder / "out", executor=InlineExecutor(), on_event=listener)
    return listener


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched")
    _searched(folder)
    return folder


@pytest.mark.slow
def test_every_trained_method_gets_the_same_trials_of_the_same_length(searched: Path) -> None:
    results = read_searches(searched / "out")
    assert [result.method_name for result in results] == ["full", "prompt"]
    assert {(len(result.trials), result.steps, result.seeds) for result in results} == {(4, 2, (7,))}
    evenly = [[trial.values for trial in result.trials[:3]] for result in results]
    assert evenly[0] == evenly[1]


@pytest.mark.slow
def test_a_trial_never_sees_the_test_split(searched: Path) -> None:
    trials = list((searched / "out/search").glob("*/trials/*"))
    assert len(trials) == 8
    assert all({path.name for path in trial.iterdir()} == {"curve.jsonl"} for trial in trials)


@pytest.mark.slow
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
    planned = expand(study, chosen_values(study, read_searches(searched / "out")))
    assert {run.run_id for run in planned} == {record.run_id for record in records.values()}


@pytest.mark.slow
def test_a_finished_search_is_not_done_again(searched: Path, tmp_path: Path) -> None:
    listener = _searched(searched, out=Path(shutil.copytree(searched / "out", tmp_path / "out")))
    assert (listener.searches, listener.pending) == ([], [])


@contextmanager
def _interrupted_after(trainings: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Press Ctrl-C, as it were, when this many trainings are done."""
    done: list[str] = []

    def interrupted(spec: RunSpec, folder: Path, **options: object) -> RunRecord:
        if len(done) == trainings:
            raise KeyboardInterrupt
        done.append(folder.name)
        return run_trial(spec, folder, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(tune, "run_trial", interrupted)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.mark.slow
def test_an_interrupted_search_ends_as_if_it_had_not_been(
    searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _interrupted_after(2, monkeypatch):
        _searched(searched, out=tmp_path)
    listener = _searched(searched, out=tmp_path)
    assert len(listener.searches) == 2
    assert _trials(listener.found) == _trials(read_searches(searched / "out"))


@pytest.mark.slow
def test_a_diverged_trial_counts_and_is_not_chosen(tmp_path: Path) -> None:
    wide = "search.space.learning_rate=[1e-4, 1e30, log]"
    (result,) = _searched(tmp_path, [*SEARCH, wide, "methods={full: {kind: full}}"]).found
    assert "diverged" in {trial.state for trial in result.trials}
    assert len(result.trials) == 4
    assert result.best is not None
    assert result.best.state == "complete"


SCORES = (0.9, 0.5, 0.7, 0.1, 0.8, 0.85, 0.95)
"""The score of each trial at its only step; the fourth is worse than the median and pruned."""


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes every trial of a search end with its score of `SCORES`; the trials that were done so far."""
    done: list[str] = []

    def result(
        spec: RunSpec, folder: Path, *, on_point: Callable[[CurvePoint], None], **options: object
    ) -> RunRecord:
        done.append(folder.name)
        scores = {"eval_accuracy": SCORES[int(folder.name.partition(".")[0])], "eval_loss": 1 / 3}
        try:
            on_point(CurvePoint(step=1, scores=scores))
        except StoppedError:
            return RunRecord(run_id=spec.run_id, spec=spec, state="cancelled")
        return RunRecord(run_id=spec.run_id, spec=spec, state="complete", validation=scores)

    monkeypatch.setattr(tune, "run_trial", result)
    return done


@pytest.fixture
def job(tmp_path: Path) -> SearchJob:
    """A search of seven trials, the last two of which the sampler places."""
    overrides = [*SEARCH, "search.pruner=median", "search.trials=7", "methods={full: {kind: full}}"]
    (search,) = searches(small.spec(tmp_path, overrides))
    return SearchJob(search, SearchFolder(tmp_path / "search"), steps=2, origin={"train": "0a"})


def test_a_hopeless_trial_is_ended_early_where_the_study_says_so(job: SearchJob, scripted: list[str]) -> None:
    states = [trial.state for trial in search_job(job, CONTEXT).trials]
    assert states == ["complete", "complete", "complete", "pruned", "complete", "complete", "complete"]


def _damaged(content: bytes) -> Iterator[tuple[bytes, int]]:
    """What a file of trials may hold after a crash, and how many trials of it are to be believed."""
    lines = content.splitlines(keepends=True)
    whole = len(lines)
    last_two = len(b"".join(lines[:-2]))
    for size in (*range(last_two, len(content), 7), *range(len(content) - 3, len(content))):
        # the last line may lack its end, and be whole
        yield content[:size], content[:size].count(b"\n") + (size == len(content) - 1)
    second = len(lines[0])
    yield content[:second] + b"\x00" + content[second + 1 :], 1
    yield content.replace(b'"score":0.5', b'"score":0.4'), 1
    yield b"".join([lines[0], *lines[2:]]), 1
    yield b"".join([lines[1], lines[0], *lines[2:]]), 0
    yield b"".join([lines[0], *lines]), 1
    yield content + b"\n\xff", whole
    yield b"", 0


@pytest.mark.slow
def test_a_search_whose_file_was_cut_or_damaged_ends_as_if_it_had_not_been(
    job: SearchJob, scripted: list[str]
) -> None:
    undisturbed, path = search_job(job, CONTEXT), job.folder.trials
    content = path.read_bytes()
    assert content.count(b"\n") == 7
    believed = set()
    for damaged, left in _damaged(content):
        path.write_bytes(damaged)
        scripted.clear()
        assert search_job(job, CONTEXT) == undisturbed
        assert scripted == [f"{number}.s7" for number in range(left, 7)], damaged[-80:]
        assert path.read_bytes() == content or left == 7
        believed.add(left)
    assert believed == {0, 1, 5, 6, 7}


def test_a_search_that_was_killed_as_it_wrote_leaves_nothing_to_wait_for(
    job: SearchJob, scripted: list[str]
) -> None:
    undisturbed = search_job(job, CONTEXT)
    content = job.folder.trials.read_bytes()
    (job.folder.path / ".trials.jsonl.new").write_bytes(content[:-100])
    # what was left by an earlier version
    (job.folder.path / "journal.log").write_bytes(b'{"op_code": 0, "wor')
    (job.folder.path / "journal.log.lock").symlink_to("journal.log")
    assert search_job(job, CONTEXT) == undisturbed


def test_trials_of_other_data_or_another_length_are_done_again(job: SearchJob, scripted: list[str]) -> None:
    search_job(job, CONTEXT)
    for other in (job._replace(origin={"train": "0b"}), job._replace(steps=3)):
        scripted.clear()
        assert search_job(other, CONTEXT).steps == other.steps
        assert len(scripted) == 7


def test_a_file_of_trials_that_cannot_be_read_is_named(job: SearchJob, scripted: list[str]) -> None:
    job.folder.trials.mkdir(parents=True)
    with pytest.raises(StoreError, match=r"trials\.jsonl"):
        search_job(job, CONTEXT)


def test_a_full_disk_is_named_and_the_search_goes_on_later(
    job: SearchJob, scripted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = search_job(job, CONTEXT)
    lines = job.folder.trials.read_bytes().splitlines(keepends=True)
    job.folder.trials.write_bytes(b"".join(lines[:3]))
    write = Path.write_bytes

    def write_half(path: Path, content: bytes) -> int:
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", write_half)
        with pytest.raises(StoreError, match=r"cannot write '.*trials.jsonl': No space left"):
            search_job(job, CONTEXT)
    assert job.folder.trials.read_bytes() == b"".join(lines[:3])
    scripted.clear()
    assert search_job(job, CONTEXT) == undisturbed
    assert scripted == [f"{number}.s7" for number in range(3, 7)]


def test_a_trial_that_ended_its_worker_counts_without_a_score(job: SearchJob, scripted: list[str]) -> None:
    undisturbed = search_job(job, CONTEXT)
    lines = job.folder.trials.read_text().splitlines(keepends=True)
    job.folder.trials.write_text("".join(lines[:2]))
    assert end_trial(job, "out_of_memory")
    scripted.clear()
    result = search_job(job, CONTEXT)
    assert scripted == [f"{number}.s7" for number in range(3, 7)]
    lost = undisturbed.trials[2].model_copy(
        update={"state": "out_of_memory", "score": None, "eval_loss": None}
    )
    assert result.trials[:3] == (*undisturbed.trials[:2], lost)
    assert len(result.trials) == 7
    assert not end_trial(job, "out_of_memory")


@pytest.mark.subprocess
@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_search_goes_on_without_the_trials_that_kill_their_worker(tmp_path: Path, searched: Path) -> None:
    study = load_study(str(searched / "study.yaml"), overrides=[*SEARCH, "methods={full: {kind: full}}"])
    listener = EventLog()
    run_study(
        study,
        tmp_path / "out",
        executor=Killing(partial(killed_in_trial, ("1.s7", "3.s7"))),
        on_event=listener,
    )
    (result,) = listener.found
    undisturbed = next(one for one in read_searches(searched / "out") if one.search_id == result.search_id)
    assert [trial.state for trial in result.trials] == [
        "complete",
        "out_of_memory",
        "complete",
        "out_of_memory",
    ]
    assert [result.trials[n] for n in (0, 2)] == [undisturbed.trials[n] for n in (0, 2)]
    assert [record.state for record in listener.ended] == ["complete"]


class Stopping:
    """Stops the first trials at their sixth step, and notes at which steps trials have begun."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.stopped: set[int] = set()
        self.first_steps: list[int] = []
        self._number, self._begins = -1, False

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrialStarted):
            self._number, self._begins = event.number, True
        elif isinstance(event, TrialPointLogged):
            if self._begins:
                self.first_steps.append(event.point.step)
                self._begins = False
            if event.point.step == 6 and len(self.stopped) < self._most and self._number not in self.stopped:
                self.stopped.add(self._number)
                raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize(("pruner", "trials", "stops"), [("median", 3, 2), ("halving", 9, 1)])
def test_a_trial_that_is_stopped_in_its_midst_goes_on_there(
    tmp_path: Path, pruner: str, trials: int, stops: int
) -> None:
    overrides = [
        "search={max_steps: 9, seeds: [7], space: {rank: [1, 8, linear]}}",
        f"search.trials={trials}",
        f"search.pruner={pruner}",
        "methods={lora: {kind: lora, dropout: 0.1}}",
        "training={eval_steps: 1, logging_steps: 1, save_steps: 2, per_device_train_batch_size: 4}",
        "training.max_steps=9",
        "train_sizes=[8]",
        "ablations={}",
    ]
    _searched(tmp_path, overrides, out=tmp_path / "undisturbed")
    study = load_study(str(small.study(tmp_path)), overrides=overrides)
    listener = Stopping(stops)
    for _ in range(stops):
        with pytest.raises(KeyboardInterrupt):
            run_study(study, tmp_path / "out", executor=InlineExecutor(), on_event=listener)
    run_study(study, tmp_path / "out", executor=InlineExecutor(), on_event=listener)
    assert sorted(set(listener.first_steps)) == [0, 6]
    assert listener.first_steps.count(6) == stops
    assert read_searches(tmp_path / "out") == read_searches(tmp_path / "undisturbed")
    assert not list((tmp_path / "out").rglob("checkpoint.safetensors"))


def test_a_search_whose_workers_end_outside_of_trials_is_an_error(tmp_path: Path) -> None:
    class Losing:
        """Worker processes that end with every job."""

        in_process = False
        asked = 0

        def prepare(self, setup: object) -> None:
            pass

        def map(self, work: object, jobs: Sequence[Any], on_event: object) -> Iterator[Any]:
            self.asked += 1
            yield from (Lost(job, -9) for job in jobs)

        def close(self) -> None:
            pass

    executor = Losing()
    study = small.spec(tmp_path, [*SEARCH, "methods={full: {kind: full}}"])
    with pytest.raises(TuneoffError, match=r"search films.full.n8-\w+ cannot end: its worker process was"):
        run_study(study, tmp_path / "out", executor=executor, on_event=EventLog())
    assert executor.asked == 4 + 1


@pytest.fixture
def halving(job: SearchJob) -> SearchJob:
    """The same search by halving: of seven trials, three go on to the second rung and one to the last."""
    return job._replace(search=job.search.model_copy(update={"pruner": "halving"}), steps=9)


HALVED = [f"{number}.s7" for number in (0, 1, 2, 3, 4, 5, 6, 6, 0, 5, 6)]
"""The trainings of that search with the scores of `SCORES`: all trials, the best three, the best."""


def test_halving_trains_the_best_trials_further_and_chooses_among_those_at_the_end(
    halving: SearchJob, scripted: list[str]
) -> None:
    result = search_job(halving, CONTEXT)
    assert scripted == HALVED
    assert result.rungs == (1, 3, 9)
    assert result.reached == ((1, 7), (3, 3), (9, 1))
    assert [len(trial.rung_scores) for trial in result.trials] == [2, 1, 1, 1, 1, 2, 3]
    assert [trial.number for trial in result.trials if trial.state == "complete"] == [6]
    assert result.best == result.trials[6]
    # the points that cover the ranges evenly are those of a search without halving
    evenly = latin_hypercube(halving.search.space, 5)
    assert [trial.values for trial in result.trials[:5]] == evenly


def test_a_search_by_halving_that_is_interrupted_anywhere_ends_as_if_it_had_not_been(
    halving: SearchJob, scripted: list[str]
) -> None:
    undisturbed, path = search_job(halving, CONTEXT), halving.folder.trials
    lines = path.read_bytes().splitlines(keepends=True)
    for left in range(len(lines)):
        path.write_bytes(b"".join(lines[:left]) + lines[left][:50])
        scripted.clear()
        assert search_job(halving, CONTEXT) == undisturbed
        assert scripted == HALVED[left:]
    assert path.read_bytes() == b"".join(lines)


def test_a_trial_that_ends_its_worker_at_a_later_rung_is_replaced_by_the_next_best(
    halving: SearchJob, scripted: list[str]
) -> None:
    search_job(halving, CONTEXT)
    lines = halving.folder.trials.read_text().splitlines(keepends=True)
    halving.folder.trials.write_text("".join(lines[:7]))
    assert end_trial(halving, "out_of_memory")
    scripted.clear()
    result = search_job(halving, CONTEXT)
    assert scripted == ["0.s7", "5.s7", "4.s7", "0.s7"]
    assert (result.trials[6].state, result.trials[6].rung_scores) == ("out_of_memory", (0.95,))
    assert result.best == result.trials[0]


HALVING = (
    "search={trials: 4, max_steps: 9, seeds: [7, 8], pruner: halving, "
    "space: {learning_rate: [1e-4, 1e-1, log]}}",
    "training.eval_steps=9",
    *SEARCH[1:],
)


@pytest.mark.slow
def test_methods_get_equal_rungs_and_a_killed_search_by_halving_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _searched(tmp_path, HALVING).found
    for result in whole:
        assert result.reached == ((1, 4), (3, 2), (9, 1))
        final = [trial for trial in result.trials if len(trial.rung_scores) == 3]
        assert result.best in final
        assert {trial.state for trial in result.trials if trial not in final} == {"pruned"}

    # the next is the second seed of the second trial at the second rung
    one_method = [*HALVING, "methods={full: {kind: full}}"]
    with _interrupted_after(11, monkeypatch):
        _searched(tmp_path, one_method, out=tmp_path / "resumed")
    resumed = _searched(tmp_path, one_method, out=tmp_path / "resumed").found
    assert _trials(resumed) == _trials([result for result in whole if result.method_name == "full"])


@pytest.mark.slow
def test_a_trial_that_stops_early_is_the_beginning_of_the_whole_one(tmp_path: Path) -> None:
    # warm-up and decay are those of the full length
    overrides = [*SEARCH, "training.max_steps=6", "training.warmup_ratio=0.5", "search.max_steps=6"]
    search = searches(small.spec(tmp_path, overrides))[0]
    points: dict[int | None, list[CurvePoint]] = {}
    for stop_after in (None, 4):
        folder = tmp_path / f"{stop_after}"
        folder.mkdir()
        spec = search.trial({"learning_rate": 1e-3}, seed=7, steps=6)
        points[stop_after] = []
        record = run_trial(spec, folder, stop_after=stop_after, on_point=points[stop_after].append)
        assert record.steps == (stop_after or 6)
    assert [point.step for point in points[4] if point.scores] == [0, 2, 4]
    assert points[4] == points[None][: len(points[4])]


def test_a_stopped_trial_ends_as_cancelled(tmp_path: Path) -> None:
    def stop(point: CurvePoint) -> None:
        raise StoppedError("enough")

    (search, _) = searches(small.spec(tmp_path, SEARCH))
    (tmp_path / "trial").mkdir()
    assert run_trial(search.run, tmp_path / "trial", on_point=stop).state == "cancelled"


def test_the_failure_of_a_trial_is_the_first_line_of_its_error(tmp_path: Path) -> None:
    def fail(point: CurvePoint) -> None:
        raise RuntimeError("x" * 600 + "\nframe #0: at::add")

    (search, _) = searches(small.spec(tmp_path, SEARCH))
    (tmp_path / "trial").mkdir()
    record = run_trial(search.run, tmp_path / "trial", on_point=fail)
    assert record.failure is not None
    assert record.failure.message == "x" * 500 + "... (600 characters)"
    assert "frame #0" in (tmp_path / "trial/error.log").read_text(encoding="utf-8")


def test_a_plan_counts_the_trainings_to_each_rung_with_their_steps(tmp_path: Path) -> None:
    planned = planned_trainings(searches(small.spec(tmp_path, HALVING)), Session())
    of_full = [(run.training.max_steps, count) for run, count in planned if run.method_name == "full"]
    assert of_full == [(1, 8), (3, 4), (9, 2)]
    assert len(planned) == 2 * len(of_full)


def test_equal_operations_give_cheap_methods_more_steps(tmp_path: Path) -> None:
    study = small.spec(tmp_path, [*SEARCH, "search.budget=flops"])
    found = {
        search.run.method_name: length_factors(searches(study), Session())[search.search_id]
        for search in searches(study)
    }
    assert found["full"] == 1
    assert 1.2 < found["prompt"] < 3


def test_points_of_a_latin_hypercube_lie_in_the_middle_of_equal_parts_of_each_range() -> None:
    points = latin_hypercube({"learning_rate": (1e-5, 1.0, "log"), "rank": (1, 9, "linear")}, 5)
    assert sorted(log10(point["learning_rate"]) for point in points) == pytest.approx(
        [-4.5, -3.5, -2.5, -1.5, -0.5]
    )
    assert sorted(point["rank"] for point in points) == [2, 3, 5, 7, 8]
    assert all(isinstance(point["rank"], int) for point in points)


@pytest.mark.parametrize(
    ("ends", "middle"),
    [
        ((1e-300, 1e300, "log"), 1.0),
        ((-1.5e308, 1.5e308, "linear"), 0.0),
        ((0.1, 0.10000000000000002, "log"), 0.1),
        ((0.1, 0.10000000000000002, "linear"), 0.1),
    ],
)
def test_a_latin_hypercube_of_the_widest_and_narrowest_ranges_lie_inside(
    ends: tuple[float, float, Literal["log", "linear"]], middle: float
) -> None:
    values = [point["x"] for point in latin_hypercube({"x": ends}, 5)]
    assert all(ends[0] <= value <= ends[1] for value in values)
    assert sorted(values)[2] == pytest.approx(middle)


@pytest.mark.parametrize(
    "ends", [(1e-300, 1e300, "log"), (0.1, 0.10000000000000002, "log"), (3.0, 3.5, "log")]
)
def test_what_a_search_tries_lies_in_its_range(
    job: SearchJob, scripted: list[str], ends: tuple[float, float, Literal["log", "linear"]]
) -> None:
    search = job.search.model_copy(update={"space": {"learning_rate": ends}})
    trials = search_job(job._replace(search=search), CONTEXT).trials
    assert len(trials) == 7
    assert all(ends[0] <= trial.values["learning_rate"] <= ends[1] for trial in trials)


def test_the_best_value_at_an_end_of_those_tried_is_named() -> None:
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
    method = search.trial({"lora.learning_rate": 0.002, "prompt.learning_rate": 0.5}, seed=7, steps=2).method
    assert [part.learning_rate for part in method.parts] == [0.002, 0.5]
    assert isinstance(method.parts[0], LoraSpec)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "search.space={learning_rat: [1e-4, 1e-2, log]}",
            "search, method full: learning_rat: unknown name",
        ),
        ("search.space={learning_rate: [1e-2, 1e-4, log]}", "`low < high` must hold"),
        ("search.space={learning_rate: [0, 1, log]}", "`0 < low` on a log scale"),
        (
            "search.spaces={ful: {learning_rate: [1e-4, 1e-2, log]}}",
            "no trained method is called 'ful'; did you mean 'full'",
        ),
        ("search.seeds=[0]", "search.seeds must not overlap seeds, but both contain \\[0\\]"),
        (
            "methods={both: {kind: stack, parts: [{kind: lora}, {kind: prompt}]}}",
            "search, method both: .* named by its part .*, but got 'learning_rate'",
        ),
    ],
)
def test_a_search_that_does_not_fit_is_refused(tmp_path: Path, override: str, expected: str) -> None:
    with pytest.raises(StudyError, match=expected):
        small.spec(tmp_path, [*SEARCH, override])


def _trials(results: Sequence[SearchResult]) -> list[dict[str, object]]:
    return [result.model_dump() for result in results]
