"""What is exported gives, in PEFT and in plain transformers, the logits that it gave in tuneoff."""

import json
import shutil
from itertools import product
from pathlib import Path
from typing import get_args

import peft
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline

import tuneoff
from helpers import small
from helpers.command_line import tuneoff as command
from tuneoff.errors import StoreError
from tuneoff.exporting.export import Format
from tuneoff.methods import load
from tuneoff.spec import ModelSpec
from tuneoff.training import load_backbone
from tuneoff.training.tuned import TunedModel

MODELS = {"t5": "builtin:random", "llama": "builtin:random-llama", "bart": "builtin:random-bart"}
METHODS = {
    "full": {"kind": "full"},
    "lora": {"kind": "lora", "rank": 3, "targets": "all-linear"},
    "prompt": {"kind": "prompt", "length": 3},
    "prefix": {"kind": "prefix", "length": 3, "sites": ["decoder"]},
    "everywhere": {"kind": "prefix", "length": 2},
    "both": {"kind": "stack", "parts": [{"kind": "lora"}, {"kind": "prompt", "length": 2}]},
}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each model its base as a folder, and a study of it with every method."""
    folder = tmp_path_factory.mktemp("exported")
    for name, model in MODELS.items():
        backbone = load_backbone(ModelSpec(id=model))
        backbone.model.save_pretrained(folder / f"{name}-base")
        backbone.tokenizer.save_pretrained(folder / f"{name}-base")
        methods = {key: dict(value) for key, value in METHODS.items()}
        if name == "t5":
            # with positions, as PEFT has them
            methods["prefix"]["relative_positions"] = True
        if name != "llama":
            methods["untuned"] = {"kind": "none"}
        overrides = [f"model.id={folder / f'{name}-base'}", f"methods={json.dumps(methods)}"]
        overrides += ["ablations={}", "train_sizes=[8]", "training.max_steps=2"]
        study = small.spec(folder, overrides)
        tuneoff.run(study, out=folder / name)
    return folder


def run_of(studies: Path, model: str, method: str) -> Path:
    (run,) = (studies / model / "runs").glob(f"films.{method}.*")
    return run


def logits(tuned: TunedModel, model: torch.nn.Module, *, prompted: bool) -> torch.Tensor:
    """The logits of a model for one text, and for the target of an encoder-decoder."""
    ids = tuned.tokenizer("a film that was good")["input_ids"]
    if prompted:
        ids = [*tuned.adapted.prompt_ids, *ids]
    inputs = {"input_ids": torch.tensor([ids])}
    if tuned.model.config.is_encoder_decoder:
        inputs["labels"] = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        found = model.eval()(**inputs).logits
    # PEFT prepends the prompt itself, and returns its logits, too
    return found[:, -4:]


def base_of(studies: Path, name: str) -> torch.nn.Module:
    auto = AutoModelForCausalLM if name == "llama" else AutoModelForSeq2SeqLM
    return auto.from_pretrained(studies / f"{name}-base")


def executed(card: str, place: Path) -> dict[str, object]:
    """What the names of a card's code are after it has run as it stands."""
    code = card.split("```python\n", 1)[1].split("```", 1)[0]
    values: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        exec(code, values)
    return values


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method"),
    [
        *product(MODELS, ("lora", "prompt")),
        ("t5", "prefix"),
        ("llama", "prefix"),
    ],
)
def test_peft_gives_equal_logits(studies: Path, tmp_path: Path, name: str, method: str) -> None:
    run = run_of(studies, name, method)
    folder = tuneoff.export(run, tmp_path / "out")
    tuned = tuneoff.load_method(run)
    expected = logits(tuned, tuned.model, prompted=True)
    loaded = peft.PeftModel.from_pretrained(base_of(studies, name), str(folder))
    torch.testing.assert_close(logits(tuned, loaded, prompted=False), expected, rtol=1e-4, atol=1e-4)
    # far enough from the base for the comparison to mean something
    untuned = logits(tuned, base_of(studies, name), prompted=False)
    assert not torch.allclose(untuned, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", ["full", "lora"])
def test_merged_weights_give_equal_logits(studies: Path, tmp_path: Path, name: str, method: str) -> None:
    run = run_of(studies, name, method)
    folder = tuneoff.export(run, tmp_path / "out", format="merged")
    tuned = tuneoff.load_method(run)
    auto = AutoModelForCausalLM if name == "llama" else AutoModelForSeq2SeqLM
    merged = auto.from_pretrained(folder)
    expected = logits(tuned, tuned.model, prompted=True)
    torch.testing.assert_close(logits(tuned, merged, prompted=False), expected, rtol=1e-4, atol=1e-4)
    text = "a film that was good"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer(text)["input_ids"] == tuned.tokenizer(text)["input_ids"]


@pytest.mark.slow
def test_a_pipeline_fills_the_prompt_itself(studies: Path, tmp_path: Path) -> None:
    run = run_of(studies, "llama", "lora")
    folder = tuneoff.export(run, tmp_path / "out", format="merged")
    tuned, text = tuneoff.load_method(run), "a film that was good"
    generate = pipeline("text-generation", str(folder))
    message = [{"role": "user", "content": text}]
    read = tuned.tokenizer(tuned.run.task.prompt.format(text=text), return_tensors="pt")["input_ids"]
    filled = generate.tokenizer.apply_chat_template(message, return_tensors="pt")["input_ids"]
    assert filled.tolist() == read.tolist()
    written = generate(message, max_new_tokens=4, do_sample=False)[0]["generated_text"][-1]["content"]
    expected = tuned.model.generate(read, max_new_tokens=4, do_sample=False)[0, read.shape[1] :]
    assert written.strip() == tuned.tokenizer.decode(expected, skip_special_tokens=True).strip()
    assert generate.model.config.id2label == {0: "negative", 1: "positive"}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_tuneoffs_own_format_holds_every_method(studies: Path, tmp_path: Path, method: str) -> None:
    run = run_of(studies, "t5", method)
    folder = tuneoff.export(run, tmp_path / "out", format="tuneoff")
    tuned = tuneoff.load_method(run)
    backbone = load_backbone(ModelSpec(id=str(studies / "t5-base")))
    adapted = load(backbone.model, folder)
    assert torch.equal(logits(tuned, adapted.model, prompted=True), logits(tuned, tuned.model, prompted=True))


@pytest.mark.slow
def test_a_lora_that_was_cut_keeps_its_ranks_in_peft(studies: Path, tmp_path: Path) -> None:
    run = run_of(studies, "t5", "lora")
    assert command("prune", run, "--keep", "0.4", "--out", tmp_path / "cut").code == 0
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_bytes((run / "record.json").read_bytes())
    (tmp_path / "cut").rename(tmp_path / "run" / "adapter")
    folder = tuneoff.export(tmp_path / "run", tmp_path / "out")
    tuned = tuneoff.load_method(tmp_path / "run")
    loaded = peft.PeftModel.from_pretrained(base_of(studies, "t5"), str(folder))
    expected = logits(tuned, tuned.model, prompted=True)
    torch.testing.assert_close(logits(tuned, loaded, prompted=False), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_card_and_the_task_say_what_a_user_needs(studies: Path, tmp_path: Path) -> None:
    run = run_of(studies, "t5", "lora")
    outcome = command("export", run, "--to", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    _, front, text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    metadata = yaml.safe_load(front)
    (result,) = metadata["model-index"][0]["results"]
    accuracy = next(one for one in result["metrics"] if one["type"] == "accuracy")
    assert accuracy["value"] == pytest.approx(record["scores"]["eval_accuracy"])
    assert "Good or bad? {text}" in text
    assert record["data"]["digests"]["train"] in text
    task = json.loads((tmp_path / "out" / "task.json").read_text(encoding="utf-8"))
    assert task["labels"] == {"0": "negative", "1": "positive"}
    assert isinstance(executed(text, tmp_path)["model"], peft.PeftModel)


@pytest.mark.slow
def test_the_card_of_a_builtin_model_says_how_to_load_it(tmp_path: Path) -> None:
    methods = json.dumps({"lora": METHODS["lora"]})
    overrides = ["model.id=builtin:random", f"methods={methods}", "train_sizes=[8]", "training.max_steps=2"]
    tuneoff.run(small.spec(tmp_path, [*overrides, "ablations={}"]), out=tmp_path / "study")
    run = run_of(tmp_path, "study", "lora")
    expected = tuneoff.load_method(run)
    for to in get_args(Format):
        folder = tuneoff.export(run, tmp_path / to, format=to)
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert "base_model:" not in text
        model = executed(text, tmp_path)["model"]
        assert isinstance(model, torch.nn.Module)
        found = logits(expected, model, prompted=True)
        torch.testing.assert_close(
            found, logits(expected, expected.model, prompted=True), rtol=1e-4, atol=1e-4
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method", "to", "message"),
    [
        ("t5", "everywhere", "peft", "at the decoder's self-attention alone"),
        ("t5", "full", "peft", "take --format merged"),
        ("bart", "prefix", "peft", "PEFT moves the text to other positions"),
        ("t5", "both", "peft", "this is a stack"),
        ("t5", "prompt", "merged", "cannot be merged"),
        ("t5", "untuned", "merged", "nothing was trained"),
        ("t5", "untuned", "tuneoff", "nothing was trained"),
    ],
)
def test_what_a_format_cannot_hold_is_said_and_leaves_nothing(
    studies: Path, tmp_path: Path, name: str, method: str, to: str, message: str
) -> None:
    outcome = command("export", run_of(studies, name, method), "--format", to, "--to", tmp_path / "out")
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(StoreError, match="exists; give a new folder"):
        tuneoff.export(tmp_path / "run", tmp_path)


def test_tuneoffs_own_format_has_the_method_and_nothing_that_lies_beside_it(
    finished: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    run = next((study / "runs").glob("films.lora.n8.*"))
    (tmp_path / "mine").write_text("private")
    (run / "adapter" / "linked").symlink_to(tmp_path / "mine")
    (run / "adapter" / "more").write_text("more")
    folder = tuneoff.export(run, tmp_path / "out", format="tuneoff")
    names = {path.name for path in folder.iterdir()}
    assert {"adapter.json", "adapter.safetensors", "task.json", "README.md"} <= names
    assert not names & {"linked", "more"}
