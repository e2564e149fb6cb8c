"""The loss on general text, against transformers' own loss, and in whole runs."""

from pathlib import Path

import pyarrow.parquet
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from helpers import small
from helpers.models import DECODER_ONLY, END, VOCABULARY, tiny, word_tokenizer
from tuneoff.errors import DataError, StudyError
from tuneoff.families import family_of
from tuneoff.methods import attach
from tuneoff.results import RunRecord
from tuneoff.spec import ForgettingSpec, FullSpec, PromptSpec, RunSpec, expand
from tuneoff.training import Backbone, Session, forgetting, likelihood, train_run
from tuneoff.training.forgetting import corrupted, encode_texts, text_losses

TEXTS = ("w10 w11 w12 w13 w14", "w20 w21", "w30 w31 w32 w33 w34 w35 w36 w37 w38", "w40 w41 w42 w43")
IDS = [[int(word[1:]) for word in text.split()] for text in TEXTS]
BUILTIN = ForgettingSpec(texts="builtin")


def backbone(kind: str, tokenizer: PreTrainedTokenizerFast | None = None) -> Backbone:
    tokenizer = tokenizer or word_tokenizer(ends_input=kind not in DECODER_ONLY)
    return Backbone(family_of(tiny(kind)), tokenizer, revision=None, digest=None)


def with_sentinels() -> PreTrainedTokenizerFast:
    """The word tokenizer of texts that end, with T5's first two sentinels for the last two words."""
    written = word_tokenizer(ends_input=True).backend_tokenizer.to_str()
    for number in range(2):
        written = written.replace(f'"w{VOCABULARY - 1 - number}"', f'"<extra_id_{number}>"')
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(written),
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    )


def losses(model: Backbone, spec: ForgettingSpec = BUILTIN, batch_size: int = 3) -> tuple[float, ...]:
    encoded = encode_texts(TEXTS, model, spec).values()
    return text_losses(
        model.family, [*encoded], tokenizer=model.tokenizer, batch_size=batch_size, dtype="float32"
    )


@torch.no_grad()
def whole_loss(model: Backbone, labels: list[int], **inputs: list[int]) -> float:
    """transformers' own loss, times the number of tokens that it is a mean of."""
    batch = {name: torch.tensor([ids]) for name, ids in inputs.items()}
    return model.model(**batch, labels=torch.tensor([labels])).loss.item()


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2"])
def test_a_decoder_only_model_predicts_all_tokens_but_the_first_as_in_transformers(kind):
    model = backbone(kind)
    expected = [whole_loss(model, ids, input_ids=ids) * (len(ids) - 1) for ids in IDS]
    assert losses(model) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["flan", "t5"])
def test_a_model_with_an_encoder_continues_the_first_half_as_in_transformers(kind):
    model = backbone(kind)
    expected = []
    for ids in IDS:
        read, predicted = [*ids[: len(ids) // 2], END], ids[len(ids) // 2 :]
        expected.append(whole_loss(model, predicted, input_ids=read) * len(predicted))
    assert losses(model) == pytest.approx(expected, rel=1e-4)


def test_what_a_tokenizer_puts_in_front_of_texts_is_read_and_not_predicted():
    # as BART's <s>: w3 in front of every text
    written = word_tokenizer(ends_input=True).backend_tokenizer
    written.post_processor = TemplateProcessing(
        single="w3 $A </s>", special_tokens=[("w3", 3), ("</s>", END)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=written, pad_token="<pad>", eos_token="</s>", bos_token="w3"
    )
    (text,) = encode_texts(["w10 w11 w12"], backbone("bart", tokenizer), BUILTIN).values()
    assert ([*text.input_ids], [*text.labels]) == ([3, 10, END], [11, 12])
    written.post_processor = TemplateProcessing(single="w3 $A", special_tokens=[("w3", 3)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=written, pad_token="<pad>", eos_token="</s>", bos_token="w3"
    )
    (text,) = encode_texts(["w10 w11 w12"], backbone("llama", tokenizer), BUILTIN).values()
    assert ([*text.input_ids], [*text.labels]) == ([3], [10, 11, 12])


def test_a_t5_with_sentinels_fills_in_spans_as_in_transformers():
    model = backbone("flan", with_sentinels())
    first = VOCABULARY - 1
    # by hand: one span of three tokens in the middle, of one token where the text has two
    expected = [
        whole_loss(model, [first, 11, 12, 13], input_ids=[10, first, 14, END]) * 4,
        whole_loss(model, [first, 20], input_ids=[first, 21, END]) * 2,
        whole_loss(
            model, [first, 33, 34, 35], input_ids=[30, 31, 32, first, 36, 37, 38, END]
        ) * 4,
        whole_loss(model, [first, 40, 41, 42], input_ids=[first, 43, END]) * 4,
    ]  # fmt: skip
    assert losses(model) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("length", [2, 3, 4, 19, 20, 31, 100, 1000])
def test_hidden_spans_in_place_of_their_sentinels_give_the_text_again(length):
    text, sentinels = list(range(length)), list(range(2000, 2050))
    read, hidden = corrupted(text, sentinels)
    spans: dict[int, list[int]] = {}
    for token in hidden:
        if token >= 2000:
            spans[token] = span = []
        else:
            span.append(token)
    filled = [part for token in read for part in spans.get(token, [token])]
    assert filled == text
    assert list(spans) == sentinels[: len(spans)]
    if length >= 20:
        assert sum(map(len, spans.values())) / length == pytest.approx(0.15, abs=0.06)


def test_spans_are_asked_for_where_no_sentinels_are():
    spec = ForgettingSpec(texts="builtin", objective="span_corruption")
    for model in (backbone("flan"), backbone("llama")):
        with pytest.raises(StudyError, match="span_corruption is for models with an encoder and T5's"):
            encode_texts(TEXTS, model, spec)


def test_continuation_can_be_asked_of_a_t5_with_sentinels():
    asked = losses(
        backbone("flan", with_sentinels()), ForgettingSpec(texts="builtin", objective="continuation")
    )
    assert asked == pytest.approx(losses(backbone("flan")), rel=1e-6)


@pytest.mark.parametrize("kind", ["flan", "llama"])
def test_losses_depend_neither_on_the_batch_nor_on_the_parts_of_its_logits(kind, monkeypatch):
    model = backbone(kind)
    expected = losses(model, batch_size=1)
    monkeypatch.setattr(likelihood, "MOST_LOGITS_BYTES", 1)
    assert losses(model, batch_size=4) == pytest.approx(expected, rel=1e-5)


def test_a_soft_prompt_stands_in_front_of_general_text():
    model = backbone("llama")
    encoded = [*encode_texts(TEXTS, model, BUILTIN).values()]
    adapted = attach(
        model.model,
        PromptSpec(kind="prompt", length=2, init="random"),
        generator=torch.Generator().manual_seed(0),
        tokenizer=None,
    )
    prompt = [*adapted.prompt_ids]
    found = text_losses(
        model.family,
        encoded,
        prompt_ids=prompt,
        tokenizer=model.tokenizer,
        batch_size=4,
        dtype="float32",
    )
    # -100 on the prompt and the first token: these are not predicted
    expected = [
        whole_loss(model, [-100] * (len(prompt) + 1) + ids[1:], input_ids=[*prompt, *ids]) * (len(ids) - 1)
        for ids in IDS
    ]
    assert found == pytest.approx(expected, rel=1e-4)


def test_texts_are_cut_and_counted_and_those_of_one_token_left_out():
    model = backbone("llama")
    encoded = encode_texts(
        ["w10 w11 w12 w13", "w20", "w30 w31"], model, ForgettingSpec(texts="x.txt", max_length=3)
    )
    assert {row: ([*text.input_ids], [*text.labels]) for row, text in encoded.items()} == {
        0: ([10], [11, 12]),
        2: ([30], [31]),
    }
    assert [text.truncated_target for text in encoded.values()] == [True, False]
    with pytest.raises(DataError, match="texts of two tokens or more"):
        encode_texts(["w10", "w11"], model, BUILTIN)


def test_texts_longer_than_the_positions_of_a_model_are_refused():
    model = backbone("gpt2")  # which has 64
    encoded = encode_texts(["w10 " * 63], model, BUILTIN)
    forgetting.check_fits(model.family, encoded.values())
    with pytest.raises(StudyError, match=r"64 positions .* has 65 tokens.*lower forgetting.max_length"):
        forgetting.check_fits(model.family, encoded.values(), prompt_ids=[1, 2])


# whole runs


@pytest.fixture(scope="module")
def study_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, RunSpec], Path]:
    folder = tmp_path_factory.mktemp("study")
    lines = ["The film was good and long.", "A bad book, they said.", "Nobody knows why it rains."]
    (folder / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    spec = small.spec(folder, ["forgetting.texts=texts.txt", "train_sizes=[8]"])
    return {run.method_name: run for run in expand(spec)}, folder


def trained(run: RunSpec, folder: Path, session: Session) -> RunRecord:
    folder.mkdir()
    record = train_run(run, folder, session=session)
    assert record.state == "complete", record.failure
    return record


@pytest.mark.slow
def test_the_untouched_model_forgets_exactly_nothing_and_measuring_changes_no_score(study_runs, tmp_path):
    runs, _ = study_runs
    session = Session()
    for name in ("zero_shot", "lora"):
        plain = trained(
            runs[name].model_copy(update={"forgetting": None}), tmp_path / f"{name}-plain", session
        )
        record = trained(runs[name], tmp_path / name, session)
        assert plain.forgetting is None and not (tmp_path / f"{name}-plain" / "forgetting.parquet").exists()
        assert record.scores == plain.scores and record.run_id == plain.run_id
        for kept in ("curve.jsonl", "predictions.parquet"):
            assert record.files[kept] == plain.files[kept]
        assert record.forgetting is not None and record.forgetting.texts == 3
        if name == "zero_shot":
            assert record.forgetting.increase == 0
        else:
            assert record.forgetting.increase != 0
    assert len(session.untouched_losses) == 1


@pytest.mark.slow
def test_full_fine_tuning_at_a_high_rate_forgets_and_its_file_has_the_mean(study_runs, tmp_path):
    runs, _ = study_runs
    method = FullSpec(kind="full", learning_rate=0.05)
    training = runs["lora"].training.model_copy(update={"load_best_model_at_end": False})
    run = runs["lora"].model_copy(update={"method": method, "training": training})
    record = trained(run, tmp_path / "full", Session())
    assert record.forgetting.increase > 0.1
    table = pyarrow.parquet.read_table(tmp_path / "full" / "forgetting.parquet").to_pandas()
    assert list(table["row"]) == [0, 1, 2]
    assert table["tokens"].sum() == record.forgetting.tokens
    for side in ("before", "after"):
        mean = (table[side] * table["tokens"]).sum() / table["tokens"].sum()
        assert getattr(record.forgetting, side) == pytest.approx(mean)


def test_another_process_gets_the_texts_with_its_session(study_runs):
    runs, folder = study_runs
    spec = runs["lora"].forgetting
    elsewhere = spec.model_copy(update={"texts": str(folder / "copy.txt")})
    (folder / "copy.txt").write_text("one text\nand another\n", encoding="utf-8")
    part = Session().for_runs([runs["lora"].model_copy(update={"forgetting": elsewhere})])
    (folder / "copy.txt").unlink()
    assert part.general_texts(elsewhere) == ("one text", "and another")


def test_a_changed_file_is_read_again_when_a_study_begins(study_runs):
    runs, folder = study_runs
    spec = runs["lora"].forgetting.model_copy(update={"texts": str(folder / "changing.txt")})
    (folder / "changing.txt").write_text("one text\nand another\n", encoding="utf-8")
    session = Session()
    before = session.general_texts(spec)
    (folder / "changing.txt").write_text("one text\nand yet another\n", encoding="utf-8")
    assert session.general_texts(spec) == before
    session.forget_changed_files()
    assert session.general_texts(spec) == ("one text", "and yet another")


@pytest.mark.slow
def test_another_batch_size_is_measured_on_its_own(study_runs, tmp_path):
    runs, _ = study_runs
    session = Session()
    for size in (1, 2):
        training = runs["zero_shot"].training.model_copy(update={"per_device_eval_batch_size": size})
        record = trained(
            runs["zero_shot"].model_copy(update={"training": training}), tmp_path / str(size), session
        )
        assert record.forgetting.increase == 0
    assert len(session.untouched_losses) == 2
