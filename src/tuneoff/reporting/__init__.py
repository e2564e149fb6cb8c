"""Write a study's report (report.md, report.html, summary.csv, plots) from its records, without torch."""

from tuneoff.reporting.data import ReportData, load_report_data
from tuneoff.reporting.latex import latex
from tuneoff.reporting.power import power_statements
from tuneoff.reporting.result import Result
from tuneoff.reporting.write import write_report

__all__ = ["ReportData", "Result", "latex", "load_report_data", "power_statements", "write_report"]
