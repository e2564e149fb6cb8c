import csv
from pathlib import Path

import pytest

from tuneoff.draft import look_at, source_of
from tuneoff.errors import DataError
from tuneoff.spec import FilesSource, HubSource


def write(path: Path, rows: int = 10) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [["text", "label", "empty"], *([f"row {row}", row % 2, ""] for row in range(rows))]
        )
    return path


def test_a_file_gives_its_columns_and_a_share_for_the_test(tmp_path: Path) -> None:
    look = look_at(source_of(str(write(tmp_path / "reviews.csv"))))
    assert [column.name for column in look.columns] == ["text", "label"]
    assert look.columns[0].words == pytest.approx(2)
    assert look.columns[1].counts == {"0": 5, "1": 5}
    assert look.splits == {"train": 10}
    assert isinstance(look.source, FilesSource)
    assert look.source.test_share == pytest.approx(0.2)


def test_a_folder_gives_the_files_of_its_splits(tmp_path: Path) -> None:
    for name in ("train.csv", "dev.csv", "test.csv", "notes.csv"):
        write(tmp_path / name)
    source = source_of(str(tmp_path))
    assert isinstance(source, FilesSource)
    assert {split: Path(path).name for split, path in source.files.items()} == {
        "train": "train.csv",
        "validation": "dev.csv",
        "test": "test.csv",
    }
    assert source.test_share is None


def test_a_folder_without_a_test_file_has_a_share_for_it(tmp_path: Path) -> None:
    write(tmp_path / "train.csv")
    look = look_at(source_of(str(tmp_path)))
    assert isinstance(look.source, FilesSource)
    assert look.source.test_share == pytest.approx(0.2)


def test_a_name_with_one_slash_is_a_hub_id() -> None:
    assert source_of("stanfordnlp/sst2") == HubSource(hub="stanfordnlp/sst2")


@pytest.mark.parametrize(
    ("names", "data", "message"),
    [
        ((), "gone.csv", "there is no file"),
        ((), "", "no file named train"),
        (("train.csv", "train.tsv"), "", "two files for train"),
        ((), "./somewhere/else", "there is no file or folder"),
    ],
)
def test_what_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], data: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in names:
        write(tmp_path / name)
    with pytest.raises(DataError, match=message):
        look_at(source_of(data or str(tmp_path)))
