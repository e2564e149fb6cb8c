"""Statistics of run records: tables, intervals, comparisons and health, without torch."""

from tuneoff.stats.cells import UNTRAINED_SIZE, Cell, TaskSize
from tuneoff.stats.compare import Comparison, Contrast, compare, comparisons
from tuneoff.stats.crossover import Crossover
from tuneoff.stats.cuts import Cut
from tuneoff.stats.decide import Candidate, Decision, Look, Settling, decide
from tuneoff.stats.examples import Scores
from tuneoff.stats.forgetting import ForgetsMore, Forgotten
from tuneoff.stats.frame import COUNTS, SCORES, SPEEDS, frame, measures, summary
from tuneoff.stats.health import LEVELS, Finding, Level
from tuneoff.stats.intervals import Interval, interval, rate_bound
from tuneoff.stats.judge import AgainstBaseline, Best, Evidence, Judgement, judge, race_courses, read_evidence
from tuneoff.stats.prices import FREE_UNTRAINED, PRICE_OF, Prices, mean_prices
from tuneoff.stats.racing import (
    Course,
    Dropped,
    End,
    Entrants,
    Reason,
    RunResult,
    needed_runs,
    race,
    shared_looks,
)

__all__ = [
    "COUNTS",
    "FREE_UNTRAINED",
    "LEVELS",
    "PRICE_OF",
    "SCORES",
    "SPEEDS",
    "UNTRAINED_SIZE",
    "AgainstBaseline",
    "Best",
    "Candidate",
    "Cell",
    "Comparison",
    "Contrast",
    "Course",
    "Crossover",
    "Cut",
    "Decision",
    "Dropped",
    "End",
    "Entrants",
    "Evidence",
    "Finding",
    "ForgetsMore",
    "Forgotten",
    "Interval",
    "Judgement",
    "Level",
    "Look",
    "Prices",
    "Reason",
    "RunResult",
    "Scores",
    "Settling",
    "TaskSize",
    "compare",
    "comparisons",
    "decide",
    "frame",
    "interval",
    "judge",
    "mean_prices",
    "measures",
    "needed_runs",
    "race",
    "race_courses",
    "rate_bound",
    "read_evidence",
    "shared_looks",
    "summary",
]
