"""`model.template: chat`: inputs and targets are those of the tokenizer's own chat template."""

from pathlib import Path

import pytest
from huggingface_hub import constants
from transformers import PreTrainedTokenizerBase

from helpers import small
from helpers.gguf_files import CHAT, write_gguf
from tuneoff.errors import DataError, ModelError
from tuneoff.spec import ModelSpec, RunSpec, expand
from tuneoff.tasks import Example
from tuneoff.training import Session, encode, load_backbone, train_run
from tuneoff.training.data import run_data
from tuneoff.training.tokenizer import input_ids, target_ids

# other spellings of turns: no line break after the end, and a space before the answer
BRACKETS = (
    "{% for message in messages %}{% if message['role'] == 'user' %}[{{ message['content'] | trim }}]"
    "{% else %} {{ message['content'] | trim }}<|endoftext|>{% endif %}{% endfor %}"
)
TEMPLATES = {"turns": CHAT, "brackets": BRACKETS}
QUESTION, ANSWER = "Is it good?", "yes, it is"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "cache"))


def tokenizer_with(template: str | None, folder: Path, *, use: str = "chat") -> PreTrainedTokenizerBase:
    file = write_gguf(folder / "model.gguf", template=template)
    return load_backbone(ModelSpec(id=str(file), template=use)).tokenizer  # type: ignore[arg-type]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_input_and_target_are_the_beginning_of_the_whole_chat(template: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_with(template, tmp_path)
    chat = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    whole = tokenizer.apply_chat_template(chat, chat_template=template, tokenize=True, return_dict=False)
    ours = input_ids(tokenizer, [QUESTION])[0] + target_ids(tokenizer, [ANSWER])[0]
    assert ours == whole[: len(ours)]
    assert tokenizer.decode(whole[len(ours) :]) in ("", "\n")


@pytest.mark.parametrize(("name", "end"), [("turns", "<|im_end|>"), ("brackets", "<|endoftext|>")])
def test_an_answer_ends_as_the_template_ends_it(name: str, end: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_with(TEMPLATES[name], tmp_path)
    assert tokenizer.decode(target_ids(tokenizer, ["yes"])[0][-1:]) == end == tokenizer.eos_token


def test_plain_leaves_a_template_alone(tmp_path: Path) -> None:
    tokenizer = tokenizer_with(CHAT, tmp_path, use="plain")
    assert tokenizer.decode(input_ids(tokenizer, [QUESTION])[0]) == QUESTION
    assert tokenizer.decode(target_ids(tokenizer, [ANSWER])[0]) == f" {ANSWER}<|im_end|>"


def test_a_long_text_is_cut_within_the_template(tmp_path: Path) -> None:
    tokenizer = tokenizer_with(CHAT, tmp_path)
    text = "abcdefghij" * 9
    (row,) = encode(
        [Example(0, text, text, "yes", None)], tokenizer, max_source_length=40, max_target_length=9
    )
    assert len(row.input_ids) == 40
    assert row.truncated_input
    read = tokenizer.decode(row.input_ids)
    begin, end = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
    assert read.startswith(begin) and read.endswith(end)
    cut = read.removeprefix(begin).removesuffix(end)
    assert cut and text.startswith(cut)


def test_without_a_template_chat_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"chat needs a tokenizer with a chat template, .*model\.gguf"):
        tokenizer_with(None, tmp_path)
    with pytest.raises(ModelError, match="'builtin:random' has none"):
        load_backbone(ModelSpec(id="builtin:random", template="chat"))


@pytest.mark.parametrize("template", ["{% for", "{{ nothing.at.all }}", "{{ raise_exception('no') }}"])
def test_a_template_that_cannot_be_used_is_refused(template: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the chat template of .* cannot be used: .*; take template: plain"):
        tokenizer_with(template, tmp_path)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{{ raise_exception.__globals__['os'].getcwd() }}",
        "{{ messages.append(1) }}",
        "{{ range(10 ** 9) | list | length }}",
    ],
)
def test_a_template_reaches_nothing_of_python_and_changes_nothing(template: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be used: .*(unsafe|Range too big|undefined)"):
        tokenizer_with(template, tmp_path)


def chat_run(folder: Path, *overrides: str) -> RunSpec:
    file = write_gguf(folder / "model.gguf")
    model = f"model={{id: {file}, template: chat}}"
    study = small.spec(folder, [model, "methods={zero_shot: {kind: none}}", "ablations={}", *overrides])
    return expand(study)[0]


def test_a_limit_without_room_for_the_template_is_refused(tmp_path: Path) -> None:
    run = chat_run(tmp_path, "tasks.films.max_source_length=12", "tasks.films.max_target_length=16")
    with pytest.raises(DataError, match=r"max_source_length of task 'films' must leave room .* got 12"):
        run_data(run, load_backbone(run.model).tokenizer, Session())


@pytest.mark.slow
def test_the_template_is_recorded_and_makes_another_run(tmp_path: Path) -> None:
    run = chat_run(tmp_path, "tasks.films.max_target_length=16")
    plain = run.model_copy(update={"model": run.model.model_copy(update={"template": "plain"})})
    assert plain.run_id != run.run_id
    assert plain.settings_key != run.settings_key
    moved = run.model_copy(update={"model": run.model.model_copy(update={"id": "/elsewhere"})})
    assert moved.settings_key == run.settings_key
    (tmp_path / "run").mkdir()
    record = train_run(run, tmp_path / "run")
    assert record.state == "complete", record.failure
    assert record.spec.model.template == "chat"
