"""Each verdict about a curve on a planted case and on a healthy one."""

from typing import Any

import pytest

from health_evidence import (
    GOOD,
    LABELS,
    LORA,
    TEXTS,
    a_curve,
    a_record,
    evidence_of,
    falling_together,
    judged,
    verdicts,
    waves,
    written,
)
from tuneoff.spec import RunFailure
from tuneoff.stats.health import Finding, diagnose


class TestDiverged:
    def test_a_loss_that_is_not_finite_is_told_with_its_step(self) -> None:
        message = "at step 7 the loss is nan and the gradient's norm 1.0"
        record = a_record(state="diverged", failure=RunFailure(kind="DivergedError", message=message))
        falling = a_curve([5.0, 1.0, 0.5], [0.3, 0.6, 0.9])
        assert diagnose(judged(record, falling)) == (Finding("diverged", message),)

    def test_a_validation_loss_that_ends_far_above_its_start(self) -> None:
        exploding = a_curve([1.8, 1.9, 6.0, 6.3], [0.34] * 4, training=[1.9, 4.0, 6.1])
        told = evidence_of("diverged", judged(a_record(), exploding))
        assert "1.800 at step 0" in told
        assert "6.300 at step 300" in told

    def test_overfitting_is_no_divergence_however_bad(self) -> None:
        by_heart = a_curve([0.7, 0.6, 1.5, 2.5], [0.5, 0.6, 0.6, 0.6], training=[0.6, 0.2, 0.01])
        assert "diverged" not in verdicts(judged(a_record(), by_heart, GOOD))
        assert "overfitted" in verdicts(judged(a_record(), by_heart, GOOD))

    def test_a_high_start_that_comes_down_is_none(self) -> None:
        assert verdicts(judged(a_record(), a_curve([9, 2, 1, 0.9], [0.1, 0.7, 0.8, 0.8]))) == []


class TestContradictory:
    def test_a_score_that_falls_with_the_loss(self) -> None:
        told = evidence_of("contradictory", judged(a_record(TEXTS), falling_together()))
        assert "from 9.100 to 6.260" in told
        assert "from 0.340 to 0.151 (rank correlation +1.00 over 7 evaluations)" in told
        assert "teacher-forced" in told

    @pytest.mark.parametrize(
        ("task", "method", "cause"),
        [
            (LABELS, {"kind": "prefix", "learning_rate": 0.5}, "learning rate of 0.5 is high for prefix"),
            (
                LABELS | {"labels": {"0": "bad", "1": "very good"}},
                LORA,
                "several pieces, such as 'very good'",
            ),
            (LABELS, LORA, "accuracy asks which label is likeliest"),
        ],
        ids=["rate", "long labels", "labels"],
    )
    def test_a_likely_cause_is_told(self, task: dict[str, Any], method: dict[str, Any], cause: str) -> None:
        found = judged(a_record(task, method), falling_together(task))
        assert cause in evidence_of("contradictory", found)

    def test_cut_texts_are_the_first_suspicion(self) -> None:
        texts = [f"text {row}" for row in range(50)]
        predictions = written(texts, waves(50, 0.15), cut=[row % 2 == 0 for row in range(50)])
        found = judged(a_record(TEXTS), falling_together(), predictions)
        assert "likely cause: 50.0% of the generated texts are cut off" in evidence_of("contradictory", found)

    def test_a_score_that_rises_while_the_loss_falls_is_none(self) -> None:
        healthy = a_curve([9, 8, 7, 6], [0.15, 0.2, 0.25, 0.25], metric="eval_rougeL")
        assert verdicts(judged(a_record(TEXTS), healthy)) == []

    def test_a_fall_within_the_noise_of_the_validation_split_is_none(self) -> None:
        flat = a_curve([2, 1.8, 1.7, 1.6], [0.35, 0.345, 0.342, 0.34], metric="eval_rougeL")
        assert verdicts(judged(a_record(TEXTS), flat)) == []

    def test_a_loss_that_hardly_falls_is_none(self) -> None:
        still = a_curve([1.0, 0.99, 0.985, 0.98], [0.8, 0.7, 0.65, 0.6])
        assert verdicts(judged(a_record(), still)) == []

    def test_a_score_that_rises_with_the_falling_loss_and_drops_at_the_end_is_none(self) -> None:
        late = a_curve([1.0, 0.9, 0.8, 0.7, 0.65], [0.7, 0.8, 0.85, 0.9, 0.5])
        assert verdicts(judged(a_record(), late)) == []

    def test_a_fall_beside_a_rising_loss_is_no_contradiction(self) -> None:
        worse = a_curve([1.0, 1.1, 1.3, 1.6], [0.8, 0.7, 0.65, 0.6])
        assert "contradictory" not in verdicts(judged(a_record(), worse, GOOD))


class TestUndertrained:
    def test_a_metric_that_rises_to_the_last_step(self) -> None:
        rising = a_curve([1, 0.9, 0.8, 0.7, 0.6], [0.5, 0.58, 0.66, 0.74, 0.82], every=250)
        told = evidence_of("undertrained", judged(a_record(), rising))
        assert "0.820 at the last step, 1,000, after 0.740 at best until step 750" in told

    def test_the_same_rise_is_noise_on_a_small_split(self) -> None:
        rising = a_curve([1, 0.9, 0.8, 0.7, 0.6], [0.5, 0.58, 0.66, 0.74, 0.82], every=250)
        record = a_record(splits={"validation": {"used": 50}})
        # one standard error of .82 on 50 rows is .054
        assert verdicts(judged(record, rising)) == []

    def test_scores_that_vary_little_need_less_of_a_rise(self) -> None:
        texts = [f"text {row}" for row in range(100)]
        curve = a_curve([2, 1.8, 1.7, 1.6], [0.2, 0.25, 0.3, 0.34], metric="eval_rougeL")
        steady = written(texts, [0.3 + 0.01 * (row % 2) for row in range(100)])
        record = a_record(TEXTS)
        assert verdicts(judged(record, curve)) == []
        assert verdicts(judged(record, curve, steady)) == ["undertrained"]

    def test_the_best_at_the_last_evaluation_by_a_hair_is_none(self) -> None:
        flat = a_curve([1, 0.6, 0.5, 0.5, 0.5], [0.5, 0.8, 0.85, 0.86, 0.87], every=250)
        assert verdicts(judged(a_record(), flat)) == []

    def test_one_evaluation_cannot_tell(self) -> None:
        assert verdicts(judged(a_record(), a_curve([1, 0.5], [0.5, 0.9], every=1000))) == []


class TestOverfitted:
    def test_a_loss_well_past_its_minimum(self) -> None:
        past = a_curve([0.9, 0.4, 0.35, 0.45, 0.6], [0.5, 0.8, 0.85, 0.85, 0.85])
        told = evidence_of("overfitted", judged(a_record(best_step=200), past, GOOD))
        assert "from 0.350 at step 200 to 0.600 at step 400; the weights kept are those of step 200" in told

    @pytest.mark.parametrize("end", [0.37, 0.35])
    def test_a_small_rise_is_none(self, end: float) -> None:
        flat = a_curve([0.9, 0.4, 0.35, 0.36, end], [0.5, 0.8, 0.85, 0.85, 0.85])
        assert verdicts(judged(a_record(), flat, GOOD)) == []

    def test_a_rise_within_the_noise_of_a_small_split_is_none(self) -> None:
        past = a_curve([0.9, 0.4, 0.35, 0.36, 0.40], [0.5, 0.8, 0.85, 0.85, 0.85])
        small = a_record(splits={"validation": {"used": 20}})
        assert verdicts(judged(small, past, GOOD)) == []
        assert verdicts(judged(a_record(), past, GOOD)) == ["overfitted"]
