"""Where one method overtakes another as training rows grow."""

import itertools
import math

import numpy as np
import pytest

from tuneoff.stats.crossover import crossovers
from tuneoff.stats.examples import Scores

SIZES = (100, 400, 1600)


def _scores(mean: float, *, seed: int, seeds: int = 5, examples: int = 400, spread: float = 0.2) -> Scores:
    noise = np.random.default_rng(seed).normal(0, spread, (seeds, examples))
    noise -= noise.mean()
    return Scores(tuple(range(seeds)), tuple(range(examples)), mean + noise)


def _found(method: tuple[float, ...], reference: tuple[float, ...], **options: float):
    cells = {}
    for place, size in enumerate(SIZES):
        cells["t", "lora", size] = _scores(method[place], seed=place, **options)
        cells["t", "full", size] = _scores(reference[place], seed=10 + place, **options)
    rows = {("t", size): size for size in SIZES}
    return crossovers(cells, rows=rows, references=["full"], untrained=frozenset())


def test_the_crossover_is_where_straight_lines_over_log_rows_meet() -> None:
    (one,) = _found((0.60, 0.70, 0.75), (0.50, 0.65, 0.80))
    # ahead by .05 at 400 rows, behind by .05 at 1600: half way between their logarithms
    assert one.rows == pytest.approx(math.sqrt(400 * 1600))
    assert (one.task, one.method, one.reference, one.ahead) == ("t", "lora", "full", "full")
    assert 400 < one.low < one.rows < one.high < 1600


@pytest.mark.slow
def test_noisier_scores_widen_the_interval_until_nothing_is_stated() -> None:
    (sharp,) = _found((0.6, 0.7, 0.75), (0.5, 0.65, 0.8), spread=0.05)
    (blurred,) = _found((0.6, 0.7, 0.75), (0.5, 0.65, 0.8), spread=0.2)
    assert blurred.high - blurred.low > sharp.high - sharp.low
    assert _found((0.6, 0.7, 0.75), (0.5, 0.65, 0.8), spread=1.5) == ()


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_state_no_crossover_that_they_cannot_show(seeds: int) -> None:
    random = np.random.default_rng(0)
    of_seeds = random.normal(0, 0.05, (6, seeds, 1))
    cells = {}
    for place, (size, mean) in enumerate(zip(SIZES, (0.6, 0.5, 0.4), strict=True)):
        answers = np.clip(mean + of_seeds[place] + random.normal(0, 0.1, (seeds, 300)), 0, 1)
        cells["t", "lora", size] = Scores(tuple(range(seeds)), tuple(range(300)), answers)
        cells["t", "full", size] = Scores(tuple(range(seeds)), tuple(range(300)), np.full((seeds, 300), 0.5))
    rows = {("t", size): size for size in SIZES}
    assert crossovers(cells, rows=rows, references=["full"], untrained=frozenset()) == ()


@pytest.mark.slow
@pytest.mark.parametrize("lead", [0.0, 0.01])
def test_methods_that_never_cross_are_rarely_said_to(lead: float) -> None:
    """Where only means were looked at, nine of ten such studies stated a crossover."""
    random, stated = np.random.default_rng(4), 0
    rows = {("t", size): size for size in SIZES}
    for _ in range(25):
        cells = {}
        for method, size in itertools.product(range(5), SIZES):
            effects = random.normal(0, 0.01, (3, 1)) + random.normal(0, 0.1, (1, 100))
            answers = np.clip(0.5 + lead * (method == 0) + effects + random.normal(0, 0.1, (3, 100)), 0, 1)
            cells["t", str(method), size] = Scores((0, 1, 2), tuple(range(100)), answers)
        stated += bool(crossovers(cells, rows=rows, references=["0"], untrained=frozenset()))
    assert stated <= 4


def test_a_full_size_with_as_many_rows_as_another_is_no_error() -> None:
    random = np.random.default_rng(5)
    rows = {("t", 100): 100, ("t", 400): 400, ("t", "full"): 400}
    cells = {
        ("t", method, size): Scores((0, 1), tuple(range(50)), random.random((2, 50)))
        for method, (_, size) in itertools.product(("lora", "full"), rows)
    }
    assert len(crossovers(cells, rows=rows, references=["full"], untrained=frozenset())) <= 1


def test_methods_whose_order_stays_have_none() -> None:
    assert _found((0.5, 0.6, 0.7), (0.6, 0.7, 0.8)) == ()


def test_an_order_that_changes_twice_is_no_crossover() -> None:
    assert _found((0.5, 0.7, 0.7), (0.6, 0.6, 0.8)) == ()


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(seeds: int) -> None:
    """Studies with seed and example effects; the true crossover is at the middle size."""
    random, held, stated = np.random.default_rng(3), 0, 0
    rows = {("t", size): size for size in SIZES}
    for _ in range(20):
        cells = {}
        for gap, size in zip((0.2, 0.0, -0.2), SIZES, strict=True):
            effects = random.normal(0, 0.02, (seeds, 1)) + random.normal(0, 0.2, (1, 100))
            gaps = np.clip(gap + effects + random.normal(0, 0.2, (seeds, 100)), -1, 1)
            cells["t", "lora", size] = Scores(tuple(range(seeds)), tuple(range(100)), gaps)
            cells["t", "full", size] = Scores(tuple(range(seeds)), tuple(range(100)), 0 * gaps)
        for one in crossovers(cells, rows=rows, references=["full"], untrained=frozenset()):
            stated += 1
            held += one.low <= 400 <= one.high
    assert stated >= 10
    assert held >= 0.9 * stated
