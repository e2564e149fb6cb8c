"""The digest that identifies a local or builtin model."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tuneoff.spec import ModelSpec
from tuneoff.training import load_backbone
from tuneoff.training.model_folder import folder_digest


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


def test_a_copy_has_the_same_digest_whatever_lies_beside_its_files(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    (copy / "README.md").write_text("A model.", encoding="utf-8")
    (copy / ".git").mkdir()
    (copy / ".git" / "config").write_text("[core]", encoding="utf-8")
    (copy / "training_args.json").write_text("{}", encoding="utf-8")
    loaded = load_backbone(ModelSpec(id=str(copy)))
    assert loaded.digest == folder_digest(folder)
    assert loaded.revision is None


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"],
)
def test_another_content_is_another_digest(folder: Path, name: str) -> None:
    before = folder_digest(folder)
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(content)
    assert folder_digest(folder) != before


def test_the_shards_of_an_index_count_and_other_safetensors_do_not(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    save_file(weights, folder / "part-1.safetensors", metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "part-1.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    before = folder_digest(folder)
    save_file({"other": torch.ones(2)}, folder / "other.safetensors")
    assert folder_digest(folder) == before
    weights["shared.weight"][0, 0] += 1
    save_file(weights, folder / "part-1.safetensors", metadata={"format": "pt"})
    assert folder_digest(folder) != before


@pytest.mark.subprocess
def test_the_digest_is_what_sha256sum_prints(folder: Path) -> None:
    names = sorted({path.name for path in folder.iterdir()} - {"generation_config.json"})
    lines = subprocess.run(["sha256sum", *names], cwd=folder, check=True, capture_output=True).stdout
    total = subprocess.run(["sha256sum"], input=lines, check=True, capture_output=True).stdout
    assert total.decode().split()[0] == folder_digest(folder)


def test_builtin_models_have_a_digest_of_their_own() -> None:
    digests = [load_backbone(ModelSpec(id=name)).digest for name in ("builtin:random", "builtin:tiny")]
    assert digests[0] != digests[1]
    assert digests[0] == load_backbone(ModelSpec(id="builtin:random")).digest
    assert all(digest is not None and len(digest) == 64 for digest in digests)
