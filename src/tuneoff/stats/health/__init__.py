"""Is a run's number worth anything? Verdicts with their evidence; docs/health.md has the rules."""

from tuneoff.stats.health.diagnose import diagnose
from tuneoff.stats.health.finding import SEVERITY, Finding, RunEvidence, Severity, Verdict
from tuneoff.stats.health.metrics import diagnose_study

__all__ = ["SEVERITY", "Finding", "RunEvidence", "Severity", "Verdict", "diagnose", "diagnose_study"]
