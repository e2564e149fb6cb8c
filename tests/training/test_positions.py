"""Rows that are longer than a model has learned positions for."""

import csv
from pathlib import Path

import pytest

import tuneoff
from helpers.models import tiny, word_tokenizer
from tuneoff.errors import StudyError
from tuneoff.spec import RunSpec, expand
from tuneoff.training import Session, prepare

# the longest input beside a label of one token and its end
LONGEST = {"gpt2": 64 - 2, "opt": 64 - 2, "bart": 40}


def run(kind: str, folder: Path, *, source: int, target: int = 2) -> RunSpec:
    """Return a run without training whose longest input and target have so many tokens."""
    model = tiny(kind)
    model.config.first_target_token_id = None
    model.save_pretrained(folder / "model")
    ends_input = model.config.is_encoder_decoder
    word_tokenizer(ends_input=ends_input).save_pretrained(folder / "model")
    for split in ("train", "validation", "test"):
        with open(folder / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
            texts = [f"w{10 + row} " * (source - ends_input - row) for row in range(2)]
            csv.writer(file).writerows([["text", "label"], *zip(texts, "01", strict=True)])
    study = {
        "name": "positions",
        "model": {"id": folder / "model"},
        "tasks": {
            "words": {
                "kind": "classification",
                "source": {
                    "files": {split: folder / f"{split}.csv" for split in ("train", "validation", "test")}
                },
                "prompt": "{text}",
                "target": "label",
                "labels": {0: "w5 " * (target - 1), 1: "w6"},
                "max_source_length": 100,
                "max_target_length": 100,
            }
        },
        "methods": {"zero_shot": {"kind": "none"}},
        "training": {"max_steps": 1},
    }
    return expand(tuneoff.load_study(study))[0]


@pytest.mark.parametrize("kind", LONGEST)
def test_the_longest_rows_that_fit_are_answered_and_longer_ones_refused(kind, tmp_path: Path):
    prepared = prepare(run(kind, tmp_path, source=LONGEST[kind]), Session())
    assert len(prepared.answers("test")) == 2
    with pytest.raises(StudyError, match="positions of the model, but task 'words' has one of up to"):
        prepare(run(kind, tmp_path, source=LONGEST[kind] + 1), Session())


def test_a_target_has_a_decoder_s_positions_for_itself(tmp_path: Path):
    prepared = prepare(run("bart", tmp_path, source=30, target=39), Session())
    assert len(prepared.answers("test")) == 2
    with pytest.raises(StudyError, match="an input and a target each must fit into the 40 positions"):
        prepare(run("bart", tmp_path, source=30, target=40), Session())
