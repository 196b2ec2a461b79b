"""Plots as PNG bytes, drawn without a display and without pyplot's global state."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from metarl.errors import ConfigError, ShapeError
from metarl.report import canvas
from metarl.report.canvas import FAINT, GRID, INK
from metarl.report.colors import METHODS, method_colors, readable
from metarl.report.html import plain

if TYPE_CHECKING:  # matplotlib takes half a second to import; only drawing pays for it
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Curve:
    """A labelled curve with its interval.

    Args:
        label: The method's name, which also chooses its colour.
        x: Places along the budget, shape (U,).
        mean: Values, shape (U,).
        low: Lower ends of the interval, shape (U,); NaN where unknown.
        high: Upper ends of the interval, shape (U,); NaN where unknown.
    Raises:
        ShapeError: If the four arrays are not of one shape (U,), U > 0.
    """

    label: str
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __post_init__(self) -> None:
        shapes = [np.shape(array) for array in (self.x, self.mean, self.low, self.high)]
        if len(set(shapes)) > 1 or len(shapes[0]) != 1 or shapes[0] == (0,):
            raise ShapeError(
                f"curve {self.label!r}: x, mean, low, high have shapes {shapes}; "
                "expected one shape (U,), U > 0"
            )


def curves_png(
    curves: Sequence[Curve],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    ylim: tuple[float, float] | None = None,
) -> bytes:
    """Draw curves with translucent interval bands, each labelled at its right end.

    Args:
        curves: What to draw, at least one.
        title: Above the plot.
        xlabel: Name and unit of x.
        ylabel: Name and unit of y. If it says "success", the axis runs from 0 to 100 %.
        ylim: Ends of the y axis; (0, 1) also runs from 0 to 100 %.
    Returns:
        PNG bytes.
    Raises:
        ConfigError: If there are no curves.
    """
    if not curves:
        raise ConfigError("no curves to draw; expected at least one")
    figure, axes = canvas.titled_figure(7.2, 4.2, title)
    colors = method_colors([curve.label for curve in curves])
    for curve, color in zip(curves, colors, strict=True):
        _draw_curve(axes, curve, color)
    values = np.concatenate([np.asarray(c.mean, dtype=np.float64) for c in curves])
    if not canvas.percent_axis(axes, ylabel, values, ylim) and ylim is not None:
        axes.set_ylim(*ylim)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    canvas.whole_ticks(axes, np.concatenate([curve.x for curve in curves]))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    _label_ends(axes, curves, colors)
    return canvas.png(figure)


def bars_png(
    labels: Sequence[str],
    values: Sequence[float] | np.ndarray,
    lows: Sequence[float] | np.ndarray | None,
    highs: Sequence[float] | np.ndarray | None,
    *,
    title: str,
    ylabel: str,
) -> bytes:
    """Draw one bar a label, with its interval.

    Args:
        labels: Names, B of them; a method's name also chooses its colour.
        values: Heights, shape (B,); NaN draws no bar.
        lows: Lower ends of the intervals, shape (B,), on the axis of `values`; None for none.
        highs: Upper ends of the intervals, shape (B,), on the axis of `values`; None for none.
        title: Above the plot.
        ylabel: Name and unit of the values. If it says "success", the axis runs from 0 to 100 %.
    Returns:
        PNG bytes.
    Raises:
        ShapeError: If there are no bars, or the lengths differ.
    """
    heights = np.asarray(values, dtype=np.float64)
    low = heights if lows is None else np.asarray(lows, dtype=np.float64)
    high = heights if highs is None else np.asarray(highs, dtype=np.float64)
    if not labels or any(array.shape != (len(labels),) for array in (heights, low, high)):
        raise ShapeError(
            f"{len(labels)} labels, values {heights.shape}, lows {low.shape}, highs {high.shape}; "
            "expected one of each a bar, and at least one bar"
        )
    figure, axes = canvas.titled_figure(max(4.8, 1.0 + 1.05 * len(labels)), 4.2, title)
    places = np.arange(len(labels))
    axes.bar(places, heights, width=0.62, color=method_colors(labels), zorder=2)
    if lows is not None or highs is not None:
        errors = np.maximum([heights - low, high - heights], 0.0)
        axes.errorbar(places, heights, yerr=errors, fmt="none", ecolor=INK, capsize=4, zorder=3)
    percent = canvas.percent_axis(axes, ylabel, np.concatenate([heights, low, high]), None)
    _label_bars(axes, heights, low, high, percent)
    axes.margins(y=0.12)  # room for the numbers
    axes.set_xticks(places, [textwrap.fill(label, 12) for label in labels])
    axes.tick_params(axis="x", length=0)
    axes.axhline(0.0, color=FAINT, linewidth=0.8, zorder=3)
    axes.set_ylabel(ylabel)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    return canvas.png(figure)


def metrics_png(metrics: list[dict], keys: Sequence[str], *, title: str) -> bytes:
    """Draw a run's training curves, a panel a key.

    Args:
        metrics: Rows ``{"step": int, key: float | None, ...}``; a row without a key is skipped.
        keys: What to draw, at least one; a key that no row has gets an empty panel that says so.
        title: Above the panels.
    Returns:
        PNG bytes.
    Raises:
        ConfigError: If there are no keys.
    """
    if not keys:
        raise ConfigError("no metrics to draw; expected at least one key")
    columns = min(2, len(keys))
    rows = math.ceil(len(keys) / columns)
    figure = canvas.bare_figure(3.8 * columns if columns > 1 else 6.0, 0.5 + 2.1 * rows)
    figure.suptitle(title, x=0.02, ha="left", fontsize=13, fontweight="bold", color=INK)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, key in zip(panels, keys, strict=False):
        _draw_metric(panel, metrics, key)
    for panel in panels[len(keys) :]:
        panel.set_visible(False)
    return canvas.png(figure)


def _draw_curve(axes: Axes, curve: Curve, color: str) -> None:
    marker = "o" if len(curve.x) <= 16 else None
    axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)
    axes.plot(curve.x, curve.mean, color=color, linewidth=2.2, marker=marker, markersize=4.5)


def _label_ends(axes: Axes, curves: Sequence[Curve], colors: Sequence[str]) -> None:
    bottom, top = axes.get_ylim()
    ends = [_last_point(curve) for curve in curves]
    wanted = np.array([(y - bottom) / (top - bottom) for _, y in ends])
    heights = canvas.spread(np.clip(wanted, 0.0, 1.0), gap=0.058)
    for curve, color, end, height in zip(curves, colors, ends, heights, strict=True):
        axes.annotate(
            textwrap.shorten(curve.label, 36, placeholder="…"),
            xy=end,
            xytext=(1.04, height),
            textcoords="axes fraction",
            color=readable(color),
            fontsize=10.5,
            fontweight="bold",
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "relpos": (0, 0.5),
                "color": color,
                "linewidth": 0.8,
                "alpha": 0.6,
            },
        )


def _last_point(curve: Curve) -> tuple[float, float]:
    finite = np.flatnonzero(np.isfinite(curve.mean))
    if not finite.size:
        return float(curve.x[-1]), 0.0
    return float(curve.x[finite[-1]]), float(curve.mean[finite[-1]])


def _label_bars(
    axes: Axes, heights: np.ndarray, low: np.ndarray, high: np.ndarray, whole: float | None
) -> None:
    for place, height in enumerate(heights):
        if math.isnan(height):
            text, end, below = "no data", 0.0, False
        else:
            text = f"{100 * height / whole:.0f}%" if whole else f"{height:.3g}"
            below = height < 0
            end = np.fmin(height, low[place]) if below else np.fmax(height, high[place])
        axes.annotate(
            text,
            xy=(place, end),
            xytext=(0, -5 if below else 5),
            textcoords="offset points",
            ha="center",
            va="top" if below else "bottom",
            color=INK,
            fontsize=10,
            fontweight="bold",
            annotation_clip=False,
        )


def _draw_metric(panel: Axes, metrics: Sequence[Mapping[str, Any]], key: str) -> None:
    canvas.quiet(panel)
    panel.set_title(plain(key).replace("$", r"\$"), loc="left", fontsize=10.5, color=INK)
    points = [(row["step"], row[key]) for row in metrics if row.get(key) is not None]
    points = [point for point in points if math.isfinite(point[1])]
    if not points:
        panel.text(0.5, 0.5, "not recorded", ha="center", va="center", color=FAINT)
        panel.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
        return
    steps, values = np.array(points, dtype=np.float64).T
    marker = "o" if len(steps) <= 16 else None
    panel.plot(steps, values, color=METHODS["maml"], linewidth=1.6, marker=marker, markersize=3.5)
    canvas.percent_axis(panel, key, values, None)
    canvas.whole_ticks(panel, steps)
    panel.locator_params(axis="x", nbins=5)
    panel.grid(axis="y", color=GRID, linewidth=0.8)
    panel.set_xlabel("iteration")
