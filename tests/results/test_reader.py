"""The output folder, read back."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import small
from tuneoff.errors import DamagedError, InputError, StoreError
from tuneoff.results import StudyFolder, read_curve, read_records, read_study
from tuneoff.spec import expand, load_study


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


def test_the_study_in_the_folder_is_the_one_that_was_run(finished: Path) -> None:
    assert read_study(finished) == load_study(str(finished.parent / "study.yaml"))


def test_records_come_in_the_order_of_their_ids_and_are_those_of_the_plan(finished: Path) -> None:
    records = read_records(finished)
    assert [record.run_id.rpartition(".")[0] for record in records] == list(small.RUNS)
    assert {record.run_id: record.spec for record in records} == {
        run.run_id: run for run in expand(read_study(finished))
    }
    assert all(record.run_id == record.spec.run_id for record in records)


def test_a_curve_has_each_step_in_order(finished: Path) -> None:
    run = next(record.run_id for record in read_records(finished) if record.spec.method_name == "lora")
    points = read_curve(StudyFolder(finished).run(run))
    assert [point.step for point in points if point.loss is not None] == [1, 2, 3, 4]
    assert [point.step for point in points if point.scores is not None] == [0, 2, 4]


def test_a_run_without_a_curve_has_no_points(folder: Path) -> None:
    assert read_curve(StudyFolder(folder).run("no-such-run")) == ()


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_a_folder_without_a_study_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "out")
    with pytest.raises(
        StoreError, match=r"is not an output folder of tuneoff: study\.yaml is missing; give the --out"
    ):
        read_study(tmp_path / "out")


def test_a_damaged_study_is_refused(folder: Path) -> None:
    (folder / "study.yaml").write_text("name: x", encoding="utf-8")
    with pytest.raises(InputError, match=r"study\.yaml: model: this key is required"):
        read_study(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[1]", b"\xff\xfe", b'{"run_id": 3}'])
def test_a_damaged_record_is_named(folder: Path, content: bytes) -> None:
    path = next(folder.glob("runs/*/record.json"))
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=rf"^{re.escape(str(path))} cannot be read: ."):
        read_records(folder)


@pytest.mark.parametrize("content", [b'{"step": 1}\n{"st', b'{"step": "one"}', b"\xff"])
def test_a_damaged_curve_is_named(folder: Path, content: bytes) -> None:
    run = read_records(folder)[0].run_id
    path = folder / "runs" / run / "curve.jsonl"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=rf"^{re.escape(str(path))} cannot be read: ."):
        read_curve(StudyFolder(folder).run(run))
