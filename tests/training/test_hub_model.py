"""Hub models through the real client libraries, against a hub on the loopback interface.

The clients run in a subprocess, because they read their endpoint when they are imported.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import load_file, save_file

import small
from loopback_hub import LoopbackHub
from tuneoff.errors import ModelError
from tuneoff.results import read_records
from tuneoff.spec import ModelSpec
from tuneoff.training import load_backbone

_LOAD = """
import json, sys
from tuneoff.errors import ModelError
from tuneoff.spec import ModelSpec
from tuneoff.training import load_backbone

for line in sys.argv[1:]:
    try:
        backbone = load_backbone(ModelSpec.model_validate_json(line))
    except ModelError as error:
        print(json.dumps({"error": str(error)}))
    else:
        first = backbone.model.shared.weight[0, 0].item()
        print(json.dumps({"revision": backbone.revision, "first": first}))
"""


def _changed(folder: Path, to: Path) -> Path:
    """A copy of a checkpoint whose first embedding begins with 7."""
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
    models = {"org/tiny": model_folder, "org/moving": model_folder}
    with LoopbackHub(models=models, datasets={"org/films": root / "films"}) as hub:
        yield hub


def _load(environment: dict[str, str], folder: Path, *specs: dict[str, str]) -> list[dict[str, object]]:
    command = [sys.executable, "-c", _LOAD, *map(json.dumps, specs)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_model_loads_by_id_with_its_commit_and_a_pinned_one_stays(
    hub: LoopbackHub, model_folder: Path, tmp_path: Path
) -> None:
    old = hub.commit("org/moving")
    new = hub.push_model("org/moving", _changed(model_folder, tmp_path / "changed"))
    specs = ({"id": "org/moving"}, {"id": "org/moving", "revision": old}, {"id": "org/absent"})
    latest, pinned, absent = _load(hub.environment(tmp_path / "home"), tmp_path, *specs)
    first = load_file(model_folder / "model.safetensors")["shared.weight"][0, 0]
    assert (latest["revision"], latest["first"]) == (new, 7.0)
    assert (pinned["revision"], pinned["first"]) == (old, first.item())
    assert torch.isfinite(first) and first != 7
    told = str(absent["error"])
    assert "'org/absent'" in told
    assert "give a local folder (model: {id: ./folder}) or model: {id: builtin:tiny}; HF_ENDPOINT" in told
    assert "\n" not in told


def test_a_study_of_hub_model_and_hub_data_runs_and_records_both_commits(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    study = small.study(tmp_path)
    overrides = [
        "model={id: org/tiny}",
        "tasks.films.source={hub: org/films}",
        "ablations={}",
        "train_sizes=[8]",
    ]
    options = [part for override in overrides for part in ("--set", override)]
    command = [sys.executable, "-m", "tuneoff", "run", str(study), "--out", "out", *options]
    environment = hub.environment(tmp_path / "home")
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
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


def test_a_long_id_is_quoted_in_part() -> None:
    with pytest.raises(ModelError, match="must be a folder or a reachable hub id") as refused:
        load_backbone(ModelSpec(id="x" * 5000))
    assert len(str(refused.value)) < 1000
