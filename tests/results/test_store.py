"""The writing side of the output folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers import small
from helpers.command_line import contents, tuneoff
from tuneoff.errors import StoreError
from tuneoff.results import (
    Inputs,
    ModelIdentity,
    RunRecord,
    RunState,
    RunStore,
    read_inputs,
    read_records,
    read_study,
)
from tuneoff.results.store import fresh_folder, write_atomically
from tuneoff.spec import StudySpec, expand

resource = pytest.importorskip("resource", reason="needs POSIX limits")


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    """A context in which the system refuses to let a file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished study that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


def test_a_write_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    for text in ("long and old", "new"):
        write_atomically(tmp_path / "file", text)
        assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"file": text}


def test_a_failing_write_leaves_the_old_file_and_no_part_of_the_new(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "old")
    with (
        pytest.raises(StoreError, match=r"cannot write '.*file': .*; free space, .* another folder"),
        _files_of_at_most(100),
    ):
        write_atomically(tmp_path / "file", "x" * 5000)
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"file": "old"}


def test_a_write_goes_through_no_link_that_lies_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept", encoding="utf-8")
    for name in (".file.new", "file"):
        (tmp_path / name).symlink_to(tmp_path / "mine")
        write_atomically(tmp_path / "file", "new")
        assert (tmp_path / "mine").read_text(encoding="utf-8") == "kept"
        assert (tmp_path / "file").read_text(encoding="utf-8") == "new"
        (tmp_path / "file").unlink()


def test_a_lock_that_is_a_link_is_refused_and_empties_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept", encoding="utf-8")
    for name, command in ((".lock", "run"), (".report.lock", "report")):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(tmp_path / "mine")
        arguments = [folder / "study.yaml", "--out", folder] if command == "run" else [folder]
        outcome = tuneoff(command, *arguments)
        assert outcome.code == 2
        assert "symbolic links" in outcome.err
        assert (tmp_path / "mine").read_text(encoding="utf-8") == "kept"


_INPUTS = Inputs(model=ModelIdentity(id="m", commit=None, digest=None), data={}, places="")


def _store(folder: Path, study: StudySpec) -> RunStore:
    """The folder for the model and data that it holds the results of."""
    inputs = read_inputs(folder)
    assert inputs is not None
    return RunStore(folder, study, inputs)


def _with_state(record: RunRecord, state: RunState) -> RunRecord:
    return record.model_copy(update={"state": state})


@pytest.mark.parametrize(
    ("state", "again"),
    [
        ("complete", False),
        ("diverged", False),
        ("failed", True),
        ("cancelled", True),
        ("out_of_memory", True),
    ],
)
def test_only_what_could_end_otherwise_is_pending(folder: Path, state: RunState, again: bool) -> None:
    study, record = read_study(folder), read_records(folder)[2]
    with _store(folder, study) as store:
        store.write(_with_state(record, state))
        assert [run.run_id for run in store.contents().pending(expand(study))] == [record.run_id] * again


def test_a_run_without_a_record_is_pending_and_begun(folder: Path) -> None:
    study, (first, second, *_) = read_study(folder), read_records(folder)
    (folder / "runs" / first.run_id / "record.json").unlink()
    shutil.rmtree(folder / "runs" / second.run_id)
    with _store(folder, study) as store:
        runs = expand(study)
        assert {run.run_id for run in store.contents().pending(runs)} == {first.run_id, second.run_id}
        assert [run.run_id for run in store.begun(runs)] == [first.run_id]


def test_the_folder_of_another_study_is_refused_and_untouched(folder: Path) -> None:
    before = contents(folder)
    other = read_study(folder).model_copy(update={"name": "other"})
    with (
        pytest.raises(StoreError, match=r"holds 'small', not 'other'; give another --out"),
        _store(folder, other),
    ):
        pytest.fail("the folder was taken")
    assert contents(folder) == before


_HOLD = """
import filelock, sys

with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.subprocess
def test_a_folder_that_another_process_holds_is_refused_until_it_is_free(folder: Path) -> None:
    study = read_study(folder)
    command = [sys.executable, "-c", _HOLD, str(folder / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(StoreError, match=r"by one process at a time, but .* is in use"),
            _store(folder, study),
        ):
            pytest.fail("the folder was taken")
        holder.communicate()
    with _store(folder, study) as store:
        assert store.contents().pending(expand(study)) == ()


def test_a_refused_folder_is_free_again(folder: Path) -> None:
    study = read_study(folder)
    with pytest.raises(StoreError), _store(folder, study.model_copy(update={"name": "other"})):
        pytest.fail("the folder was taken")
    with _store(folder, study) as store:
        assert store.folder == folder


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    study = small.spec(tmp_path)
    with (
        pytest.raises(StoreError, match="cannot write"),
        RunStore(tmp_path / "study.yaml" / "out", study, _INPUTS),
    ):
        pytest.fail("the folder was taken")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to this user")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    study = small.spec(tmp_path)
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(StoreError, match="Permission denied; free space, get permission"):
        RunStore(tmp_path / "out", study, _INPUTS).__enter__()


def test_results_of_another_model_or_other_data_are_refused_and_stay_as_they_are(folder: Path) -> None:
    study, inputs = read_study(folder), read_inputs(folder)
    assert inputs is not None
    other_model = inputs.model.model_copy(update={"digest": "0" * 64})
    other_data = {"films": inputs.data["films"] | {"train": "0" * 64}}
    before = contents(folder)
    for changed, reason in (
        ({"model": other_model}, r"it was made with another model \('builtin:random' as it was then\)"),
        ({"data": other_data}, "it was made from other data of task 'films'"),
    ):
        with (
            pytest.raises(StoreError, match=rf"{reason}; give another --out, or restore the original"),
            RunStore(folder, study, inputs.model_copy(update=changed)),
        ):
            pytest.fail("the folder was taken")
    assert contents(folder) == before


def test_a_model_that_changes_while_its_study_runs_ends_the_study(folder: Path) -> None:
    record = read_records(folder)[0]
    assert record.model is not None
    changed = record.model.model_copy(update={"digest": "0" * 64})
    before = contents(folder)
    with (
        _store(folder, read_study(folder)) as store,
        pytest.raises(StoreError, match="'builtin:random' was changed while it ran"),
    ):
        store.write(record.model_copy(update={"model": changed}))
    assert contents(folder) == before


@pytest.mark.parametrize("in_the_way", ["nothing", "file", "folder", "link to a folder", "link to nothing"])
def test_a_fresh_folder_is_made_whatever_was_in_its_place(tmp_path: Path, in_the_way: str) -> None:
    place, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    match in_the_way:
        case "file":
            place.touch()
        case "folder":
            shutil.copytree(elsewhere, place)
        case "link to a folder":
            place.symlink_to(elsewhere)
        case "link to nothing":
            place.symlink_to(tmp_path / "gone")
    assert fresh_folder(place) == place
    assert list(place.iterdir()) == []
    assert not place.is_symlink()
    assert [path.name for path in elsewhere.iterdir()] == ["kept"]


@pytest.mark.slow
def test_a_full_disk_is_one_message_and_the_same_command_goes_on_later(tmp_path: Path) -> None:
    # files of up to 8 KB have room: a record has, the first adapter does not
    command = ["run", str(small.study(tmp_path)), "--out", str(tmp_path / "out")]
    with _files_of_at_most(8192):
        done = tuneoff(*command)
    assert done.code == 2
    assert done.err.startswith("error: ") and done.err.count("\n") == 1
    assert "adapter': " in done.err
    assert "Traceback" not in done.out
    (kept,) = read_records(tmp_path / "out")
    assert (kept.state, kept.spec.method_name) == ("complete", "zero_shot")

    outcome = tuneoff(*command)
    assert outcome.code == 0
    assert "1 of 5 runs are already done" in outcome.out
    records = read_records(tmp_path / "out")
    assert [record.state for record in records] == ["complete"] * 5
    assert kept in records
    assert (
        json.loads((tmp_path / "out" / "runs" / kept.run_id / "record.json").read_text(encoding="utf-8"))[
            "state"
        ]
        == "complete"
    )
