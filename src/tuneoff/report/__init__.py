"""Records as a report that can be checked: report.md, report.html, summary.csv plots. No torch in here."""

from tuneoff.report.write import write_report

__all__ = ["write_report"]
