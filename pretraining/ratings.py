"""How positive a sentence is, by the rules of VADER (Hutto and Gilbert 2014)."""

import sys
from collections.abc import Callable
from pathlib import Path


def vader(sources: Path) -> Callable[[str], float]:
    """Return VADER's compound rating, from -1 to 1."""
    sys.path.insert(0, str(sources / "vader/vaderSentiment-3.3.2"))
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    rating = SentimentIntensityAnalyzer()
    return lambda text: rating.polarity_scores(text)["compound"]
