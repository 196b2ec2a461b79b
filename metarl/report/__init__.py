"""Plots and the self-contained HTML report; matplotlib is imported when the first plot is drawn."""

from metarl.report.heatmap import heatmap_png
from metarl.report.html import Report
from metarl.report.plots import Curve, bars_png, curves_png, metrics_png
from metarl.report.run import run_report

__all__ = [
    "Curve",
    "Report",
    "bars_png",
    "curves_png",
    "heatmap_png",
    "metrics_png",
    "run_report",
]
