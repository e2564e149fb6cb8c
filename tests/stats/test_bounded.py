"""The test of a mean of bounded values, against exact tests and a simulation of its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from tuneoff.stats.bounded import highest, p_at_least


def flags(ones: int, of: int) -> NDArray[np.float64]:
    return (np.arange(of) < ones).astype(float)


@pytest.mark.parametrize(("ones", "of"), [(0, 1), (1, 20), (19, 20), (20, 20), (3, 60), (880, 1000)])
def test_of_right_or_wrong_answers_it_is_the_exact_binomial_test(ones: int, of: int) -> None:
    exact = stats.binomtest(ones, of).proportion_ci(0.95)
    assert highest(flags(ones, of), added_value=1.0, alpha=0.025) == pytest.approx(exact.high, abs=1e-5)
    assert -highest(-flags(ones, of), added_value=0.0, alpha=0.025) == pytest.approx(exact.low, abs=1e-5)
    assert p_at_least(flags(ones, of), 0.9, added_value=1.0) == (
        pytest.approx(stats.binom.cdf(ones, of, 0.9), rel=1e-3, abs=1e-9)
    )


@pytest.mark.parametrize(("up", "down", "of"), [(0, 5, 60), (2, 9, 60), (40, 60, 1000), (1, 0, 20)])
def test_of_their_differences_it_is_the_exact_sign_test(up: int, down: int, of: int) -> None:
    differences = np.concatenate([flags(up, of - down), -np.ones(down)])
    expected = stats.binom.cdf(up, up + down, 0.5)
    assert p_at_least(differences, 0.0, added_value=1.0) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("size", [1, 3, 20, 200])
def test_of_graded_values_it_is_the_share_of_randomly_weighted_means_with_one_value_at_the_bound(
    size: int,
) -> None:
    random = np.random.default_rng(size)
    values = random.random(size) ** 2
    mean = values.mean() + 0.5 / np.sqrt(size + 3)
    weighted = random.dirichlet(np.ones(size + 1), 40_000) @ np.append(values, 1.0)
    assert p_at_least(values, mean, added_value=1.0) == pytest.approx((weighted >= mean).mean(), abs=0.012)


@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0]), min_size=1, max_size=40), st.integers(0, 39))
def test_a_higher_value_never_speaks_against_a_high_mean(values: list[float], place: int) -> None:
    higher = np.array(values)
    higher[place % len(values)] = 1.0
    before = p_at_least(np.array(values), 0.6, added_value=1.0)
    assert p_at_least(higher, 0.6, added_value=1.0) >= before - 1e-9


@pytest.mark.parametrize("values", [[0.0, 0.3], [0.0, 1.0], [0.4, 0.9, 1.0]])
def test_means_of_skewed_values_are_refused_as_rarely_as_promised(values: list[float]) -> None:
    random = np.random.default_rng(0)
    chances = np.array([0.9, *[0.1 / (len(values) - 1)] * (len(values) - 1)])
    truth = float(chances @ values)
    refused = [
        p_at_least(random.choice(values, 25, p=chances), truth, added_value=1.0) < 0.05 for _ in range(400)
    ]
    assert np.mean(refused) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_variance_from_elsewhere_moves_the_bound_away() -> None:
    bounds = [
        highest(flags(30, 60), added_value=1.0, alpha=0.025, extra_variance=extra_variance)
        for extra_variance in (0, 0.001, 0.01)
    ]
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[1] < bounds[2]
    assert p_at_least(flags(30, 60), bounds[1], added_value=1.0, extra_variance=0.001) == pytest.approx(
        0.025, rel=1e-4
    )
