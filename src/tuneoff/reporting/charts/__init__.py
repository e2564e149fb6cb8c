"""The charts of a report: for each, a function for its data and one that draws it."""

from tuneoff.reporting.charts.ablations import ablation_data, draw_ablation
from tuneoff.reporting.charts.curves import MOST_RUNS, curve_data, draw_curves
from tuneoff.reporting.charts.parameters import draw_parameters, parameters_data
from tuneoff.reporting.charts.pictures import pictures
from tuneoff.reporting.charts.search import draw_search, search_data
from tuneoff.reporting.charts.sizes import draw_sizes, sizes_data

__all__ = [
    "MOST_RUNS",
    "ablation_data",
    "curve_data",
    "draw_ablation",
    "draw_curves",
    "draw_parameters",
    "draw_search",
    "draw_sizes",
    "parameters_data",
    "pictures",
    "search_data",
    "sizes_data",
]
