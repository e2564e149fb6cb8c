"""The scripts that make the bundled base: what they draw, and that training continues exactly."""

import json
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast, T5ForConditionalGeneration

from batches import FIRST_SHARES, SECOND_SHARES, Mixture
from chats import statement
from start import config, tokenizer
from train import Plan, Stage, State, train

WORDS = "a b c d e f g h the dog cat ran lost keys big red old new sun rain : ? . , '"
VOCABULARY = ["[PAD]", "[SEP]", "[UNK]", *(f"[unused{i}]" for i in range(32)), *WORDS.split()]
PAIRS = ("synopsis", "define", "word", "polarity", "summary", "asked")
TOKENS = 256


@pytest.fixture(scope="module")
def fast() -> PreTrainedTokenizerFast:
    return tokenizer(VOCABULARY)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, fast: PreTrainedTokenizerFast) -> Path:
    """Write a corpus of a few words, and a very small T5 to start from."""
    folder = tmp_path_factory.mktemp("work")
    sentences = ["the big dog ran .", "the old cat lost the keys .", "a red sun , a new rain ."]
    parts = {
        "texts": [sentences, sentences[:1]],
        "pairs": [[task, "a b c ?", "the dog"] for task in PAIRS],
        "chats": [[["A", "the dog ran"], ["B", "the cat ran"], ["A", "the sun"]]],
        "rated": [["the new sun", "positive"]],
        "turns": ["he lost his keys", "the rain ran"],
    }
    for name, rows in parts.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    small = config(len(VOCABULARY), fast)
    small.d_model, small.d_kv, small.d_ff = 16, 4, 32
    torch.manual_seed(0)
    T5ForConditionalGeneration(small).save_pretrained(folder / "start")
    fast.save_pretrained(folder / "start")
    return folder


@pytest.mark.parametrize(
    ("sentence", "said", "told"),
    [
        ("he lost his keys", "I lost my keys", "Anna lost her keys"),
        ("She is proud of her garden.", "I am proud of my garden", "Anna is proud of her garden"),
        ("he walked home again", "I walked home again", "Anna walked home again"),
    ],
)
def test_a_statement_is_turned_round(sentence: str, said: str, told: str) -> None:
    found = statement(sentence)
    assert found is not None
    assert (found.said, found.told("Anna")) == (said, told)


@pytest.mark.parametrize(
    "sentence",
    ["", "he", "he ran", "she told him the truth", "he lost her keys", "they lost their keys", "she saw her"],
)
def test_a_sentence_that_may_mean_others_is_no_statement(sentence: str) -> None:
    assert statement(sentence) is None


@pytest.mark.slow
def test_a_pool_depends_on_seed_and_number_alone(work: Path, fast: PreTrainedTokenizerFast) -> None:
    def drawn(seed: int, number: int) -> list[list[int]]:
        return [
            batch.source.flatten().tolist()
            for batch in Mixture(work, fast, seed, FIRST_SHARES).pool(number, TOKENS)
        ]

    assert drawn(0, 3) == drawn(0, 3)
    assert drawn(0, 3) != drawn(0, 4)
    assert drawn(0, 3) != drawn(1, 3)


def test_batches_stay_within_their_size_and_rows_end(work: Path, fast: PreTrainedTokenizerFast) -> None:
    batches = Mixture(work, fast, 0, FIRST_SHARES).pool(0, TOKENS)
    assert sum(len(batch.source) for batch in batches) == 1024
    for batch in batches:
        assert batch.source.numel() + batch.labels.numel() <= TOKENS
        ends = (batch.source == fast.eos_token_id).sum(1)
        assert ends.tolist() == [1] * len(batch.source)


@pytest.mark.slow
def test_training_in_two_sessions_is_training_in_one(
    work: Path, fast: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    def trained(*seconds: float) -> State:
        folder = tmp_path / f"sessions-{len(seconds)}"
        folder.mkdir()
        stage = Stage("small", "start", SECOND_SHARES, total=36_000, rate=1.0, distil=0.0)
        for until in seconds:
            state = State(work, stage)
            if (folder / "small.checkpoint.safetensors").exists():
                state.load(folder / "small.checkpoint.safetensors")
            plan = Plan(until, 8 * TOKENS, 1e9, folder)
            mixture = Mixture(work, fast, 0, stage.shares)
            train(state, mixture, None, plan)
        return state

    hour = 3600.0
    whole, parted = trained(hour), trained(1e-9, hour)
    assert whole.step == parted.step
    weights = zip(whole.model.parameters(), parted.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)
