"""Titles of a report's sections, in their order."""

from enum import StrEnum


class Title(StrEnum):
    """The title of a section; statements link to sections by it."""

    DECISION = "Decision"
    CONCLUSIONS = "Conclusions"
    RESULTS = "Results"
    CHARTS = "Charts of the results"
    INTERVALS = "Intervals"
    FORGETTING = "Forgetting"
    COMPARISONS = "Comparisons with references"
    CROSSOVERS = "Crossovers"
    CUTS = "How far LoRA can be cut"
    HEALTH = "Run health"
    FAILURES = "Incomplete runs"
    SEARCH = "Search"
    RANKS = "Chosen ranks"
    CURVES = "Learning curves"
    EXAMPLES = "Examples"
    RUNS = "Runs"
    HOW = "How it was done"
    CONFIGURATION = "Configuration"
    DATA = "Data"
    ENVIRONMENT = "Versions and machine"
    SEEDS = "Seeds"
    TIME = "Wall time"


def anchor(title: str) -> str:
    """Return the name by which a section is linked to inside the report."""
    return title.lower().replace(" ", "-")
