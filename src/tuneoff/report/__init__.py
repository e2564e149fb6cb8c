"""Records as a report that can be checked: report.md, report.html, summary.csv plots. No torch in here."""

from tuneoff.report.data import ReportData
from tuneoff.report.power import power_statements
from tuneoff.report.write import Written, write_report

__all__ = ["ReportData", "Written", "power_statements", "write_report"]
