"""Statistics of run records: tables, intervals, comparisons and health, without torch."""

from tuneoff.stats.cells import Cell, TaskSize
from tuneoff.stats.compare import Comparison, Contrast, compare, comparisons
from tuneoff.stats.crossover import Crossover
from tuneoff.stats.examples import Scores
from tuneoff.stats.frame import COUNTS, SCORES, SPEEDS, frame, measures, summary
from tuneoff.stats.health import LEVELS, Finding, Level
from tuneoff.stats.intervals import Interval, interval, rate_bound
from tuneoff.stats.judge import AgainstBaseline, Best, Judgement, judge

__all__ = [
    "COUNTS",
    "LEVELS",
    "SCORES",
    "SPEEDS",
    "AgainstBaseline",
    "Best",
    "Cell",
    "Comparison",
    "Contrast",
    "Crossover",
    "Finding",
    "Interval",
    "Judgement",
    "Level",
    "Scores",
    "TaskSize",
    "compare",
    "comparisons",
    "frame",
    "interval",
    "judge",
    "measures",
    "rate_bound",
    "summary",
]
