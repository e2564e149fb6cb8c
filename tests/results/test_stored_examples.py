"""The test examples that a study stores beside its runs."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from helpers import small
from helpers.command_line import contents, tuneoff
from tuneoff.errors import DamagedError, NewerFormatError
from tuneoff.results import TaskExamples, read_folder
from tuneoff.results.examples import dump_examples, read_examples

EXAMPLES = TaskExamples(
    rows=(0, 2, 5),
    inputs=("a\nb", "\x00 <b> 👩‍🚀", ""),
    references=("0", "1", "0"),
    digests={"test": "ab"},
)


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished study that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


def _file(folder: Path) -> Path:
    return folder / "examples/films.parquet"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "films.parquet"
    path.write_bytes(dump_examples(EXAMPLES))
    assert read_examples(path) == EXAMPLES
    assert pd.read_parquet(path).to_dict("list") == {
        "row": list(EXAMPLES.rows),
        "input": list(EXAMPLES.inputs),
        "reference": list(EXAMPLES.references),
    }


def test_a_study_stores_its_test_rows_as_the_source_has_them(finished: Path) -> None:
    with open(finished.parent / "test.csv", encoding="utf-8", newline="") as file:
        source = list(csv.DictReader(file))
    stored = pd.read_parquet(_file(finished))
    assert stored["row"].tolist() == list(range(small.ROWS["test"]))
    assert stored["input"].tolist() == [row["text"] for row in source]
    assert stored["reference"].tolist() == [row["label"] for row in source]
    assert read_folder(finished).examples["films"].inputs == tuple(stored["input"])


@pytest.mark.slow
def test_rows_are_numbered_as_predictions_number_them(tmp_path: Path) -> None:
    study = small.study(tmp_path)
    with open(tmp_path / "test.csv", "r+", encoding="utf-8") as file:
        lines = file.read().splitlines()
        lines[2] = ",1"  # an empty input, which is left out
        lines[4] = lines[4].replace("test 3", "train 3")  # it is in train too, and left out as well
        file.seek(0)
        file.truncate()
        file.write("\n".join(lines) + "\n")
    limits = ["tasks.films.max_predict_samples=4", "tasks.films.drop_overlap=true", "train_sizes=[8]"]
    command = ["run", study, "--out", tmp_path / "out"]
    for limit in limits:
        command += ["--set", limit]
    assert tuneoff(*command).code == 0
    stored = pd.read_parquet(_file(tmp_path / "out"))
    assert stored["row"].tolist() == [0, 2, 4, 5]
    assert stored["input"].tolist() == [lines[1 + row].rpartition(",")[0] for row in stored["row"]]
    answers = [pd.read_parquet(path) for path in (tmp_path / "out").glob("runs/*/predictions.parquet")]
    assert len(answers) == 3
    for table in answers:
        assert table[["row", "reference"]].equals(stored[["row", "reference"]])


def _edited(path: Path) -> None:
    table = pyarrow.parquet.read_table(path)
    inputs = pyarrow.array(["another text", *table["input"].to_pylist()[1:]])
    pyarrow.parquet.write_table(table.set_column(1, "input", inputs), path)


def _without_head(path: Path) -> None:
    pd.read_parquet(path).to_parquet(path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "edited": _edited,
    "without its head": _without_head,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "empty": lambda path: path.write_bytes(b""),
    "no Parquet": lambda path: path.write_bytes(b"PAR1" * 9),
    "a folder": lambda path: [path.unlink(), path.mkdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_and_left_out(folder: Path, damage: str) -> None:
    DAMAGES[damage](_file(folder))
    found = read_folder(folder)
    assert [one.name for one in found.damaged] == ["examples/films"]
    assert "films.parquet cannot be read: " in found.damaged[0].reason
    assert found.examples == {}
    assert len(found.records) == len(small.RUNS)


@pytest.mark.slow
def test_a_damaged_or_missing_file_is_written_again_and_nothing_else(folder: Path, finished: Path) -> None:
    command = ["run", finished.parent / "study.yaml", "--out", folder]
    whole = {path: content for path, content in contents(folder).items() if "report" not in str(path)}
    _edited(_file(folder))
    edited = _file(folder).read_bytes()
    assert "excluded: examples/films: " in tuneoff("status", folder).out
    assert tuneoff(*command).code == 0
    assert (folder / "damaged/examples/films.parquet").read_bytes() == edited
    shutil.rmtree(folder / "damaged")
    shutil.rmtree(folder / "examples")  # as in a folder of an older version
    found = read_folder(folder)
    assert (found.examples, found.excluded, found.notes) == ({}, (), ())
    assert tuneoff(*command).code == 0
    after = contents(folder)
    assert {path: after[path] for path in after if "report" not in str(path)} == whole


def test_examples_of_other_data_are_not_shown(folder: Path) -> None:
    _file(folder).write_bytes(dump_examples(EXAMPLES))
    found = read_folder(folder)
    assert (found.examples, found.excluded) == ({}, ())


def test_examples_of_a_newer_version_are_named(tmp_path: Path) -> None:
    path = tmp_path / "films.parquet"
    path.write_bytes(dump_examples(EXAMPLES))
    table = pyarrow.parquet.read_table(path)
    (head,) = table.schema.metadata.values()
    newer = head.replace(b'"format": ', b'"format": 9')
    pyarrow.parquet.write_table(table.replace_schema_metadata({"tuneoff": newer}), path)
    with pytest.raises(NewerFormatError, match="written by a newer version"):
        read_examples(path)


@pytest.mark.slow
def test_no_flipped_bit_gives_other_texts(tmp_path: Path) -> None:
    path, whole = tmp_path / "films.parquet", dump_examples(EXAMPLES)
    refused = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            assert read_examples(path) == EXAMPLES
        except (DamagedError, NewerFormatError):
            refused += 1
    assert refused > len(whole) / 2
