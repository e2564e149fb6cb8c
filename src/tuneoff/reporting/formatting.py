"""Format numbers and names as text: short, and never rounded to a misleading 0."""

import math

ABSENT = "\N{EN DASH}"
"""What is not measured or does not apply; a value that is zero is `0`."""
ABSENT_MEANS = f"{ABSENT}: not measured, or not applicable"
NONE = "none"
"""An empty list, such as that of failed checks."""


def decimal(value: float | None, *, places: int = 3) -> str:
    """Format a value with this many decimals, or with two digits where these would show 0."""
    if value is None or math.isnan(value):
        return ABSENT
    if 0 < abs(value) < 0.5 * 10**-places:
        return f"{value:.2g}"
    return f"{value + 0.0:.{places}f}"  # -0.0 + 0.0 has no sign


def span(low: float, high: float) -> str:
    """Format the ends of an interval: `0.812 to 0.846`."""
    return f"{decimal(low)} to {decimal(high)}"


def mean_and_spread(mean: float, std: float, *, places: int = 3) -> str:
    """Format as `0.842 ± 0.006`, or the mean alone where there is no standard deviation."""
    if math.isnan(mean) or math.isnan(std):
        return decimal(mean, places=places)
    return f"{decimal(mean, places=places)} ± {decimal(std, places=places)}"


def percent(value: float) -> str:
    """Format with three significant digits and no exponent; values below 100 never show as 100."""
    if math.isnan(value):
        return ABSENT
    if value in (0, 100):
        return f"{value + 0.0:.0f}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    while (text := f"{value:.{places}f}").startswith("100") and value < 100:
        places += 1
    return text


def signed(value: float, *, places: int = 3) -> str:
    """Format with a sign, `+0.012`; a value that rounds to 0 has none."""
    text = f"{value:+.{places}f}"
    return text if float(text) else text[1:]


def signed_span(low: float, high: float) -> str:
    """Format the ends of a difference's interval: `+0.012 to +0.034`."""
    return f"{signed(low)} to {signed(high)}"


def count(value: int | None) -> str:
    """Format a whole number with commas at the thousands."""
    return ABSENT if value is None else f"{value:,}"


def byte_size(value: float | None) -> str:
    """Format a number of bytes: `812 B`, `1.5 MB`, `2.31 GB`."""
    if value is None:
        return ABSENT
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError


def in_words(name: str) -> str:
    """Format an identifier, such as a run's state, as words: `out of memory`."""
    return name.replace("_", " ")


def duration(seconds: float) -> str:
    """Format seconds as `42.0 s`, `3 min 05 s` or `2 h 07 min`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def sentence_case(text: str) -> str:
    """Return the text with a capital at its beginning."""
    return text[:1].upper() + text[1:]
