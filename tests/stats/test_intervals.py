import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import integrate, stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from tuneoff.stats.compare import compare
from tuneoff.stats.intervals import Spread, critical, interval, rate_bound, spread, tail

Floats = NDArray[np.float64]
TABLE = np.array([[0.2, 0.9, 0.4, 0.7], [0.3, 0.8, 0.1, 0.9], [0.6, 0.9, 0.5, 0.4]])
TABLES = arrays(
    np.float64,
    st.tuples(st.integers(2, 5), st.integers(2, 12)),
    elements=st.floats(0, 1).map(lambda value: round(value, 3)),
)


def variances(seeds: float, examples: float) -> Spread:
    return Spread(np.array(seeds), np.array(examples), np.array(0.0))


def random_table(seeds: int, examples: int, *, seed: int = 0) -> Floats:
    random = np.random.default_rng(seed)
    effects = 0.1 * random.standard_normal((seeds, 1)) + random.standard_normal((1, examples))
    return effects + 0.5 * random.standard_normal((seeds, examples))


def students(values: Floats) -> tuple[float, float]:
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return float(low), float(high)


def test_the_standard_error_is_made_of_the_mean_squares_of_a_two_way_analysis_of_variance() -> None:
    seeds, examples = TABLE.shape
    cells = itertools.product(range(seeds), range(examples))
    long = pd.DataFrame([(r, n, TABLE[r, n]) for r, n in cells], columns=["seed", "example", "score"])
    anova = anova_lm(ols("score ~ C(seed) + C(example)", data=long).fit())
    of_seed, of_example, residual = anova["sum_sq"] / anova["df"]
    found = interval(TABLE)
    assert found.std_error**2 == pytest.approx((of_seed + max(of_example - residual, 0)) / TABLE.size)
    assert spread(TABLE) == pytest.approx(
        (of_seed / TABLE.size, of_example / TABLE.size, residual / TABLE.size)
    )


def test_the_seeds_alone_give_the_standard_error_of_their_scores() -> None:
    found = interval(TABLE)
    assert found.seed_error == pytest.approx(stats.sem(TABLE.mean(1)))
    assert (found.df, found.seeds, found.examples) == (2, 3, 4)


def test_the_test_set_alone_gives_the_standard_error_of_the_seed_averaged_examples() -> None:
    assert interval(TABLE).test_error == pytest.approx(stats.sem(TABLE.mean(0)))


def test_one_seed_gives_students_interval_over_the_examples() -> None:
    values = random_table(1, 30)
    found = interval(values)
    assert (found.low, found.high) == pytest.approx(students(values[0]))
    assert (found.seeds, found.seed_error, found.df) == (1, None, 29)
    assert found.test_error == pytest.approx(found.std_error)


def test_seeds_that_give_one_model_count_as_one() -> None:
    values = random_table(1, 30)
    found = interval(np.repeat(values, 4, axis=0))
    assert (found.low, found.high) == pytest.approx(students(values[0]))
    assert found.seed_error == pytest.approx(0)


def test_where_seeds_do_not_matter_only_the_test_set_does() -> None:
    values = random_table(4, 30)
    found = interval(values, seeded=False)
    assert (found.low, found.high) == pytest.approx(students(values.mean(0)))
    assert found.seed_error is None


def test_where_examples_are_equally_hard_it_is_students_interval_over_the_seeds() -> None:
    values = random_table(4, 30)
    level = values - values.mean(0)  # examples of equal mean
    level += np.array([[0.1], [0.2], [0.3], [0.5]])
    found = interval(level)
    assert (found.low, found.high) == pytest.approx(students(level.mean(1)))


@pytest.mark.parametrize(("seeds", "examples"), [(2, 2), (2, 500), (3, 200), (5, 1821), (10, 30)])
@pytest.mark.parametrize(
    "share", [pytest.param(0.05, marks=pytest.mark.slow), 0.5, pytest.param(0.95, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("distance", [0.3, 2.0, 7.0])
def test_the_error_is_distributed_as_the_sum_of_two_scaled_t_variables(
    seeds: int, examples: int, share: float, distance: float
) -> None:
    def outer(first: float) -> float:
        rest = (distance - math.sqrt(share) * first) / math.sqrt(1 - share)
        return float(stats.t.pdf(first, seeds - 1) * stats.t.sf(rest, examples - 1))

    middle = distance / math.sqrt(share)
    pieces = [(-np.inf, 0), (0, middle), (middle, 3 * middle), (3 * middle, np.inf)]
    expected = sum(integrate.quad(outer, *piece, limit=500)[0] for piece in pieces)
    parts = variances(share, 1 - share)
    assert tail(distance, parts, seeds=seeds, examples=examples) == pytest.approx(expected, rel=2e-6)
    assert tail(-distance, parts, seeds=seeds, examples=examples) == pytest.approx(1 - expected, rel=2e-6)


def test_the_critical_distance_goes_from_students_over_examples_to_students_over_seeds() -> None:
    found = critical([0, 0.3, 1], seeds=3, examples=200)
    assert found[[0, 2]] == pytest.approx([stats.t.isf(0.025, 199), stats.t.isf(0.025, 2)])
    assert tail(found[1], variances(0.3, 0.7), seeds=3, examples=200) == pytest.approx(0.025)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_true_mean_is_never_rejected_more_often_than_promised_whatever_the_seeds_share(seeds: int) -> None:
    random = np.random.default_rng(seeds)
    studies = 10_000
    for share in (0, 0.3, 0.8, 0.95, 1):
        estimates = share * random.chisquare(seeds - 1, studies) / (seeds - 1)
        parts = Spread(estimates, np.full(studies, 1.0 - share), np.zeros(studies))
        p = 2 * tail(np.abs(random.standard_normal(studies)), parts, seeds=seeds, examples=2000)
        for alpha in (0.05, 0.01, 0.001):
            assert (p < alpha).mean() < alpha + 4 * math.sqrt(alpha / studies)


def test_seeds_that_happen_to_score_alike_do_not_make_a_mean_certain() -> None:
    wrong = np.eye(3, 30)  # each seed is wrong once, on another example
    found = interval(1 - wrong)
    assert found.seed_error is not None
    assert found.seed_error > 0
    assert found.seed_error**2 == pytest.approx(spread(1 - wrong).residual * stats.chi2.ppf(0.05, 2) / 2)


@pytest.mark.slow
@given(TABLES, st.randoms(use_true_random=False))
def test_the_order_of_seeds_and_examples_does_not_matter(values: Floats, random: np.random.Generator) -> None:
    seeds, examples = list(range(values.shape[0])), list(range(values.shape[1]))
    random.shuffle(seeds)
    random.shuffle(examples)
    moved, found = interval(values[np.ix_(seeds, examples)]), interval(values)
    assert (moved.low, moved.high) == pytest.approx((found.low, found.high), abs=1e-6, rel=1e-6)


# its residuals are 0 at one scale and 1e-17 at the other: the closed form meets the integral
@pytest.mark.slow
@example(np.array([[0.125, 0.781], [0.125, 0.781]]), 0.0, 3.0)
@given(TABLES, st.floats(-2, 2), st.floats(0.5, 3))
def test_another_scale_of_scores_moves_the_interval_with_it(
    values: Floats, shift: float, scale: float
) -> None:
    moved = interval(shift + scale * values, added_values=(shift, shift + scale))
    found = interval(values, added_values=(0, 1))
    assert (moved.low, moved.high) == pytest.approx(
        (shift + scale * found.low, shift + scale * found.high), abs=1e-6, rel=1e-6
    )


@pytest.mark.slow
@given(TABLES)
def test_the_interval_holds_the_mean_and_lies_between_the_bounds(values: Floats) -> None:
    found = interval(values)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.low < found.high
    assert found.seed_error is not None
    assert found.std_error >= found.seed_error


@pytest.mark.slow
@given(TABLES)
def test_without_bounds_the_interval_is_as_wide_as_the_tail_says(values: Floats) -> None:
    found = interval(10 + values)
    if found.std_error > 1e-9:
        seeds, examples = values.shape
        beyond = tail(found.high - found.mean, spread(10 + values), seeds=seeds, examples=examples)
        assert beyond == pytest.approx(0.025, rel=1e-6)


def test_scores_without_bounds_that_never_vary_give_an_interval_of_one_point() -> None:
    found = interval(np.full((3, 4), 5.1))
    assert (found.low, found.mean, found.high, found.std_error) == pytest.approx((5.1, 5.1, 5.1, 0))
    nothing = variances(0, 0)
    assert [float(tail(distance, nothing, seeds=3, examples=4)) for distance in (0.1, 0, -0.1)] == (
        pytest.approx([0, 0.5, 1])
    )


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("examples", [20, 300])
def test_if_all_answers_are_right_the_interval_is_the_exact_binomial_one(seeds: int, examples: int) -> None:
    found = interval(np.ones((seeds, examples)))
    exact = stats.binomtest(examples, examples).proportion_ci(0.95)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-5)


@pytest.mark.parametrize("wrong", [1, 3, 40])
def test_one_models_right_and_wrong_answers_have_the_exact_binomial_interval(wrong: int) -> None:
    found = interval((np.arange(60) >= wrong).astype(float)[None])
    exact = stats.binomtest(60 - wrong, 60).proportion_ci(0.95)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "mean", "examples"), [(1, 0.95, 20), (3, 0.98, 20), (5, 0.98, 60)])
def test_intervals_of_accuracies_near_one_hold_the_truth(seeds: int, mean: float, examples: int) -> None:
    """Without the exact test .64, .5 and .7 to .8 of them did."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(150):
        shared = np.sqrt(0.85) * random.standard_normal(examples)
        noise = np.sqrt(0.15) * random.standard_normal((seeds, examples))
        found = interval((shared + noise < stats.norm.ppf(mean)).astype(float))
        held += found.low <= mean <= found.high
    assert held / 150 > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 150)


@pytest.mark.parametrize(("count", "of", "rate"), [(0, 5, 0.4507), (0, 3, 0.6316), (1, 5, 0.6574), (5, 5, 1)])
def test_the_bound_of_a_rate_is_the_exact_binomial_one(count: int, of: int, rate: float) -> None:
    assert rate_bound(count, of) == pytest.approx(rate, abs=1e-4)


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_example_says_nothing_of_others(seeds: int) -> None:
    values = 10 + random_table(seeds, 1)
    found = interval(values)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert tail(1.0, spread(values), seeds=seeds, examples=1) == pytest.approx(0.5)


def test_many_tables_at_once_have_the_spread_of_each() -> None:
    tables = np.stack([random_table(3, 20, seed=seed) for seed in range(6)]).reshape(2, 3, 3, 20)
    together = spread(tables)
    for place in itertools.product(range(2), range(3)):
        assert [part[place] for part in together] == pytest.approx(list(spread(tables[place])))


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_example_has_no_error_by_test_set_and_differences_stay_between_minus_one_and_one(
    seeds: int,
) -> None:
    assert interval(np.full((seeds, 1), 1.0)).test_error is None
    gap = compare(np.full((seeds, 1), 1.0), np.full((seeds, 1), 0.5)).difference
    assert -1 <= gap.low <= 0.5 <= gap.high <= 1
