"""Several processes on one folder, each with a share of a study."""

import threading
from collections import Counter
from pathlib import Path

import pytest

from helpers import small
from helpers.command_line import tuneoff
from helpers.forking import forked_command
from tuneoff.errors import InputError, StoreError
from tuneoff.results import RunStore, StudyFolder, read_activity, read_records
from tuneoff.spec import Shard, StudySpec, expand, searches, share_key
from tuneoff.study import InlineExecutor, run_study
from tuneoff.study.runner import check
from tuneoff.training import Session

SEEDS = "seeds=[0, 1, 2]"
SEARCH = "search={trials: 2, max_steps: 2, space: {learning_rate: [1.0e-4, 1.0e-2, log]}}"
RACE = "seeds={from: 2, to: 4}"


@pytest.mark.parametrize("text", ["", "3", "0/8", "9/8", "3/0", "-1/8", "3/8/2", "1.5/8", "1/99999"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--shard must be a share such as 3/8"):
        Shard.parse(text)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_every_run_is_in_one_share(tmp_path: Path, count: int) -> None:
    study = small.spec(tmp_path, [SEEDS])
    shards = [Shard(number, count) for number in range(1, count + 1)]
    taken = Counter(run.run_id for one in shards for run in expand(study) if one.takes(share_key(study, run)))
    assert taken == Counter(run.run_id for run in expand(study))


@pytest.mark.parametrize("settings", [SEARCH, RACE])
def test_runs_that_depend_on_each_other_are_in_one_share(tmp_path: Path, settings: str) -> None:
    study = small.spec(tmp_path, [settings])
    keys = {run.run_id: share_key(study, run) for run in expand(study)}
    if settings == RACE:
        assert set(keys.values()) == {"films"}
        return
    for search in searches(study):
        chosen = expand(study, {search.search_id: {"learning_rate": 0.005}})
        (run,) = (one for one in chosen if one.run_id not in keys)
        assert share_key(study, search.run) == share_key(study, run)


def _shard(study: StudySpec, folder: Path, number: int, count: int) -> None:
    run_study(study, folder, executor=InlineExecutor(), shard=Shard(number, count))


@pytest.mark.slow
@pytest.mark.parametrize("settings", [SEEDS, SEARCH])
def test_all_shards_together_are_the_study(tmp_path: Path, settings: str) -> None:
    study = small.spec(tmp_path, [settings])
    run_study(study, tmp_path / "whole", executor=InlineExecutor())
    for number in (2, 3, 1):
        _shard(study, tmp_path / "shards", number, 3)
    whole, shards = (
        {one.run_id: one.model_dump(exclude={"timings"}) for one in read_records(tmp_path / name)}
        for name in ("whole", "shards")
    )
    assert shards == whole
    assert tuneoff("report", tmp_path / "shards").code == 0
    done = tuneoff("status", tmp_path / "shards").out
    assert done.startswith(f"{len(whole)} of {len(whole)} runs complete")


@pytest.mark.slow
@pytest.mark.subprocess
def test_processes_on_one_folder_do_what_one_does(tmp_path: Path) -> None:
    path = small.study(tmp_path)
    arguments = ["run", str(path), "--set", SEEDS, "--out"]
    processes = []
    for number in range(1, 4):
        command = [*arguments, str(tmp_path / "shards"), "--shard", f"{number}/3"]
        outputs = [tmp_path / f"{number}.{kind}" for kind in ("out", "err")]
        processes.append(forked_command(command, *outputs))
    for process in processes:
        process.join(timeout=240)
    said = "".join((tmp_path / f"{number}.err").read_text(encoding="utf-8") for number in range(1, 4))
    assert ([process.exitcode for process in processes], said) == ([0] * 3, "")
    assert tuneoff(*arguments, tmp_path / "whole").code == 0
    whole, shards = (
        {
            one.run_id: one.model_dump(exclude={"timings", "environment"})
            for one in read_records(tmp_path / name)
        }
        for name in ("whole", "shards")
    )
    assert shards == whole
    assert (tmp_path / "shards" / "report" / "report.html").is_file()
    assert read_activity(StudyFolder(tmp_path / "shards")) is None


def test_shards_refuse_what_others_are_doing(tmp_path: Path) -> None:
    study = small.spec(tmp_path)
    inputs = check(study, Session())
    other = study.model_copy(update={"seeds": (7,)})

    def store(shard: Shard | None, of: StudySpec = study) -> RunStore:
        return RunStore(tmp_path / "out", of, inputs, shard)

    with store(Shard(1, 2)) as first:
        first.admit_others()
        with store(Shard(2, 2)) as second:
            second.admit_others()
            with pytest.raises(StoreError, match=r"shard 2/2 .* is being done already"), store(Shard(2, 2)):
                pass
        with pytest.raises(StoreError, match="is in use"), store(None):
            pass
        with pytest.raises(StoreError, match="must do the same study"), store(Shard(2, 2), other):
            pass
        with pytest.raises(StoreError, match="give --shard N/2"), store(Shard(1, 3)):
            pass
        with store(Shard(2, 2)):
            pass  # what was refused has left no lock
    with store(None):
        pass


def test_a_shard_waits_until_another_has_started(tmp_path: Path) -> None:
    study = small.spec(tmp_path)
    inputs = check(study, Session())
    order: list[str] = []

    def second() -> None:
        with RunStore(tmp_path / "out", study, inputs, Shard(2, 2)):
            order.append("second")

    with RunStore(tmp_path / "out", study, inputs, Shard(1, 2)) as first:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.3)
        order.append("first")
        first.admit_others()
        thread.join()
    assert order == ["first", "second"]
