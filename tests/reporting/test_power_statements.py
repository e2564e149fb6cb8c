"""What `plan` says a study can find."""

import re

import pytest

from helpers import fabricated as made
from tuneoff.reporting import power_statements
from tuneoff.stats.power import CLASSIFICATION, power


def _first(**changes: object) -> str:
    return power_statements(made.a_study(**changes), {"sst2": 200})[0]


def _power(difference: float, *, alpha: float) -> float:
    return power(difference, seeds=3, examples=200, components=CLASSIFICATION, alpha=alpha)


@pytest.fixture(scope="module")
def line() -> str:
    return _first()


@pytest.mark.slow
def test_the_difference_that_is_found_is_that_of_the_first_of_all_comparisons(line: str) -> None:
    # full against zero_shot, and lora, prefix and prompt against both
    said = re.search(r"a difference of ([.\d]+) .* as the first of 7 comparisons \(level 0.05 / 7\)", line)
    assert said is not None
    assert _power(float(said[1]), alpha=0.05 / 7) == pytest.approx(0.8, abs=0.01)


@pytest.mark.slow
def test_the_difference_that_a_single_comparison_would_find_is_told_beside_it(line: str) -> None:
    said = re.search(r"; a single comparison, ([.\d]+)$", line)
    assert said is not None
    assert _power(float(said[1]), alpha=0.05) == pytest.approx(0.8, abs=0.01)


@pytest.mark.slow
def test_a_single_comparison_is_told_without_a_family() -> None:
    line = _first(methods={name: made.METHODS[name] for name in ("zero_shot", "full")})
    assert re.search(r"a difference of [.\d]+ eval_accuracy with 80% power$", line)


@pytest.mark.slow
def test_ablations_and_train_sizes_do_not_change_what_is_found(line: str) -> None:
    ablations = {"rank": {"of": "lora", "vary": {"rank": [1, 2, 4]}}}
    assert _first(ablations=ablations, train_sizes=[100, 1000]) == line


@pytest.mark.slow
def test_where_no_difference_can_be_found_it_is_said() -> None:
    assert "can detect no difference with 80% power as the first of 7" in _first(seeds=[0, 1])
    assert "1 seed and 200 test examples support no claim about a method" in _first(seeds=[0])
