"""Write a study's report (report.md, report.html, summary.csv, plots) from its records, without torch."""

from tuneoff.reporting.data import ReportData
from tuneoff.reporting.power import PlannedTask, power_statements
from tuneoff.reporting.result import Result
from tuneoff.reporting.write import write_report

__all__ = ["PlannedTask", "ReportData", "Result", "power_statements", "write_report"]
