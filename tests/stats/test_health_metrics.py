"""Scores that say nothing of their own, planted in studies."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.health_evidence import (
    GOOD,
    LABELS,
    REFERENCES,
    TEXTS,
    a_record,
    answered,
    labelled,
    mostly_right,
    waves,
    written,
)
from tuneoff.results import RunRecord
from tuneoff.stats.health import diagnose_study


def a_study(rows: Sequence[dict[str, float]], task: dict[str, Any] = LABELS) -> list[RunRecord]:
    return [a_record(task, seed=seed, scores=scores) for seed, scores in enumerate(rows)]


def wrong_f1(accuracy: float) -> dict[str, float]:
    """The F1 of right-or-wrong flags: precision is 1, recall the accuracy."""
    return {"eval_accuracy": accuracy, "eval_f1": 2 * accuracy / (1 + accuracy), "eval_loss": 5 - accuracy**2}


class TestMetrics:
    def test_the_f1_of_an_earlier_study_is_a_function_of_its_accuracy(self) -> None:
        rows = [wrong_f1(0.586283), wrong_f1(0.483407), wrong_f1(0.61)]
        assert [row["eval_f1"] for row in rows[:2]] == pytest.approx([0.739191, 0.651752], abs=1e-6)
        (finding,) = diagnose_study(a_study(rows), {})
        assert (finding.check, finding.level) == ("broken metric", "error")
        assert finding.evidence.startswith("mine: F1 is 2a / (1 + a) of accuracy")
        assert finding.evidence.endswith("in all of 3 runs")

    def test_six_digits_of_a_report_are_enough_to_tell(self) -> None:
        rows = [{name: round(value, 6) for name, value in wrong_f1(a).items()} for a in (0.586, 0.483, 0.61)]
        assert len(diagnose_study(a_study(rows), {})) == 1

    def test_two_runs_or_two_values_are_not_enough(self) -> None:
        rows = [wrong_f1(0.586), wrong_f1(0.483), wrong_f1(0.483)]
        assert diagnose_study(a_study(rows[:2]), {}) == ()
        assert diagnose_study(a_study(rows), {}) == ()

    def test_one_run_off_the_relation_clears_the_metric(self) -> None:
        rows = [wrong_f1(a) for a in (0.586, 0.483, 0.61, 0.7)]
        rows[3]["eval_f1"] += 0.001
        assert diagnose_study(a_study(rows), {}) == ()

    def test_each_task_is_judged_alone_and_only_complete_runs_count(self) -> None:
        rows = [wrong_f1(0.586), wrong_f1(0.483), wrong_f1(0.61)]
        records = a_study(rows)
        others = [record.model_copy(update={"state": "cancelled"}) for record in records[:1]]
        assert diagnose_study(others + records[1:], {}) == ()

    @pytest.mark.parametrize(
        ("other", "told"),
        [
            (lambda a: a, "macro F1 equals accuracy"),
            (lambda a: 1 - a, "macro F1 is 1 minus accuracy"),
        ],
    )
    def test_equals_and_complements_are_told(self, other: Any, told: str) -> None:
        rows = [{"eval_accuracy": a, "eval_f1_macro": other(a)} for a in (0.6, 0.7, 0.8)]
        (finding,) = diagnose_study(a_study(rows), {})
        assert told in finding.evidence

    @pytest.mark.parametrize(("reference", "alarms"), [("Denver Broncos", 0), ("one of " * 6, 1)])
    def test_scores_of_texts_may_agree_where_references_are_a_few_words(
        self, reference: str, alarms: int
    ) -> None:
        task = TEXTS | {"kind": "generation", "metrics": ["token_f1", "exact_match"]}
        rows = [{"eval_exact_match": a, "eval_token_f1": a} for a in (0.2, 0.3, 0.4)]
        records = a_study(rows, task)
        table = written(["any"] * 20, waves(20, 0.3)).assign(reference=reference)
        found = diagnose_study(records, {record.run_id: answered(table) for record in records})
        assert sum(one.check == "broken metric" for one in found) == alarms

    @pytest.mark.parametrize("reference", ["He came. She went.", "他来了。她走了。", "वह आया। वह गई।"])
    def test_rouge_lsum_may_equal_rouge_l_where_references_are_single_sentences(self, reference: str) -> None:
        records = a_study([{"eval_rougeL": a, "eval_rougeLsum": a} for a in (0.2, 0.3, 0.4)], TEXTS)
        single = written([f"text {row}" for row in range(20)], waves(20, 0.3))
        several = single.assign(reference=reference)
        assert diagnose_study(records, {}) == ()
        assert diagnose_study(records, {records[0].run_id: answered(single)}) == ()
        (finding,) = diagnose_study(records, {records[0].run_id: answered(several)})
        assert "ROUGE-Lsum equals ROUGE-L" in finding.evidence

    def test_a_score_that_never_changes_although_the_answers_do(self) -> None:
        records = a_study([{"eval_accuracy": a, "eval_f1": 0.5} for a in (0.6, 0.7, 0.8)])
        different = {
            record.run_id: answered(
                labelled(REFERENCES, mostly_right(REFERENCES, wrong_every=4, start=index))
            )
            for index, record in enumerate(records)
        }
        (finding,) = diagnose_study(records, different)
        assert finding.evidence == "mine: F1 is 0.500 in all of 3 runs, 3 of which have different predictions"
        (finding,) = diagnose_study(records, dict.fromkeys(different, answered(GOOD)))
        assert finding.check == "identical models"
        assert diagnose_study(records, {}) == ()

    def test_no_invalid_answers_in_any_run_are_no_fault(self) -> None:
        records = a_study([{"eval_accuracy": a, "eval_invalid": 0.0} for a in (0.6, 0.7, 0.8)])
        different = {
            record.run_id: answered(
                labelled(REFERENCES, mostly_right(REFERENCES, wrong_every=4, start=index))
            )
            for index, record in enumerate(records)
        }
        assert diagnose_study(records, different) == ()


@pytest.mark.slow
@settings(max_examples=25)
@given(st.permutations([wrong_f1(a) for a in (0.58, 0.48, 0.61, 0.7)]), st.randoms())
def test_the_order_of_runs_does_not_matter(rows: list[dict[str, float]], order: random.Random) -> None:
    records = a_study(rows)
    assert diagnose_study(order.sample(records, len(records)), {}) == diagnose_study(records, {})
