import math

import pytest

from tuneoff.reporting.formatting import ABSENT, decimal, duration, mean_and_spread, percent


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (100.0, "100"), (0.0133054, "0.0133"), (0.00000123, "0.00000123"), (13.0846, "13.1")],
)
def test_percent_has_three_digits_and_no_exponent(value: float, shown: str) -> None:
    assert percent(value) == shown


def test_almost_all_is_not_shown_as_all() -> None:
    assert percent(99.97) == "99.97"


def test_small_numbers_are_not_shown_as_zero() -> None:
    assert decimal(0.0002) == "0.0002"
    assert decimal(0.0) == decimal(-0.0) == "0.000"
    assert percent(-0.0) == "0"
    assert decimal(math.nan) == decimal(None) == ABSENT


def test_a_mean_without_spread_stands_alone() -> None:
    assert mean_and_spread(0.8421, 0.0061) == "0.842 ± 0.006"
    assert mean_and_spread(0.8421, math.nan) == "0.842"
    assert mean_and_spread(math.nan, math.nan) == ABSENT


@pytest.mark.parametrize(
    ("seconds", "shown"), [(42.0, "42.0 s"), (185.0, "3 min 05 s"), (7620.0, "2 h 07 min")]
)
def test_durations_use_the_unit_that_fits(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
