"""Records as tables of numbers, and what may be said of them. No torch in here."""

from tuneoff.stats.compare import Comparison, Contrast, compare, comparisons
from tuneoff.stats.crossover import Crossover
from tuneoff.stats.examples import Scores
from tuneoff.stats.frame import CELL, COUNTS, SCORES, SPEEDS, frame, measures, summary
from tuneoff.stats.health import LEVELS, Finding
from tuneoff.stats.intervals import Interval, interval, rate_bound
from tuneoff.stats.judge import AgainstBaseline, Best, Judgement, judge

__all__ = [
    "CELL",
    "COUNTS",
    "LEVELS",
    "SCORES",
    "SPEEDS",
    "AgainstBaseline",
    "Best",
    "Comparison",
    "Contrast",
    "Crossover",
    "Finding",
    "Interval",
    "Judgement",
    "Scores",
    "compare",
    "comparisons",
    "frame",
    "interval",
    "judge",
    "measures",
    "rate_bound",
    "summary",
]
