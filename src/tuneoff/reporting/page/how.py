"""How a study was done: its methods in words with their sources, the command, and the study file."""

from typing import NamedTuple

from tuneoff.errors import visible
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.methods import Description, described_methods
from tuneoff.spec import dump_study


class How(NamedTuple):
    """What it takes to do a study again."""

    methods: tuple[Description, ...]
    conditions: str
    command: str
    study: str
    """The study file with all defaults, as YAML."""


def how(data: ReportData) -> How:
    """Return how the study was done."""
    methods, conditions = described_methods(data)
    return How(methods, conditions, "tuneoff run study.yaml --out again", visible(dump_study(data.study)))
