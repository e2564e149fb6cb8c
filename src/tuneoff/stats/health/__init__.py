"""Health checks of runs: findings with their evidence; docs/health.md has the rules."""

from tuneoff.stats.health.diagnose import diagnose
from tuneoff.stats.health.finding import LEVELS, Check, Finding, Level, RunEvidence
from tuneoff.stats.health.metrics import diagnose_study

__all__ = ["LEVELS", "Check", "Finding", "Level", "RunEvidence", "diagnose", "diagnose_study"]
