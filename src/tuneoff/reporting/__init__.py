"""Write a study's report (report.md, report.html, summary.csv, plots) from its records, without torch."""

from tuneoff.reporting.data import ReportData, as_raced, load_report_data
from tuneoff.reporting.latex import latex
from tuneoff.reporting.power import PlannedTask, power_statements
from tuneoff.reporting.races import race_lines, race_plan
from tuneoff.reporting.recommended import recommended_run
from tuneoff.reporting.result import Result
from tuneoff.reporting.write import write_report

__all__ = [
    "PlannedTask",
    "ReportData",
    "Result",
    "as_raced",
    "latex",
    "load_report_data",
    "power_statements",
    "race_lines",
    "race_plan",
    "recommended_run",
    "write_report",
]
