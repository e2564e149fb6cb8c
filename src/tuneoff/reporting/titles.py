"""Titles of a report's sections, in their order."""

from enum import StrEnum


class Title(StrEnum):
    """The title of a section; statements link to sections by it."""

    DECISION = "Decision"
    CONCLUSIONS = "Conclusions"
    RESULTS = "Results"
    CHARTS = "Charts of the results"
    INTERVALS = "Intervals"
    COMPARISONS = "Comparisons with references"
    CROSSOVERS = "Crossovers"
    HEALTH = "Run health"
    FAILURES = "Incomplete runs"
    SEARCH = "Search"
    CURVES = "Learning curves"
    RUNS = "Runs"
    CONFIGURATION = "Configuration"
    DATA = "Data"
    ENVIRONMENT = "Versions and machine"
    SEEDS = "Seeds"
    TIME = "Wall time"
