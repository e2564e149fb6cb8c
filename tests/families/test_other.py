"""Encoder-decoders that have no family of their own, and the probe for prefixes."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from helpers import small
from helpers.command_line import tuneoff
from helpers.encoder_decoders import END, PAD, START
from helpers.method_contract import MethodContract
from helpers.models import batch, tiny, word_tokenizer
from helpers.other_models import tiny_other
from tuneoff.errors import ModelError, UnfitError
from tuneoff.families import family_of
from tuneoff.families.other import MODELS
from tuneoff.families.probe import found_attentions
from tuneoff.methods import AdaptedModel, attach, load, save
from tuneoff.results import read_records
from tuneoff.spec import LoraSpec, Method, ModelSpec, NoneSpec, PrefixSpec, PromptSpec, StackSpec, load_study
from tuneoff.study import InlineExecutor, run_study
from tuneoff.training import Encoded, load_backbone
from tuneoff.training.frozen_outputs import FrozenOutputs, Reader, frozen_part
from tuneoff.training.generation import greedy
from tuneoff.training.likelihood import Objective, label_losses

EVERYWHERE = {"encoder", "decoder", "cross"}
PREFIX_SITES = {
    "blenderbot": EVERYWHERE,
    "blenderbot-small": EVERYWHERE,
    "longt5": {"decoder", "cross"},
    "plbart": EVERYWHERE,
    "t5gemma": EVERYWHERE,
}
"""Of the models that can have a prefix."""
REFUSED = ("fsmt", "prophetnet")
"""Their likelihood of a token depends on how many follow it."""


class OnOthers(MethodContract):
    halved = ()
    tokenizer = word_tokenizer()

    def adapt(self, model, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return attach(model, self.method, generator=generator, tokenizer=self.tokenizer, removable=True)


LORA, PROMPT = LoraSpec(kind="lora", rank=2, targets="all-linear"), PromptSpec(kind="prompt", length=3)


class TestStackWithPrefix(OnOthers):
    prefix = PrefixSpec(kind="prefix", length=4, init="vocabulary", sites=("decoder", "cross"))
    method = StackSpec(kind="stack", parts=(LORA, PROMPT, prefix))
    kinds = ("longt5", "plbart")


class TestStackWithoutPrefix(OnOthers):
    method = StackSpec(kind="stack", parts=(LORA, PROMPT))
    kinds = ("mvp",)


def adapt(model_type: str, method: Method) -> AdaptedModel:
    generator = torch.Generator().manual_seed(0)
    return attach(tiny_other(model_type), method, generator=generator, tokenizer=word_tokenizer())


@pytest.mark.parametrize("model_type", MODELS)
def test_the_probe_finds_where_attention_can_carry_a_prefix(model_type):
    model = tiny_other(model_type)
    before = model.config._attn_implementation
    assert found_attentions(model).keys() == PREFIX_SITES.get(model_type, set())
    assert model.config._attn_implementation == before
    assert not any("probed" in vars(module) for module in model.modules())


@pytest.mark.parametrize("kind", ["t5", "umt5", "bart", "m2m"])
def test_the_probe_finds_the_attentions_of_models_that_have_a_family(kind):
    model = tiny(kind)
    found = {site: [call.module for call in calls] for site, calls in found_attentions(model).items()}
    assert found == {site: family_of(model).attentions(site) for site in EVERYWHERE}


@pytest.mark.parametrize("model_type", [name for name in MODELS if name not in PREFIX_SITES])
def test_a_prefix_that_cannot_be_carried_is_refused_with_the_reason(model_type):
    with pytest.raises(UnfitError, match="at encoder does not; sites that can have a prefix: none"):
        adapt(model_type, PrefixSpec(kind="prefix", length=3))


@pytest.mark.parametrize("model_type", MODELS)
def test_a_model_that_sees_what_follows_is_refused(model_type):
    family = family_of(tiny_other(model_type))
    if model_type in REFUSED:
        with pytest.raises(ModelError, match="each token from the tokens before it alone"):
            family.check(Path("folder"))
    else:
        family.check(Path("folder"))


@pytest.mark.slow
@pytest.mark.parametrize("model_type", [name for name in MODELS if name not in REFUSED])
def test_a_method_is_saved_and_loaded_and_outputs_of_the_encoder_are_kept(model_type, tmp_path):
    adapted = adapt(model_type, LoraSpec(kind="lora", rank=2, targets="all-linear"))
    save(adapted, tmp_path / "adapter")
    loaded = load(tiny_other(model_type), tmp_path / "adapter")
    with torch.no_grad():
        expected = adapted.family.read_and_predict(**batch())
        assert torch.equal(loaded.family.read_and_predict(**batch()), expected)
    untuned = adapt(model_type, NoneSpec(kind="none"))
    row = Encoded([5, 6, 1], [7, 1], None, truncated_input=False, truncated_target=False)
    part = frozen_part(untuned, "float32")
    reader = Reader(untuned, part, batch_size=1, pad_token_id=0, dtype="float32")
    (kept,) = FrozenOutputs().added_to([row], reader)
    width = untuned.family.reader.get_input_embeddings().embedding_dim
    assert kept.frozen_output.shape == (3, width)


@pytest.mark.parametrize("model_type", [name for name in MODELS if name not in REFUSED])
@torch.no_grad()
def test_losses_and_texts_are_those_of_the_model(model_type):
    family, rows = family_of(tiny_other(model_type)), batch()
    labels = rows["labels"]
    losses, texts = [], []
    for ids, mask, label in zip(rows["input_ids"], rows["attention_mask"], labels, strict=True):
        read = {"input_ids": ids[mask > 0][None], "attention_mask": torch.ones(1, int(mask.sum())).long()}
        text = label[label >= 0]
        decoded = torch.cat([torch.tensor([START]), text[:-1]])[None]
        logits = family.model(**read, decoder_input_ids=decoded, use_cache=False).logits[0]
        losses.append(cross_entropy(logits.float(), text, reduction="none"))
        written = torch.tensor([[START]])
        for _ in range(4):
            step = family.model(**read, decoder_input_ids=written, use_cache=False).logits[:, -1]
            written = torch.cat([written, step.argmax(dim=1)[:, None]], dim=1)
            if written[0, -1] == END:
                break
        texts.append(written[0, 1:].tolist())
    loss = Objective(family)(**rows, targets=10)
    torch.testing.assert_close(loss, torch.cat(losses).mean(), rtol=1e-3, atol=1e-4)
    context = family.read(rows["input_ids"], rows["attention_mask"])
    found = greedy(family, [context], rows=context.rows, max_new_tokens=4, eos_token_id=END, pad_token_id=PAD)
    assert [row[: len(text)] for row, text in zip(found.tolist(), texts, strict=True)] == texts
    context.rewind()
    scored = label_losses(family, context, torch.tensor([[5, 6, END], [7, END, -100]]))
    assert scored.shape == (3, 2) and scored.isfinite().all()


@pytest.fixture
def led(tmp_path: Path) -> Path:
    """A study file with a LED beside it, which can have no prefix."""
    tokenizer = load_backbone(ModelSpec(id="builtin:random")).tokenizer
    tiny_other("led", vocabulary=len(tokenizer)).save_pretrained(tmp_path / "led")
    tokenizer.save_pretrained(tmp_path / "led")
    return small.study(tmp_path)


SETTINGS = (
    "model.id=led",
    "ablations={}",
    "train_sizes=[8]",
    "methods.lora.targets=all-linear",
    "methods.prefix={kind: prefix, length: 2}",
    "tasks.films.max_source_length=30",
)


@pytest.mark.slow
def test_a_method_that_the_model_cannot_carry_fails_alone_with_the_reason(led: Path, tmp_path: Path) -> None:
    run_study(load_study(str(led), overrides=SETTINGS), tmp_path / "out", executor=InlineExecutor())
    records = {record.spec.method_name: record for record in read_records(tmp_path / "out")}
    assert {name: record.state for name, record in records.items()} == {
        "lora": "complete",
        "prefix": "failed",
        "zero_shot": "complete",
    }
    assert "LEDForConditionalGeneration at encoder does not" in records["prefix"].failure.message


@pytest.mark.slow
def test_a_plan_says_which_method_the_model_cannot_carry(led: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    overrides = [part for setting in SETTINGS for part in ("--set", setting)]
    outcome = tuneoff("plan", led, *overrides)
    assert (outcome.code, outcome.err) == (0, "")
    assert "method 'prefix' is not possible: a prefix needs attention" in outcome.out
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("films.prefix"))
    assert line.endswith("not possible")
