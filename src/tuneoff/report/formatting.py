"""Numbers as they stand in tables: short, never rounded to a wrong nothing."""

import math

ABSENT = "-"


def decimal(value: float | None, *, places: int = 3) -> str:
    """The value with so many decimals, or with two digits where these would show 0."""
    if value is None or math.isnan(value):
        return ABSENT
    if 0 < abs(value) < 0.5 * 10**-places:
        return f"{value:.2g}"
    return f"{value + 0.0:.{places}f}"  # -0.0 + 0.0 has no sign


def mean_and_spread(mean: float, std: float, *, places: int = 3) -> str:
    """`0.842 ± 0.006`, or the mean alone where there is no standard deviation."""
    if math.isnan(mean) or math.isnan(std):
        return decimal(mean, places=places)
    return f"{decimal(mean, places=places)} ± {decimal(std, places=places)}"


def percent(value: float) -> str:
    """Three significant digits without exponent; 100 only for all of it."""
    if math.isnan(value):
        return ABSENT
    if value in (0, 100):
        return f"{value + 0.0:.0f}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    while (text := f"{value:.{places}f}").startswith("100") and value < 100:
        places += 1
    return text


def signed(value: float, *, places: int = 3) -> str:
    """The value with its sign, `+0.012`; a value that rounds to nothing has none."""
    text = f"{value:+.{places}f}"
    return text if float(text) else text[1:]


def count(value: int | None) -> str:
    """A whole number with commas at the thousands."""
    return ABSENT if value is None else f"{value:,}"


def duration(seconds: float) -> str:
    """`42.0 s`, `3 min 05 s` or `2 h 07 min`."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
