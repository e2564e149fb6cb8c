"""Runs that should differ and give the same answers."""

import numpy as np
import pandas as pd
import pytest

from helpers.health_evidence import (
    GOOD,
    REFERENCES,
    TEXTS,
    ZERO_SHOT,
    a_record,
    answered,
    labelled,
    waves,
    written,
)
from tuneoff.results import RunRecord
from tuneoff.stats.health import Finding, diagnose_study

PREFIX = {"kind": "prefix"}


def judged(*runs: tuple[RunRecord, pd.DataFrame]) -> tuple[Finding, ...]:
    records = [record.model_copy(update={"scores": {"eval_loss": 0.3}}) for record, _ in runs]
    return diagnose_study(records, {record.run_id: answered(table) for record, table in runs})


def other_losses(table: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    return table.assign(loss=table["loss"] * np.random.default_rng(seed).uniform(0.9, 1.1, len(table)))


def test_three_seeds_of_one_model_are_named_once() -> None:
    records = [a_record(seed=seed) for seed in range(3)]
    (finding,) = judged(*((record, GOOD) for record in records))
    assert (finding.check, finding.level) == ("identical models", "error")
    assert all(record.run_id in finding.evidence for record in records)
    assert "the same 1,000 test predictions with the same losses" in finding.evidence


def test_two_methods_with_the_same_answers_are_named_even_if_their_losses_differ() -> None:
    one, other, third = a_record(), a_record(method=PREFIX), a_record(method={"kind": "full"})
    third_answers = labelled(REFERENCES, [value if row % 7 else 0 for row, value in enumerate(REFERENCES)])
    (finding,) = judged((one, GOOD), (other, other_losses(GOOD)), (third, third_answers))
    assert (finding.check, finding.level) == ("identical predictions", "warning")
    assert one.run_id in finding.evidence
    assert other.run_id in finding.evidence
    assert third.run_id not in finding.evidence


def test_two_methods_that_write_the_same_texts() -> None:
    texts = written([f"text {row}" for row in range(300)], waves(300, 0.3))
    (finding,) = judged((a_record(TEXTS), texts), (a_record(TEXTS, PREFIX), other_losses(texts)))
    assert finding.check == "identical predictions"


@pytest.mark.parametrize(
    "answers",
    [REFERENCES, [value if row >= 7 else 1 - value for row, value in enumerate(REFERENCES)], [1] * 1000],
    ids=["all right", "seven wrong", "single label"],
)
def test_what_good_or_collapsed_classifiers_agree_on_is_no_finding(answers: list[int]) -> None:
    table = labelled(REFERENCES, answers)
    assert judged((a_record(), table), (a_record(seed=1), other_losses(table))) == ()


def test_the_base_model_may_answer_as_itself() -> None:
    one, other = (a_record(method=ZERO_SHOT, seed=seed) for seed in range(2))
    assert judged((one, GOOD), (other, GOOD), (a_record(), GOOD)) == ()


def test_different_rows_are_different_answers() -> None:
    assert judged((a_record(), GOOD[:500]), (a_record(seed=1), GOOD)) == ()


def test_many_runs_are_counted() -> None:
    (finding,) = judged(*((a_record(seed=seed), GOOD) for seed in range(11)))
    assert " and 3 more have the same" in finding.evidence
