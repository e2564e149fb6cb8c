"""Checks of answers that are letters of options, and of texts that another metric than ROUGE compares."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.health_evidence import LABELS, TEXTS, a_record, checks, evidence_of, judged, labelled, written
from tuneoff.spec import LETTERS
from tuneoff.stats.health import RunEvidence

OPTIONS: dict[str, Any] = {
    **{key: value for key, value in LABELS.items() if key != "labels"},
    "kind": "multiple_choice",
    "options": "z",
}


def _chosen(references: list[int], answers: list[int]) -> RunEvidence:
    table = labelled(references, answers)
    for column in ("reference", "prediction"):
        table[column] = [LETTERS[int(place)] for place in table[column]]
    return judged(a_record(OPTIONS), (), table)


def _drawn(rows: int, *, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(0, 4, rows).tolist()


def test_options_chosen_without_reading_are_at_chance_level() -> None:
    found = _chosen(_drawn(800, seed=0), _drawn(800, seed=1))
    assert checks(found) == ["chance level"]
    assert "accuracy is 0.2" in evidence_of("chance level", found)


def test_options_that_are_mostly_right_get_no_finding() -> None:
    references = _drawn(800, seed=0)
    answers = [(place + (row % 5 == 0)) % 4 for row, place in enumerate(references)]
    assert checks(_chosen(references, answers)) == []


def test_always_the_same_place_has_collapsed() -> None:
    found = _chosen(_drawn(800, seed=0), [2] * 800)
    assert "100.0% of 800 test predictions are 'C'" in evidence_of("collapsed", found)


def test_a_test_set_whose_right_options_have_one_place_tells_little() -> None:
    told = evidence_of("single label", _chosen([1] * 60, [1] * 59 + [0]))
    assert told.startswith("all 60 test rows have the option 'B'")


@pytest.mark.parametrize(
    ("metrics", "found"),
    [(["chrf"], ["too good"]), (["bleu"], ["too good"]), (["exact_match"], []), (["token_f1"], [])],
)
def test_long_answers_that_are_right_are_too_good_unless_answers_are_found(
    metrics: list[str], found: list[str]
) -> None:
    record = a_record(TEXTS | {"kind": "generation", "metrics": metrics})
    texts = [f"this is the long answer number {row} of all" for row in range(60)]
    table = written(texts, [1.0] * 60).assign(reference=texts)
    table[record.spec.task.main_metric] = 1.0
    assert checks(judged(record, (), table)) == found


@pytest.mark.parametrize(("metrics", "found"), [(["rouge"], ["references without words"]), (["chrf"], [])])
def test_references_without_words_matter_to_rouge_alone(metrics: list[str], found: list[str]) -> None:
    record = a_record(TEXTS | {"kind": "generation", "metrics": metrics})
    table = _emoji(record.spec.task.main_metric)
    assert [one for one in checks(judged(record, (), table)) if one == "references without words"] == found


def _emoji(metric: str) -> pd.DataFrame:
    table = written([f"text {row}" for row in range(60)], [0.0] * 60)
    return table.assign(reference=[f"{'!' * (row + 1)}" for row in range(60)], **{metric: 0.1})
