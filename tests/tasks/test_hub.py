"""Hub data sets through the real client libraries, against a hub on the loopback interface.

The clients run in processes of their own, because they read their endpoint when they are imported.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from helpers.loopback_hub import SECRET, LoopbackHub
from helpers.task_specs import classification, generation, multiple_choice
from helpers.warm_process import WarmProcess
from tuneoff.errors import DataError
from tuneoff.spec import HubSource
from tuneoff.tasks import load_task

pytestmark = pytest.mark.subprocess


def _write(folder: Path, splits: Sequence[str], *, word: str, hidden: str | None = None) -> Path:
    """Write a data set folder with a class label column, two rows a split; hidden labels are -1."""
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    (folder / "data").mkdir(parents=True)
    for split in splits:
        rows = {
            "text": [f"{word} {split} {row}" for row in range(2)],
            "label": [-1, -1] if split == hidden else [0, 1],
        }
        table = pyarrow.table(rows).cast(features.arrow_schema)
        pyarrow.parquet.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def _write_nested(folder: Path) -> Path:
    """Write a data set with lists in objects, as SQuAD has its answers and ARC its choices."""
    texts = datasets.List(datasets.Value("string"))
    features = datasets.Features(
        {
            "question": datasets.Value("string"),
            "answers": {"text": texts, "start": datasets.List(datasets.Value("int32"))},
            "choices": {"text": texts, "label": texts},
            "key": datasets.Value("string"),
        }
    )
    rows = {
        "question": ["one?", "two?"],
        "answers": [{"text": ["a", "b", "a"], "start": [0, 1, 2]}, {"text": ["c"], "start": [0]}],
        "choices": [{"text": ["x", "y"], "label": ["A", "B"]}, {"text": ["u", "v", "w"], "label": [*"ABC"]}],
        "key": ["B", "A"],
    }
    (folder / "data").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        table = pyarrow.table(rows, schema=features.arrow_schema)
        pyarrow.parquet.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def _write_script(folder: Path) -> Path:
    """Write a data set with a loading script, as older versions of `datasets` ran them."""
    _write(folder, ("train", "test"), word="scripted")
    code = "import datasets, pathlib\n\npathlib.Path('ran').touch()\n\n\n"
    (folder / "scripted.py").write_text(f"{code}class Scripted(datasets.GeneratorBasedBuilder):\n    pass\n")
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    root = tmp_path_factory.mktemp("repositories")
    three = ("train", "validation", "test")
    folders = {
        "org/reviews": _write(root / "reviews", three, word="first"),
        "org/moving": _write(root / "moving", three, word="first"),
        "org/unsplit": _write(root / "unsplit", ("train",), word="only"),
        "org/dev": _write(root / "dev", ("train", "dev", "test"), word="some"),
        "org/hidden": _write(root / "hidden", three, word="some", hidden="test"),
        "org/nested": _write_nested(root / "nested"),
        "org/gated": _write(root / "gated", three, word="secret"),
        "org/scripted": _write_script(root / "scripted"),
    }
    with LoopbackHub(datasets=folders, gated={"org/gated"}) as hub:
        yield hub


@pytest.fixture(scope="module")
def client(hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    """A process that uses the hub, and forks for each test."""
    modules = ("datasets", "helpers.hub_client", "tuneoff.tasks")
    with WarmProcess(modules, hub.environment(tmp_path_factory.mktemp("home"))) as client:
        yield client


def _load(client: WarmProcess, folder: Path, **source: Any) -> dict[str, Any]:
    task = classification(HubSource(**source)).model_dump_json()
    told: dict[str, Any] = client.call("helpers.hub_client:task", task, folder=folder)
    return told


def test_a_data_set_loads_by_id_with_its_commit(
    hub: LoopbackHub, client: WarmProcess, tmp_path: Path
) -> None:
    told = _load(client, tmp_path, hub="org/reviews")
    assert told["revision"] == hub.commit("org/reviews")
    assert told["train"] == ["first train 0", "first train 1"]
    assert told["test"] == ["first test 0", "first test 1"]
    assert told["labels"] == ["0", "1"]
    assert told["carved"] is False


def test_a_pinned_revision_stays_when_the_data_set_moves_on(
    hub: LoopbackHub, client: WarmProcess, tmp_path: Path
) -> None:
    old = hub.commit("org/moving")
    new = hub.push_dataset("org/moving", _write(tmp_path / "new", ("train", "test"), word="second"))
    pinned = _load(client, tmp_path, hub="org/moving", revision=old)
    latest = _load(client, tmp_path, hub="org/moving")
    assert (pinned["revision"], pinned["train"]) == (old, ["first train 0", "first train 1"])
    assert (latest["revision"], latest["test"]) == (new, ["second test 0", "second test 1"])
    assert (pinned["carved"], latest["carved"]) == (False, True)


def test_lists_in_objects_are_options_and_references(client: WarmProcess, tmp_path: Path) -> None:
    source = HubSource(hub="org/nested")
    tasks = (
        generation(source, prompt="{question}", target="answers.text"),
        multiple_choice(
            source, prompt="{question}", target="key", target_is="letter", options="choices.text"
        ),
    )
    written, chosen = (
        client.call("helpers.hub_client:task", task.model_dump_json(), folder=tmp_path) for task in tasks
    )
    assert written["references"] == [["a", "b"], ["c"]]
    assert chosen["options"] == [["x", "y"], ["u", "v", "w"]]
    assert chosen["labels"] == ["B", "A"]


def test_a_development_split_is_the_validation_split(
    hub: LoopbackHub, client: WarmProcess, tmp_path: Path
) -> None:
    told = _load(client, tmp_path, hub="org/dev")
    assert told["carved"] is False
    assert len(told["validation"]) == 2


def test_a_validation_split_can_be_the_test_split(
    hub: LoopbackHub, client: WarmProcess, tmp_path: Path
) -> None:
    hidden = _load(client, tmp_path, hub="org/hidden")
    told = _load(client, tmp_path, hub="org/hidden", splits={"test": "validation"})
    assert "in all rows; test on the validation split, with source: {hub: org/hidden, splits: " in str(
        hidden["error"]
    )
    assert told["carved"] is True
    assert told["test"] == ["some validation 0", "some validation 1"]


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ({"hub": "org/absent"}, "has no data set 'org/absent' that you may read"),
        ({"hub": "no id at all"}, "has no data set 'no id at all' that you may read"),
        ({"hub": "org/reviews", "revision": "v9"}, "'org/reviews' has no revision 'v9'"),
        ({"hub": "org/reviews", "config": "de"}, "(ValueError: BuilderConfig 'de' not found"),
        ({"hub": "org/unsplit"}, "data set org/unsplit has no 'test' split (known: train)"),
        ({"hub": "org/gated"}, "'org/gated' is gated"),
    ],
)
def test_what_the_hub_cannot_give_is_one_message_with_a_way_out(
    client: WarmProcess, tmp_path: Path, source: dict[str, str], rule: str
) -> None:
    told = str(_load(client, tmp_path, **source)["error"])
    assert rule in told
    assert "or give local files (source: {files: {train: ..., test: ...}})" in told
    assert "\n" not in told


def test_a_hub_that_is_not_there_is_told_within_seconds(
    hub: LoopbackHub, client: WarmProcess, tmp_path: Path
) -> None:
    with hub.gone():
        start = time.monotonic()
        told = str(_load(client, tmp_path, hub="org/unread")["error"])
        assert time.monotonic() - start < 15
    assert f"at {hub.endpoint.replace('://', '://***@')} (ConnectError" in told
    assert "HF_ENDPOINT" in told


def test_the_password_of_a_hub_is_in_no_message(
    hub: LoopbackHub, client: WarmProcess, tmp_path: Path
) -> None:
    before, endpoint = len(hub.requests), hub.endpoint.replace("://", "://***@")
    refused = str(_load(client, tmp_path, hub="org/absent")["error"])
    assert len(hub.requests) > before
    with hub.gone():
        gone = str(_load(client, tmp_path, hub="org/absent")["error"])
    assert refused.startswith(f"{endpoint} has no data set")
    assert f"at {endpoint} (ConnectError" in gone
    assert SECRET not in refused + gone


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
def test_a_name_that_no_system_takes_for_a_path_is_one_message(name: str) -> None:
    with pytest.raises(DataError, match=r"has no data set .* that you may read"):
        load_task(classification(HubSource(hub=name)))


def test_no_loading_script_of_a_data_set_is_run(client: WarmProcess, tmp_path: Path) -> None:
    assert "scripts are no longer supported" in str(_load(client, tmp_path, hub="org/scripted")["error"])
    assert not (tmp_path / "ran").exists()


def test_a_local_path_is_no_hub_id(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a local path, .*; give local files as"):
        load_task(classification(HubSource(hub=str(tmp_path))))
