"""Where one method overtakes another as training rows grow."""

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
    assert one.low is not None
    assert one.high is not None
    assert 400 < one.low < one.rows < one.high < 1600


def test_noisier_scores_widen_the_interval_until_it_is_open() -> None:
    (sharp,) = _found((0.6, 0.7, 0.75), (0.5, 0.65, 0.8), spread=0.05)
    (blurred,) = _found((0.6, 0.7, 0.75), (0.5, 0.65, 0.8), spread=1.5)
    assert sharp.low is not None
    assert sharp.high is not None
    assert blurred.high is None or blurred.high - (blurred.low or 0) > sharp.high - sharp.low


def test_methods_whose_order_stays_have_none() -> None:
    assert _found((0.5, 0.6, 0.7), (0.6, 0.7, 0.8)) == ()


def test_an_order_that_changes_twice_is_no_crossover() -> None:
    assert _found((0.5, 0.7, 0.7), (0.6, 0.6, 0.8)) == ()


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """200 studies with seed and example effects; the true crossover is at the middle size."""
    random, held = np.random.default_rng(3), 0
    for _ in range(200):
        cells = {}
        for gap, size in zip((0.06, 0.0, -0.06), SIZES, strict=True):
            by_seed, by_example = random.normal(0, 0.01, (5, 1)), random.normal(0, 0.2, (1, 200))
            gaps = gap + by_seed + by_example + random.normal(0, 0.2, (5, 200))
            cells["t", "lora", size] = Scores(tuple(range(5)), tuple(range(200)), gaps)
            cells["t", "full", size] = Scores(tuple(range(5)), tuple(range(200)), np.zeros((5, 200)))
        rows = {("t", size): size for size in SIZES}
        found = crossovers(cells, rows=rows, references=["full"], untrained=frozenset())
        held += any((one.low or 0) <= 400 <= (one.high or math.inf) for one in found)
    assert held >= 180
