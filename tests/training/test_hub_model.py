"""Hub models through the real client libraries, against a hub on the loopback interface.

The clients run in a process of their own, because they read their endpoint when they are imported.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers import small
from helpers.loopback_hub import SECRET, LoopbackHub
from helpers.warm_process import WarmProcess
from tuneoff import worker_server
from tuneoff.errors import ModelError
from tuneoff.results import read_records
from tuneoff.spec import ModelSpec
from tuneoff.training import load_backbone


def _changed(folder: Path, to: Path) -> Path:
    """Return a copy of a checkpoint whose first embedding begins with 7."""
    shutil.copytree(folder, to)
    weights = load_file(to / "model.safetensors")
    weights["shared.weight"][0, 0] = 7
    save_file(weights, to / "model.safetensors", metadata={"format": "pt"})
    return to


@pytest.fixture(scope="module")
def hub(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    root = tmp_path_factory.mktemp("repositories")
    small.study(root)
    (root / "films").mkdir()
    for split in small.ROWS:
        table = pyarrow.csv.read_csv(root / f"{split}.csv")
        pyarrow.parquet.write_table(table, root / "films" / f"{split}-00000-of-00001.parquet")
    models = dict.fromkeys(("org/tiny", "org/moving", "org/more"), model_folder)
    with LoopbackHub(models=models, datasets={"org/films": root / "films"}) as hub:
        yield hub


@pytest.fixture(scope="module")
def client(hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    """A process that uses the hub, and forks for each test."""
    modules = ("datasets", "helpers.hub_client", "tuneoff.cli.progress", "tuneoff.reporting")
    environment = hub.environment(tmp_path_factory.mktemp("home"))
    with WarmProcess((*modules, *worker_server.PRELOADED), environment) as client:
        yield client


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_model_loads_by_id_with_its_commit_and_a_pinned_one_stays(
    hub: LoopbackHub, client: WarmProcess, model_folder: Path, tmp_path: Path
) -> None:
    old = hub.commit("org/moving")
    new = hub.push_model("org/moving", _changed(model_folder, tmp_path / "changed"))
    specs = ({"id": "org/moving"}, {"id": "org/moving", "revision": old}, {"id": "org/absent"})
    latest, pinned, absent = client.call(
        "helpers.hub_client:models", *map(json.dumps, specs), folder=tmp_path
    )
    first = load_file(model_folder / "model.safetensors")["shared.weight"][0, 0]
    assert (latest["revision"], latest["first"]) == (new, 7.0)
    assert (pinned["revision"], pinned["first"]) == (old, first.item())
    assert torch.isfinite(first) and first != 7
    message = str(absent["error"])
    assert "'org/absent'" in message
    assert "give a local folder (model: {id: ./folder}) or model: {id: builtin:tiny}; HF_ENDPOINT" in message
    assert "\n" not in message


@pytest.mark.subprocess
def test_a_study_of_hub_model_and_hub_data_runs_and_records_both_commits(
    hub: LoopbackHub, client: WarmProcess, tmp_path: Path
) -> None:
    study = small.study(tmp_path)
    overrides = [
        "model={id: org/tiny}",
        "tasks.films.source={hub: org/films}",
        "ablations={}",
        "train_sizes=[8]",
    ]
    options = [part for override in overrides for part in ("--set", override)]
    code, _ = client.call(
        "helpers.hub_client:command", "run", str(study), "--out", "out", *options, folder=tmp_path
    )
    assert code == 0
    records = read_records(tmp_path / "out")
    assert [(record.spec.method_name, record.state) for record in records] == [
        ("lora", "complete"),
        ("zero_shot", "complete"),
    ]
    for record in records:
        assert record.environment is not None and record.data is not None
        assert record.environment.model_revision == hub.commit("org/tiny")
        assert record.data.revision == hub.commit("org/films")
        assert record.data.test.read == small.ROWS["test"]


@pytest.mark.subprocess
def test_neither_code_nor_pickles_are_fetched_from_a_hub(
    hub: LoopbackHub, client: WarmProcess, model_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "more"))
    for name in ("pytorch_model.bin", "modeling.py", "handler.py", "custom_generate/generate.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    commit, before = hub.push_model("org/more", folder), len(hub.requests)
    (found,) = client.call("helpers.hub_client:models", json.dumps({"id": "org/more"}), folder=tmp_path)
    assert found["revision"] == commit
    fetched = {Path(one).name for one in hub.requests[before:] if f"/resolve/{commit}/" in one}
    assert {"config.json", "model.safetensors"} <= fetched
    assert {Path(one).suffix for one in fetched} <= {".json", ".safetensors", ".jinja"}


@pytest.mark.slow
@pytest.mark.subprocess
def test_no_token_and_no_password_of_a_hub_is_in_what_a_study_writes_or_says(
    hub: LoopbackHub, client: WarmProcess, tmp_path: Path
) -> None:
    study = small.study(tmp_path)
    overrides = ["model={id: org/tiny}", "tasks.films.source={hub: org/films}", "ablations={}"]
    overrides += ["train_sizes=[8]", "methods={lora: {kind: lora}, full: {kind: full, learning_rate: 1e30}}"]
    options = [part for override in overrides for part in ("--set", override)]
    before = len(hub.requests)
    code, told = client.call(
        "helpers.hub_client:command", "run", str(study), "--out", "out", *options, folder=tmp_path
    )
    assert code == 1  # full fine-tuning diverges and leaves a traceback
    assert any("/resolve/" in one for one in hub.requests[before:])
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {"record.json", "error.log", "report.html", "study.yaml"} <= {path.name for path in files}
    assert not [path.name for path in files if SECRET.encode() in path.read_bytes()]
    assert SECRET not in told


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_hub_that_cannot_be_reached_is_named(hub: LoopbackHub, client: WarmProcess, tmp_path: Path) -> None:
    command = ("run", str(small.study(tmp_path)), "--out", "out", "--set", "model.id=org/unread")
    with hub.gone():
        code, out, err = client.call("helpers.hub_client:refusal", *command, folder=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert re.search(r"hub id .*'org/unread' is not: .*; give a local folder .*builtin:tiny", err), err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_long_id_is_quoted_in_part() -> None:
    with pytest.raises(ModelError, match="must be a folder or a reachable hub id") as refused:
        load_backbone(ModelSpec(id="x" * 5000))
    assert len(str(refused.value)) < 1000
