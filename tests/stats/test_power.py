import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from tuneoff.stats import Scores, decide
from tuneoff.stats.power import (
    CLASSIFICATION,
    MOST_SEEDS,
    POWER,
    SUMMARIZATION,
    Components,
    Plan,
    components,
    examples_needed,
    lead_shown,
    needed,
    seeds_needed,
)

TYPICAL = [CLASSIFICATION, SUMMARIZATION]
NONE = 1e-9
"""A margin of practically nothing."""


def _lead(plan: Plan, typical: Components, *, margin: float = 0.01) -> float:
    found = lead_shown(plan, typical, margin=margin)
    assert found is not None
    return found


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_of_two_methods_where_only_seeds_vary_it_is_that_of_students_test(seeds: int) -> None:
    only = Components(seed=0.01, example=0, residual=0)
    expected = 0.01 * TTestPower().solve_power(nobs=seeds, alpha=0.05, power=POWER, alternative="larger")
    assert _lead(Plan(seeds, 1_000_000, 2, 0), only, margin=NONE) == pytest.approx(expected, rel=0.1)


def test_of_two_methods_where_only_examples_vary_it_is_that_of_a_normal_test() -> None:
    only = Components(seed=0, example=0.3, residual=0)
    expected = 0.3 / math.sqrt(500_000) * (stats.norm.isf(0.05) + stats.norm.isf(1 - POWER))
    assert _lead(Plan(3, 500_000, 2, 0), only, margin=NONE) == pytest.approx(expected, rel=0.05)


def test_more_candidates_need_a_larger_lead_by_level_and_by_being_many() -> None:
    only = Components(seed=0, example=0.3, residual=0)
    # rivals differ from the leader by independent parts and by its own: simulated in another way
    random = np.random.default_rng(1)
    errors = random.standard_normal((200_000, 7)) + random.standard_normal((200_000, 1))
    largest = np.quantile(errors.max(1) / math.sqrt(2), POWER) + stats.norm.isf(0.05 / 7)
    expected = 0.3 / math.sqrt(500_000) * largest
    assert _lead(Plan(3, 500_000, 8, 0), only, margin=NONE) == pytest.approx(expected, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "trained"), [(3, 4), (5, 2)])
def test_it_is_the_lead_at_which_simulated_studies_are_decided(seeds: int, trained: int) -> None:
    parts, examples, studies = Components(seed=0.02, example=0.2, residual=0.2), 120, 60
    lead = _lead(Plan(seeds, examples, trained, 1), parts)
    random, half = np.random.default_rng(0), Components(*(part / math.sqrt(2) for part in parts))
    shown = 0
    for _ in range(studies):
        scores = {}
        for place in range(trained + 1):
            is_trained = place < trained
            count = seeds if is_trained else 1
            values = (
                0.5
                + lead * (place == 0)
                + half.seed * is_trained * random.standard_normal((count, 1))
                + half.example * random.standard_normal((1, examples))
                + half.residual * random.standard_normal((count, examples))
            )
            scores[f"{place}"] = Scores(tuple(range(count)), tuple(range(examples)), np.clip(values, 0, 1))
        shown += decide(scores, untrained=[f"{trained}"], margin=0.01).state == "shown"
    assert shown / studies == pytest.approx(POWER, abs=0.15)


@pytest.mark.parametrize("typical", TYPICAL)
def test_what_the_margin_allows_need_not_be_led_by(typical: Components) -> None:
    plan = Plan(3, 1000, 6, 2)
    assert _lead(plan, typical, margin=0.01) - _lead(plan, typical, margin=0.012) == pytest.approx(0.002)
    assert _lead(plan, typical, margin=0.5) == 0


@pytest.mark.parametrize("typical", TYPICAL)
def test_more_seeds_and_more_examples_need_smaller_leads(typical: Components) -> None:
    by_seeds = [_lead(Plan(seeds, 500, 6, 2), typical, margin=NONE) for seeds in (2, 3, 5, 20)]
    by_examples = [_lead(Plan(3, rows, 6, 2), typical, margin=NONE) for rows in (20, 200, 2000, 20_000)]
    for found in (by_seeds, by_examples):
        assert all(larger > smaller for larger, smaller in pairwise(found))


def test_one_seed_or_one_example_shows_nothing() -> None:
    assert lead_shown(Plan(1, 1821, 6, 2), CLASSIFICATION, margin=0.01) is None
    assert lead_shown(Plan(5, 1, 6, 2), CLASSIFICATION, margin=0.01) is None
    assert lead_shown(Plan(5, 100, 0, 3), CLASSIFICATION, margin=0.01) is None


def test_a_candidate_without_rivals_needs_no_lead() -> None:
    assert lead_shown(Plan(2, 10, 1, 0), CLASSIFICATION, margin=0.01) == 0


def test_where_nothing_varies_every_lead_is_shown_on_a_large_test_set() -> None:
    nothing = Components(seed=0, example=0, residual=0)
    assert _lead(Plan(3, 100, 3, 2), nothing, margin=NONE) == pytest.approx(0, abs=1e-6)


def test_the_test_set_that_is_needed_is_the_smallest_round_one_that_is_enough() -> None:
    plan = Plan(5, 10, 6, 2)
    found = examples_needed(plan, 0.03, CLASSIFICATION, margin=0.01)
    assert found is not None
    assert found == float(f"{found:.2g}")
    before = found - 10 ** (len(str(found)) - 2)
    enough, short = (_lead(plan._replace(examples=rows), CLASSIFICATION) for rows in (found, before))
    assert enough <= 0.03 < short


def test_the_seeds_that_are_needed_are_the_fewest_that_are_enough() -> None:
    plan = Plan(1, 5000, 6, 2)
    found = seeds_needed(plan, 0.02, CLASSIFICATION, margin=0.01)
    assert found is not None
    enough, short = (_lead(plan._replace(seeds=seeds), CLASSIFICATION) for seeds in (found, found - 1))
    assert enough <= 0.02 < short


def test_no_test_set_makes_up_for_seeds_that_vary_more_than_the_lead() -> None:
    assert examples_needed(Plan(3, 10, 6, 2), 0.005, CLASSIFICATION, margin=0.01) is None


def test_no_number_of_seeds_makes_up_for_a_test_set_that_is_too_small() -> None:
    plan = Plan(3, 100, 6, 2)
    assert seeds_needed(plan, 0.02, CLASSIFICATION, margin=0.01) is None
    assert _lead(plan._replace(seeds=MOST_SEEDS), CLASSIFICATION) > 0.02


@pytest.mark.slow
def test_options_are_a_test_set_for_each_number_of_seeds_and_seeds_for_the_present_test_set() -> None:
    plan = Plan(4, 3000, 6, 2)
    *sized, present = needed(plan, 0.03, CLASSIFICATION, margin=0.01)
    assert [option.seeds for option in sized] == [3, 5, 10]
    for option in sized:
        assert option.seeds is not None
        own = plan._replace(seeds=option.seeds)
        assert option.examples == examples_needed(own, 0.03, CLASSIFICATION, margin=0.01)
    assert present == (seeds_needed(plan, 0.03, CLASSIFICATION, margin=0.01), 3000)


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
