"""Records as tables of numbers. No torch in here."""

from tuneoff.stats.frame import CELL, COUNTS, SCORES, SPEEDS, frame, measures, summary

__all__ = ["CELL", "COUNTS", "SCORES", "SPEEDS", "frame", "measures", "summary"]
