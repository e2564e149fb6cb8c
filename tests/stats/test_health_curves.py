"""Each check about a curve on a planted case and on a healthy one."""

from typing import Any

import numpy as np
import pytest

from helpers.health_evidence import (
    GOOD,
    LABELS,
    LORA,
    REFERENCES,
    TEXTS,
    WEAK,
    ZERO_SHOT,
    a_curve,
    a_record,
    checks,
    evidence_of,
    falling_together,
    judged,
    labelled,
    waves,
    written,
)
from tuneoff.results import CurvePoint, RunFailure
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
        assert "diverged" not in checks(judged(a_record(), by_heart, GOOD))
        assert "overfitted" in checks(judged(a_record(), by_heart, GOOD))

    def test_a_high_start_that_comes_down_is_none(self) -> None:
        assert checks(judged(a_record(), a_curve([9, 2, 1, 0.9], [0.1, 0.7, 0.8, 0.8]))) == []


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
                "several tokens, such as 'very good'",
            ),
            (LABELS, LORA, "accuracy depends on which label is most likely"),
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
        assert "likely cause: 50.0% of the generated texts are truncated" in evidence_of(
            "contradictory", found
        )

    def test_a_score_that_rises_while_the_loss_falls_is_none(self) -> None:
        healthy = a_curve([9, 8, 7, 6], [0.15, 0.2, 0.25, 0.25], metric="eval_rougeL")
        assert checks(judged(a_record(TEXTS), healthy)) == []

    def test_a_fall_within_the_noise_of_the_validation_split_is_none(self) -> None:
        flat = a_curve([2, 1.8, 1.7, 1.6], [0.35, 0.345, 0.342, 0.34], metric="eval_rougeL")
        assert checks(judged(a_record(TEXTS), flat)) == []

    def test_a_loss_that_hardly_falls_is_none(self) -> None:
        still = a_curve([1.0, 0.99, 0.985, 0.98], [0.8, 0.7, 0.65, 0.6])
        assert checks(judged(a_record(), still)) == ["worsened"]

    def test_a_score_that_rises_with_the_falling_loss_and_drops_at_the_end_is_none(self) -> None:
        late = a_curve([1.0, 0.9, 0.8, 0.7, 0.65], [0.7, 0.8, 0.85, 0.9, 0.5])
        assert checks(judged(a_record(), late)) == ["worsened"]

    def test_a_fall_beside_a_rising_loss_is_no_contradiction(self) -> None:
        worse = a_curve([1.0, 1.1, 1.3, 1.6], [0.8, 0.7, 0.65, 0.6])
        assert "contradictory" not in checks(judged(a_record(), worse, GOOD))


class TestUndertrained:
    def test_a_metric_that_rises_to_the_last_step(self) -> None:
        rising = a_curve([1, 0.9, 0.8, 0.7, 0.6], [0.5, 0.58, 0.66, 0.74, 0.82], every=250)
        told = evidence_of("undertrained", judged(a_record(), rising))
        assert "0.820 at the last step, 1,000, after 0.740 at best until step 750" in told

    def test_the_same_rise_is_noise_on_a_small_split(self) -> None:
        rising = a_curve([1, 0.9, 0.8, 0.7, 0.6], [0.5, 0.58, 0.66, 0.74, 0.82], every=250)
        record = a_record(splits={"validation": {"used": 50}})
        # one standard error of .82 on 50 rows is .054
        assert checks(judged(record, rising)) == []

    def test_scores_that_vary_little_need_less_of_a_rise(self) -> None:
        texts = [f"text {row}" for row in range(100)]
        curve = a_curve([2, 1.8, 1.7, 1.6], [0.2, 0.25, 0.3, 0.34], metric="eval_rougeL")
        steady = written(texts, [0.3 + 0.01 * (row % 2) for row in range(100)])
        record = a_record(TEXTS)
        assert checks(judged(record, curve)) == []
        assert checks(judged(record, curve, steady)) == ["undertrained"]

    def test_the_best_at_the_last_evaluation_by_a_hair_is_none(self) -> None:
        flat = a_curve([1, 0.6, 0.5, 0.5, 0.5], [0.5, 0.8, 0.85, 0.86, 0.87], every=250)
        assert checks(judged(a_record(), flat)) == []

    def test_one_evaluation_cannot_tell(self) -> None:
        assert checks(judged(a_record(), a_curve([1, 0.5], [0.5, 0.9], every=1000))) == []


class TestOverfitted:
    def test_a_loss_well_past_its_minimum(self) -> None:
        past = a_curve([0.9, 0.4, 0.35, 0.45, 0.6], [0.5, 0.8, 0.85, 0.85, 0.85])
        told = evidence_of("overfitted", judged(a_record(best_step=200), past, GOOD))
        assert "from 0.350 at step 200 to 0.600 at step 400; the weights kept are those of step 200" in told

    @pytest.mark.parametrize("end", [0.37, 0.35])
    def test_a_small_rise_is_none(self, end: float) -> None:
        flat = a_curve([0.9, 0.4, 0.35, 0.36, end], [0.5, 0.8, 0.85, 0.85, 0.85])
        assert checks(judged(a_record(), flat, GOOD)) == []

    def test_a_rise_within_the_noise_of_a_small_split_is_none(self) -> None:
        past = a_curve([0.9, 0.4, 0.35, 0.36, 0.40], [0.5, 0.8, 0.85, 0.85, 0.85])
        small = a_record(splits={"validation": {"used": 20}})
        assert checks(judged(small, past, GOOD)) == []
        assert checks(judged(a_record(), past, GOOD)) == ["overfitted"]


class TestUnmoved:
    def test_a_rate_that_learns_nothing_even_where_a_random_prefix_answers_otherwise(self) -> None:
        still = a_curve([2.3] * 5, [0.4] * 5, training=[2.31, 2.28, 2.33, 2.3])
        record = a_record(method={"kind": "prefix", "learning_rate": 1e-30})
        found = judged(record, still, GOOD, zero_shot=WEAK)
        assert checks(found) == ["no effect"]
        assert "within 0.00% of 2.300 at step 0" in evidence_of("no effect", found)
        assert "learning rate: 1e-30" in evidence_of("no effect", found)

    def test_a_change_of_half_a_percent_is_none(self) -> None:
        crawling = a_curve([2.3, 2.299, 2.295, 2.29], [0.4, 0.4, 0.403, 0.403])
        assert checks(judged(a_record(), crawling)) == ["no effect"]

    @pytest.mark.parametrize(
        "curve",
        [
            a_curve([2.3, 2.25, 2.24, 2.24], [0.4] * 4),
            a_curve([0.2, 0.199, 0.199], [0.8, 0.85, 0.87], every=500),
            a_curve([2.3] * 4, [0.4] * 4, training=[2.3, 1.1, 0.5]),
        ],
        ids=["the loss falls", "the metric rises", "the rows are known by heart"],
    )
    def test_what_moves_anything_has_an_effect(self, curve: tuple[CurvePoint, ...]) -> None:
        assert "no effect" not in checks(judged(a_record(), curve))

    def test_the_base_model_and_a_single_evaluation_are_not_judged(self) -> None:
        assert checks(judged(a_record(method=ZERO_SHOT), a_curve([2.3] * 3, [0.4] * 3))) == []
        assert checks(judged(a_record(), a_curve([2.3], [0.4]))) == []


class TestWorsened:
    def test_a_metric_that_falls_after_the_first_evaluation_with_a_flat_loss(self) -> None:
        falling = a_curve([0.9, 0.4, 0.4, 0.4, 0.4], [0.5, 0.9, 0.87, 0.84, 0.8])
        found = judged(a_record(best_step=100), falling)
        assert checks(found) == ["worsened"]
        told = evidence_of("worsened", found)
        assert "from 0.900 at step 100 to 0.800 at step 400" in told
        assert told.endswith("the weights kept are those of step 100")

    def test_a_fall_from_the_start_counts_as_well(self) -> None:
        falling = a_curve([0.9, 0.88, 0.89, 0.92], [0.9, 0.8, 0.81, 0.8])
        assert checks(judged(a_record(), falling)) == ["worsened"]

    def test_a_fall_within_the_noise_is_none(self) -> None:
        wavering = a_curve([0.9, 0.4, 0.4, 0.4, 0.4], [0.5, 0.86, 0.87, 0.85, 0.83])
        assert checks(judged(a_record(), wavering)) == []
        falling = a_curve([0.9, 0.4, 0.4, 0.4, 0.4], [0.5, 0.9, 0.87, 0.84, 0.8])
        assert checks(judged(a_record(splits={"validation": {"used": 60}}), falling)) == []

    def test_a_contradiction_is_told_once(self) -> None:
        assert checks(judged(a_record(TEXTS), falling_together())) == ["contradictory"]


class TestValidationGap:
    @pytest.mark.parametrize("validation", [0.95, 0.35])
    def test_scores_that_are_further_apart_than_their_rows_explain(self, validation: float) -> None:
        weak = WEAK[:300]
        record = a_record(validation={"eval_accuracy": validation}, splits={"test": {"used": 300}})
        found = judged(record, (), weak)
        assert checks(found) == ["validation gap"]
        told = evidence_of("validation gap", found)
        assert f"{validation:.3f} on 300 validation rows and 0.667 on 300 test rows" in told

    def test_the_distance_is_in_standard_errors_of_two_samples(self) -> None:
        test = float(WEAK["correct"].mean())
        found = judged(a_record(validation={"eval_accuracy": 0.9}), (), WEAK)
        error = (test * (1 - test) * (1 / 1000 + 1 / 300)) ** 0.5
        assert f"{(0.9 - test) / error:.1f} standard errors" in evidence_of("validation gap", found)

    @pytest.mark.parametrize(
        ("validation", "rows"), [(0.75, 300), (0.95, 20)], ids=["the best of many", "few validation rows"]
    )
    def test_what_chance_and_choice_explain_is_none(self, validation: float, rows: int) -> None:
        record = a_record(validation={"eval_accuracy": validation}, splits={"validation": {"used": rows}})
        assert checks(judged(record, (), WEAK)) == []

    def test_many_rows_do_not_make_a_small_difference_one(self) -> None:
        record = a_record(TEXTS, validation={"eval_rougeL": 0.34}, splits={"validation": {"used": 10_000}})
        texts = [f"text {row}" for row in range(10_000)]
        assert checks(judged(record, (), written(texts, waves(10_000, 0.3)))) == []

    def test_texts_are_judged_by_how_their_scores_vary(self) -> None:
        record = a_record(TEXTS, validation={"eval_rougeL": 0.4})
        texts = [f"text {row}" for row in range(300)]
        assert checks(judged(record, (), written(texts, waves(300, 0.3)))) == ["validation gap"]
        broad = np.random.default_rng(0).uniform(0, 0.6, 300).tolist()
        wide = record.model_copy(update={"validation": {"eval_rougeL": 0.35}})
        assert checks(judged(wide, (), written(texts, broad))) == []


class TestNoise:
    """Test predictions that are all right, wrong or the same do not make validation scores certain."""

    SMALL = a_record(splits={"validation": {"used": 20}})
    ALL_RIGHT = labelled(REFERENCES, REFERENCES)

    def test_two_of_twenty_answers_are_no_contradiction_where_all_test_answers_are_right(self) -> None:
        losses = [0.9, 0.8, 0.75, 0.7]
        found = judged(self.SMALL, a_curve(losses, [0.5, 0.45, 0.45, 0.4]), self.ALL_RIGHT)
        assert checks(found) == []
        # a standard error of .112 at .5, and .067 at .1
        sure = judged(self.SMALL, a_curve(losses, [0.5, 0.4, 0.2, 0.1]), self.ALL_RIGHT)
        assert checks(sure) == ["contradictory"]

    @pytest.mark.parametrize("test", ["all right", "all wrong", "half"])
    def test_the_test_scores_of_labels_do_not_decide_whether_validation_rises_or_falls(
        self, test: str
    ) -> None:
        wrong = {"all right": 0, "all wrong": 1000, "half": 500}[test]
        given = [1 - value if row < wrong else value for row, value in enumerate(REFERENCES)]
        answers = labelled(REFERENCES, given)
        risen = a_curve([0.9, 0.88, 0.87, 0.86, 0.85], [0.5, 0.5, 0.5, 0.55, 0.6])
        fallen = a_curve([0.9, 0.91, 0.9, 0.91], [0.6, 0.55, 0.5, 0.45])
        for curve in (risen, fallen):
            assert not {"undertrained", "worsened"} & {*checks(judged(self.SMALL, curve, answers))}
        steep = a_curve([0.9, 0.88, 0.87, 0.86, 0.85], [0.5, 0.5, 0.5, 0.6, 0.85])
        assert "undertrained" in checks(judged(self.SMALL, steep, answers))

    @pytest.mark.parametrize("rouge", [[0.0] * 50, [0.3] * 50, [0.3, 0.301]], ids=["none", "one", "two rows"])
    def test_scores_of_texts_that_are_all_the_same_say_nothing_of_their_deviation(
        self, rouge: list[float]
    ) -> None:
        record = a_record(TEXTS, splits={"validation": {"used": 20}})
        fallen = a_curve([2, 1.8, 1.7, 1.6], [0.4, 0.36, 0.33, 0.3], metric="eval_rougeL")
        texts = written([f"text {row}" for row in range(len(rouge))], rouge)
        assert "contradictory" not in checks(judged(record, fallen, texts))

    def test_losses_that_are_all_the_same_do_not_tell_overfitting(self) -> None:
        past = a_curve([0.9, 0.4, 0.35, 0.36, 0.40], [0.5, 0.8, 0.85, 0.85, 0.85])
        assert checks(judged(self.SMALL, past, GOOD.assign(loss=0.3))) == []

    def test_test_rows_that_are_far_easier_than_validation_do_not_tell_overfitting(self) -> None:
        past = a_curve([0.9, 0.4, 0.35, 0.36, 0.40], [0.5, 0.8, 0.85, 0.85, 0.85])
        assert checks(judged(self.SMALL, past, GOOD.assign(loss=GOOD["loss"] / 100))) == []
