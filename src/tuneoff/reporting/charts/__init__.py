"""The charts of a report: for each, a function for its data and one that draws it."""

from tuneoff.reporting.charts.ablations import ablation_data, draw_ablation
from tuneoff.reporting.charts.candidates import candidates_data, draw_candidates
from tuneoff.reporting.charts.curves import (
    MOST_SEEDS,
    curve_data,
    draw_curve_panel,
    draw_curves,
    panel_titles,
    run_curve,
    run_label,
)
from tuneoff.reporting.charts.cuts import cuts_data, draw_cuts
from tuneoff.reporting.charts.forest import draw_forest, forest_data
from tuneoff.reporting.charts.frontier import draw_frontier, frontier_data
from tuneoff.reporting.charts.pictures import Picture, chart_library, pictures
from tuneoff.reporting.charts.ranks import draw_ranks, ranks_data
from tuneoff.reporting.charts.search import draw_search, search_data
from tuneoff.reporting.charts.sizes import draw_sizes, sizes_data
from tuneoff.reporting.charts.style import ACCENT

__all__ = [
    "ACCENT",
    "MOST_SEEDS",
    "Picture",
    "ablation_data",
    "candidates_data",
    "chart_library",
    "curve_data",
    "cuts_data",
    "draw_ablation",
    "draw_candidates",
    "draw_curve_panel",
    "draw_curves",
    "draw_cuts",
    "draw_forest",
    "draw_frontier",
    "draw_ranks",
    "draw_search",
    "draw_sizes",
    "forest_data",
    "frontier_data",
    "panel_titles",
    "pictures",
    "ranks_data",
    "run_curve",
    "run_label",
    "search_data",
    "sizes_data",
]
