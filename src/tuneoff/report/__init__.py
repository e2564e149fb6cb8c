"""Write a study's report (report.md, report.html, summary.csv, plots) from its records, without torch."""

from tuneoff.report.data import ReportData
from tuneoff.report.power import power_statements
from tuneoff.report.write import WrittenReport, write_report

__all__ = ["ReportData", "WrittenReport", "power_statements", "write_report"]
