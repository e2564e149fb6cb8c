"""Bad input through the command line: one message, exit code 2, no traceback, and nothing written over."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers import small
from helpers.command_line import Outcome, contents, tuneoff


def _message(outcome: Outcome) -> str:
    """The one message that a command ended in."""
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("error: ") == 1
    assert "Traceback" not in outcome.err + outcome.out
    return outcome.err


def _refusals(study: Path | str, *overrides: str) -> tuple[str, str]:
    """What `run` and `plan` say of a study that they refuse, writing nothing."""
    place = Path(study).parent
    before = contents(place)
    options = [part for override in overrides for part in ("--set", override)]
    outcomes = tuneoff("run", study, "--out", place / "out", *options), tuneoff("plan", study, *options)
    assert contents(place) == before
    return _message(outcomes[0]), _message(outcomes[1])


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("trainning={}", r"study\.yaml: trainning: unknown name 'trainning'; did you mean 'training'"),
        ("training.max_steps=lots", "training.max_steps: Input should be a valid integer, but got 'lots'"),
        ("training.learning_rate=1", "training.learning_rate: 'learning_rate' is not valid here"),
        ("methods.lora.kind=lorra", "unknown name 'lorra'; did you mean 'lora'"),
        ("methods.s={kind: stack, parts: [{kind: prefix}, {kind: prefix}]}", "each kind of method once"),
        ("methods.s={kind: stack, parts: [{kind: full}, {kind: lora}]}", "unknown name 'full'"),
        ("methods.p={kind: prefix, init: vocabulary, projection: 8}", "use projection: null"),
        ("methods.lora.targets=[query]", "a target must be .* none that ends in 'query'"),
        ("methods.p={kind: peft, config: {r: 8}}", "peft_type must name a type of PEFT"),
        ("methods.p={kind: peft, config: {peft_type: LOHAA}}", "unknown name 'LOHAA'; did you mean 'LOHA'"),
        ("methods.p={kind: peft, config: {peft_type: LOHA, rr: 8}}", "PEFT's LOHA: unknown name 'rr'"),
        ("methods.p={kind: peft, config: {peft_type: P_TUNING}}", "use kind: prompt"),
        ("model.revision=main", "only a hub model has revisions, but 'builtin:random' has revision='main'"),
        ("ablations.lora_rank.of=lara", "ablations.lora_rank.of: .*did you mean 'lora'"),
        ("train_sizes=[25]", "25"),
        ("tasks.films.prompt='{review}'", "has no column 'review'"),
        ("tasks.films.target=class", "has no column 'class'"),
        (
            "tasks.films.labels={yes: negative, no: positive}",
            r"column 'label' holds '0', which is none of the labels \['yes', 'no'\]",
        ),
        ("tasks.films.max_target_length=1", "must fit into max_target_length=1 tokens"),
        (
            "tasks.films.max_source_length=1000001",
            "max_source_length: Input should be less than or equal to 1",
        ),
        ("tasks.films.max_target_length=9223372036854775807", "max_target_length: Input should be less than"),
        ("tasks.films.source={builtin: review}", "did you mean 'reviews'"),
        ("tasks.films.source.files.train=absent.csv", "there is no file '.*absent.csv'"),
        ("tasks.films.source.files.train=train.xlsx", r"\.xlsx"),
        ("model.id=builtin:rondom", "unknown name 'rondom'; did you mean 'random'"),
        (
            "model.id=./absent",
            "a local model must be a folder or a .gguf file, but there is none at '.*/absent'",
        ),
        ("model.id=not an id at all", "'not an id at all'"),
        ("seeds", "an override has the form path=value, but got 'seeds'"),
        ("train_sizes.0=3", "an override's path must lead through mappings"),
        ("seeds=[0", "an override's value must be valid YAML"),
    ],
)
def test_a_wrong_value_in_a_study_is_refused(tmp_path: Path, override: str, expected: str) -> None:
    for message in _refusals(small.study(tmp_path), override):
        assert re.search(expected, message), message


def test_a_searched_range_that_does_not_fit_the_model_is_refused(tmp_path: Path) -> None:
    overrides = "ablations={}", "search={space: {rank: [1, 1000, linear]}}"
    for message in _refusals(small.study(tmp_path), *overrides):
        place = "search, method lora, rank: a LoRA rank must not exceed"
        assert re.search(f"{place} .* but got rank=1000", message), message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "study.yaml holds nothing"),
        (b"just words", "study.yaml holds a str"),
        (b"name: caf\xe9", "must be readable UTF-8 text"),
        (b"!!python/object/apply:os.getcwd []", "must be valid YAML"),
        (b"name: [", "must be valid YAML"),
    ],
)
def test_a_file_that_is_no_study_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    study = small.study(tmp_path)
    study.write_bytes(content)
    for message in _refusals(study):
        assert re.search(expected, message), message


@pytest.mark.parametrize(
    ("name", "expected"),
    [("absent.yaml", "there is no file '.*absent.yaml'"), ("flan-t5-smal", "did you mean 'flan-t5-small'")],
)
def test_a_study_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for message in _refusals(name):
        assert re.search(expected, message), message


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("data.csv", b"", "is empty"),
        ("data.csv", b"text,label\n", "has no rows"),
        ("data.csv", b"text,label\ncaf\xe9,1\n", "byte 0xe9 at line 2"),
        ("data.csv", b"text,label\na,1\nb,2\n", "line 3: column 'label' holds '2'"),
        ("data.csv", b"text,label\na,1\nb\n", "has 1 instead of 2 cells at line 3"),
        ("data.parquet", b"PAR1 and no more", "cannot read .* as Parquet"),
        ("data.jsonl", b'{"text": "a", "label": 1}\n{"text": \n', "at line 2"),
        ("data.json", b'{"text": "a"}', "list of objects"),
    ],
)
def test_an_unusable_data_file_is_refused(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    study = small.study(tmp_path)
    (tmp_path / name).write_bytes(content)
    for message in _refusals(study, f"tasks.films.source.files.train={name}"):
        assert re.search(expected, message), message


def _without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _of_another_family(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")


def _pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _incomplete(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["decoder.final_layer_norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _of_another_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"d_ff": 64}), encoding="utf-8")


def _cut_short(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def _without_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


def _without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _with_broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_without_weights, "must have its weights as safetensors"),
        (_of_another_family, "must be of a known family, .* is 'bert'"),
        (_pickled, "must have its weights as safetensors"),
        (_incomplete, r"has 1 missing keys \(such as 'decoder.final_layer_norm.weight'\)"),
        (_of_another_shape, "has [0-9] mismatched keys"),
        (_cut_short, "model.safetensors' does not load: .*header"),
        (_without_tokenizer, "must come with its tokenizer"),
        (_without_config, "must come with its config.json"),
        (_with_broken_config, "config.json' does not load: Expecting property name"),
    ],
)
def test_an_unusable_model_folder_is_refused(
    model_folder: Path, tmp_path: Path, damage: Callable[[Path], None], expected: str
) -> None:
    study = small.study(tmp_path)
    damage(Path(shutil.copytree(model_folder, tmp_path / "model")))
    for message in _refusals(study, "model.id=./model"):
        assert re.search(expected, message), message


@pytest.mark.parametrize("out", ["study.yaml", "study.yaml/out", "runs-is-a-file"])
def test_an_output_folder_that_cannot_be_made_is_named(tmp_path: Path, out: str) -> None:
    study = small.study(tmp_path)
    (tmp_path / "runs-is-a-file").mkdir()
    (tmp_path / "runs-is-a-file" / "runs").touch()
    before = contents(tmp_path)
    message = _message(tuneoff("run", study, "--out", tmp_path / out))
    assert re.search("cannot write '", message), message
    assert contents(tmp_path) == before


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished study that a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.mark.slow
def test_the_output_folder_of_another_study_is_refused(folder: Path) -> None:
    before = contents(folder)
    outcome = tuneoff("run", folder / "study.yaml", "--out", folder, "--set", "name=other")
    assert re.search("holds 'small', not 'other'; give another --out", _message(outcome)), outcome.err
    assert contents(folder) == before


@pytest.mark.parametrize("command", ["status", "report"])
@pytest.mark.parametrize("out", ["absent", "empty", "train.csv"])
def test_a_folder_without_a_study_is_refused(tmp_path: Path, command: str, out: str) -> None:
    small.study(tmp_path)
    (tmp_path / "empty").mkdir()
    before = contents(tmp_path)
    message = _message(tuneoff(command, tmp_path / out))
    assert re.search("is not an output folder of tuneoff: study.yaml is missing", message), message
    assert contents(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff", b'{"run_id": "a"', b"[1]", b"null", b'{"format": "x"}']
)
def test_a_damaged_record_is_named_and_the_rest_is_reported(folder: Path, content: bytes) -> None:
    path = next(folder.glob("runs/*/record.json"))
    path.write_bytes(content)
    for command, code in (("status", 0), ("report", 1)):
        outcome = tuneoff(command, folder)
        assert (outcome.code, outcome.err) == (code, "")
        assert f"excluded: {path.parent.name}: {path} cannot be read: " in outcome.out
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "quickstart", "--workers", "0"], "--workers"),
        (
            ["run", "quickstart", "--address", "here"],
            "error: --address here has no effect without --executor ray",
        ),
        (
            ["run", "quickstart", "--workers", "8"],
            "error: --workers 8 has no effect without --executor process",
        ),
        (["run", "quickstart", "--executor", "cloud"], "--executor"),
        (["run"], "STUDY"),
        (["rnu", "quickstart"], "rnu"),
        (["run", "quickstart", "--sett", "a=b"], "--sett"),
    ],
)
def test_a_wrong_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = tuneoff(*arguments)
    assert outcome.code == 2
    assert expected in outcome.err
    assert "Traceback" not in outcome.err + outcome.out
    assert contents(tmp_path) == {}


def test_ray_without_its_package_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneoff.extras.find_spec", lambda name: None if name == "ray" else object())
    result = tuneoff("run", "quickstart", "--executor", "ray")
    assert result.code == 2
    assert "--executor ray needs the package of tuneoff[ray]: pip install 'tuneoff[ray]'" in result.err


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1:99999999"])
def test_an_address_without_a_cluster_is_one_message(address: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    path = small.study(tmp_path)
    outcome = tuneoff("run", path, "--out", tmp_path / "out", "--executor", "ray", "--address", address)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: no Ray cluster can be used at {address}: ")
