"""Write a study's report (report.md, report.html, summary.csv, plots) from its records, without torch."""

from tuneoff.report.data import ReportData
from tuneoff.report.power import power_statements
from tuneoff.report.result import Result
from tuneoff.report.write import write_report

__all__ = ["ReportData", "Result", "power_statements", "write_report"]
