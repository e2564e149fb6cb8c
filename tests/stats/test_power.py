import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from tuneoff.stats.compare import p_no_difference
from tuneoff.stats.intervals import spread, tail
from tuneoff.stats.power import (
    CLASSIFICATION,
    MOST_SEEDS,
    POWER,
    SUMMARIZATION,
    Components,
    components,
    detectable,
    examples_needed,
    needed,
    power,
    seeds_needed,
)

TYPICAL = [CLASSIFICATION, SUMMARIZATION]


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_on_many_examples_where_only_seeds_vary_it_is_the_power_of_students_test(seeds: int) -> None:
    only = Components(seed=0.01, example=0, residual=0)
    expected = 0.01 * TTestPower().solve_power(nobs=seeds, alpha=0.05, power=POWER)
    assert detectable(seeds, 1_000_000, only) == pytest.approx(expected, rel=5e-3)


def test_where_only_examples_vary_it_is_the_power_of_a_normal_test() -> None:
    only = Components(seed=0, example=0.3, residual=0)
    expected = 0.3 / math.sqrt(500_000) * (stats.norm.isf(0.025) + stats.norm.isf(1 - POWER))
    assert detectable(3, 500_000, only) == pytest.approx(expected, rel=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("difference", [0.0, 0.05, 0.1])
def test_power_is_how_often_simulated_studies_find_the_difference(difference: float) -> None:
    parts, seeds, examples, studies = Components(seed=0.03, example=0.2, residual=0.2), 4, 60, 2000
    random = np.random.default_rng(0)
    values = (
        difference
        + parts.seed * random.standard_normal((studies, seeds, 1))
        + parts.example * random.standard_normal((studies, 1, examples))
        + parts.residual * random.standard_normal((studies, seeds, examples))
    )
    distances = np.abs(values.mean((-2, -1)))
    found = 2 * tail(distances, spread(values), seeds=seeds, examples=examples) < 0.05
    for place in np.flatnonzero(found):
        found[place] = p_no_difference(np.clip(values[place], -1, 1)) < 0.05
    planned = power(difference, seeds=seeds, examples=examples, components=parts)
    assert planned == pytest.approx(found.mean(), abs=0.03)


@pytest.mark.parametrize("typical", TYPICAL)
def test_the_detectable_difference_has_the_power_it_is_named_for(typical: Components) -> None:
    found = detectable(5, 800, typical)
    assert found is not None
    assert power(found, seeds=5, examples=800, components=typical) == pytest.approx(POWER, abs=1e-6)
    assert power(0.9 * found, seeds=5, examples=800, components=typical) < POWER


@pytest.mark.parametrize("typical", TYPICAL)
def test_more_seeds_and_more_examples_find_smaller_differences(typical: Components) -> None:
    by_seeds = [detectable(seeds, 500, typical) for seeds in (2, 3, 4, 5, 8, 20)]
    by_examples = [detectable(3, examples, typical) for examples in (20, 200, 2000, 20_000)]
    for found in (by_seeds, by_examples):
        assert found == sorted(found, key=lambda difference: -(difference or math.inf))
        assert len(set(found)) == len(found)


def test_a_stricter_level_finds_only_larger_differences() -> None:
    usual, strict = (detectable(5, 1821, CLASSIFICATION, alpha=alpha) for alpha in (0.05, 0.005))
    assert usual is not None
    assert strict is not None
    assert strict > usual


def test_one_seed_or_one_example_finds_nothing() -> None:
    assert detectable(1, 1821, CLASSIFICATION) is None
    assert detectable(5, 1, CLASSIFICATION) is None


def test_where_nothing_varies_every_difference_is_found() -> None:
    nothing = Components(seed=0, example=0, residual=0)
    assert detectable(3, 100, nothing) == pytest.approx(0)
    assert power(0.001, seeds=3, examples=100, components=nothing) == pytest.approx(1)
    assert power(0.0, seeds=3, examples=100, components=nothing) == pytest.approx(0)


def test_the_test_set_that_is_needed_is_the_smallest_that_is_enough() -> None:
    found = examples_needed(0.03, CLASSIFICATION, seeds=5)
    assert found is not None
    enough, short = (power(0.03, seeds=5, examples=n, components=CLASSIFICATION) for n in (found, found - 1))
    assert short < POWER <= enough


def test_the_seeds_that_are_needed_are_the_fewest_that_are_enough() -> None:
    found = seeds_needed(0.02, CLASSIFICATION, examples=1821)
    assert found is not None
    enough, short = (
        power(0.02, seeds=n, examples=1821, components=CLASSIFICATION) for n in (found, found - 1)
    )
    assert short < POWER <= enough


def test_no_test_set_makes_up_for_seeds_that_vary_more_than_the_difference() -> None:
    assert examples_needed(0.005, CLASSIFICATION, seeds=3) is None


def test_no_number_of_seeds_makes_up_for_a_test_set_that_is_too_small() -> None:
    assert seeds_needed(0.01, CLASSIFICATION, examples=100) is None
    assert (detectable(MOST_SEEDS, 100, CLASSIFICATION) or 0) > 0.01


@pytest.mark.slow
def test_options_are_a_test_set_for_each_number_of_seeds_and_seeds_for_the_present_test_set() -> None:
    *sized, present = needed(0.02, CLASSIFICATION, examples=1821)
    assert [option.seeds for option in sized] == [3, 5, 10]
    for option in sized:
        assert option.seeds is not None
        assert option.examples == examples_needed(0.02, CLASSIFICATION, seeds=option.seeds)
    assert present == (seeds_needed(0.02, CLASSIFICATION, examples=1821), 1821)


def test_components_of_a_table_without_residual_are_the_deviations_of_its_margins() -> None:
    seeds, examples = np.array([[0.1], [0.3], [0.2]]), np.array([[0.5, 0.1, 0.9, 0.7]])
    found = components(seeds + examples)
    assert found == pytest.approx((seeds.std(ddof=1), examples.std(ddof=1), 0), abs=1e-9)


def test_components_are_found_again_in_a_large_table() -> None:
    random = np.random.default_rng(0)
    seeds, examples = 0.05 * random.standard_normal((200, 1)), 0.2 * random.standard_normal((1, 2000))
    found = components(seeds + examples + 0.3 * random.standard_normal((200, 2000)))
    assert found == pytest.approx((0.05, 0.2, 0.3), rel=0.1)


def test_a_component_that_the_residual_explains_is_nothing() -> None:
    random = np.random.default_rng(1)
    noise = random.standard_normal((4, 50))
    centred = noise - noise.mean(0) - noise.mean(1, keepdims=True) + noise.mean()
    assert components(centred) == pytest.approx((0, 0, centred.std() * math.sqrt(200 / 147)))
