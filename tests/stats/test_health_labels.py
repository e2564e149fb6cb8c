"""Whether answers go with labels: against exact tests of known tables, and on random and inverted ones."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import fisher_exact

from helpers.health_evidence import (
    GOOD,
    LABELS,
    REFERENCES,
    WEAK,
    ZERO_SHOT,
    a_record,
    checks,
    evidence_of,
    judged,
    labelled,
)
from tuneoff.stats.health import RunEvidence
from tuneoff.stats.health.labels import _power, _random_order, _tails

SIX = LABELS | {"labels": {str(value): f"label {value}" for value in range(6)}}


def drawn(rows: int, shares: Sequence[float], *, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).choice(len(shares), rows, p=shares).tolist()


def answered(references: list[int], answers: Sequence[int | None], **changes: object) -> RunEvidence:
    return judged(a_record(**changes), (), labelled(references, answers))


class TestUnrelated:
    @pytest.mark.parametrize("most_common", [0.5, 0.8, 0.95])
    def test_answers_drawn_without_reading_get_an_error_however_skewed_the_labels(self, most_common) -> None:
        shares = [most_common, 1 - most_common]
        found = answered(drawn(2000, shares), drawn(2000, shares, seed=1))
        told = evidence_of("chance level", found)
        chance = most_common**2 + (1 - most_common) ** 2
        assert float(told.split("random order have ")[1].split()[0]) == pytest.approx(chance, abs=0.02)

    def test_a_classifier_that_finds_half_of_a_rare_label_gets_no_finding(
        self,
    ) -> None:
        references = [1 if row % 20 else 0 for row in range(2000)]
        answers = [1 if row % 40 == 0 or row % 43 == 1 else value for row, value in enumerate(references)]
        answers = [0 if row % 47 == 5 else value for row, value in enumerate(answers)]
        right = np.mean(np.array(references) == answers)
        assert right == pytest.approx(0.95, abs=0.01)
        assert checks(answered(references, answers)) == []

    def test_several_labels_and_answers_that_are_none_of_them(self) -> None:
        references = drawn(600, [1 / 6] * 6)
        guessed: list[int | None] = [*drawn(600, [1 / 6] * 6, seed=1)]
        guessed[::9] = [None] * len(guessed[::9])
        found = judged(a_record(SIX | {"scoring": "generate"}), (), labelled(references, guessed))
        assert checks(found) == ["chance level"]
        half = guessed.copy()
        half[::2] = references[::2]
        assert checks(judged(a_record(SIX), (), labelled(references, half))) == []

    def test_the_base_model_may_get_an_error_as_well(self) -> None:
        references = drawn(400, [0.5, 0.5])
        assert checks(answered(references, drawn(400, [0.5, 0.5], seed=3), method=ZERO_SHOT)) == [
            "chance level"
        ]

    def test_of_too_few_rows_nothing_is_said_but_that_they_are_too_few(self) -> None:
        references = [row % 2 for row in range(20)]
        answers = [value if row < 13 else 1 - value for row, value in enumerate(references)]
        found = answered(references, answers)
        assert checks(found) == ["few rows"]
        assert "0.650 over 20 test rows" in evidence_of("few rows", found)

    def test_few_rows_that_are_enough_get_no_warning(self) -> None:
        references = [row % 2 for row in range(20)]
        assert checks(answered(references, references)) == []

    def test_test_rows_of_a_single_label_cannot_tell(self) -> None:
        assert checks(answered([1] * 200, [1] * 200)) == ["single label"]


class TestAgainst:
    def test_inverted_labels_are_named_with_the_score_on_validation(self) -> None:
        inverted = [1 - value for value in GOOD["prediction"].astype(int)]
        found = judged(a_record(validation={"eval_accuracy": 0.13}), (), labelled(REFERENCES, inverted))
        told = evidence_of("below chance", found)
        assert "accuracy is 0.125 over 1,000 test rows" in told
        assert told.endswith("on validation accuracy is 0.130")
        assert "chance level" not in checks(found)

    def test_a_third_of_eighty_right(self) -> None:
        references = [row % 2 for row in range(80)]
        answers = [value if row < 26 else 1 - value for row, value in enumerate(references)]
        assert checks(answered(references, answers)) == ["below chance"]

    def test_labels_that_moved_on_by_one(self) -> None:
        references = [row % 6 for row in range(300)]
        moved = [(value + 1) % 6 if row % 5 else value for row, value in enumerate(references)]
        moved = [value if row % 5 else (row // 5) % 6 for row, value in enumerate(moved)]
        found = judged(a_record(SIX), (), labelled(references, moved))
        assert "below chance" in checks(found)

    def test_slightly_fewer_right_than_by_chance_is_chance(self) -> None:
        references = [row % 2 for row in range(200)]
        answers = [value if row < 90 else 1 - value for row, value in enumerate(references)]
        assert checks(answered(references, answers)) == ["chance level"]


@pytest.mark.parametrize("table", [[[30, 10], [12, 28]], [[5, 3], [2, 9]], [[400, 2], [5, 1]]])
def test_with_two_labels_the_p_values_are_those_of_fishers_test(table: list[list[int]]) -> None:
    counts = np.array(table)
    references, answers = tuple(counts.sum(axis=1).tolist()), (*counts.sum(axis=0).tolist(), 0)
    tails = _tails(int(np.trace(counts)), references, answers, *_random_order(references, answers))
    expected = [fisher_exact(table, alternative=side).pvalue for side in ("greater", "less")]
    assert tails == pytest.approx(expected)


@pytest.mark.parametrize("references", [(8, 7, 5), (150, 100, 80, 70)])
def test_with_several_labels_the_p_values_are_those_of_shuffled_answers(references: tuple[int, ...]) -> None:
    wanted = np.repeat(np.arange(len(references)), references)
    answers = (*references[1:], references[0], 0)
    given = np.repeat(np.arange(len(references)), answers[:-1])
    rng = np.random.default_rng(5)
    shuffled = np.array([(rng.permutation(given) == wanted).sum() for _ in range(4000)])
    expected, deviation = _random_order(references, answers)
    assert (expected, deviation) == pytest.approx((shuffled.mean(), shuffled.std()), rel=0.05)
    right = round(expected + 1.5 * deviation)
    as_many, as_few = _tails(right, references, answers, expected, deviation)
    assert as_many == pytest.approx((shuffled >= right).mean(), abs=0.03)
    assert as_few == pytest.approx((shuffled <= right).mean(), abs=0.03)


@pytest.mark.parametrize(("rows", "most_common"), [(40, 0.5), (60, 0.8), (120, 0.9)])
def test_how_surely_a_working_model_passes_is_what_drawing_it_shows(rows: int, most_common: float) -> None:
    rng = np.random.default_rng(2)
    first = round(rows * most_common)
    references = (first, rows - first)
    wanted = np.repeat([0, 1], references)
    passed = 0
    for _ in range(1000):
        # right with probability kappa, else drawn from the labels' shares
        given = np.where(rng.random(rows) < 0.5, wanted, rng.random(rows) >= most_common)
        table = [[int(((wanted == a) & (given == b)).sum()) for b in (0, 1)] for a in (0, 1)]
        passed += fisher_exact(table, alternative="greater").pvalue < 0.05
    assert _power(references) == pytest.approx(passed / 1000, abs=0.08)


def test_a_weak_classifier_that_reads_gets_no_finding() -> None:
    assert checks(judged(a_record(), (), WEAK)) == []


def test_test_rows_of_one_label_get_a_warning_of_their_own_whatever_is_answered() -> None:
    for given in ([1] * 288, [row % 2 for row in range(288)]):
        found = answered([1] * 288, given)
        assert checks(found) == ["single label"]
        assert evidence_of("single label", found).startswith("all 288 test rows have the label 'good'")
    assert "single label" not in checks(answered([0] + [1] * 287, [1] * 288))
