"""What every plot shares: a quiet figure without a display, its axes and its PNG bytes.

Only matplotlib's objects are used, never pyplot, whose figures are global state.
"""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # matplotlib takes half a second to import; only drawing pays for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#1F2328", "#6B7280", "#E5E7EB"
DPI = 200  # sharp on a phone's screen and on paper


def bare_figure(width_in: float, height_in: float) -> Figure:
    """Make an empty white figure.

    Args:
        width_in: Width [inch].
        height_in: Height [inch].
    Returns:
        The figure; its layout keeps all text inside.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.14, h_pad=0.1)  # type: ignore[union-attr,call-arg]
    return figure


def titled_figure(width_in: float, height_in: float, title: str) -> tuple[Figure, Axes]:
    """Make a figure with one pair of axes under a title.

    Args:
        width_in: Width [inch].
        height_in: Height [inch].
        title: Wrapped to the width.
    Returns:
        The figure and its axes.
    """
    figure = bare_figure(width_in, height_in)
    axes = figure.subplots()
    wrapped = textwrap.fill(title, max(24, int(9 * width_in)))
    figure.suptitle(wrapped, x=0.02, ha="left", fontsize=13, fontweight="bold", color=INK)
    quiet(axes)
    return figure, axes


def quiet(axes: Axes) -> None:
    """Step back behind the data: no frame, faint ticks.

    Args:
        axes: Changed in place.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#B6BCC4")
    axes.tick_params(colors=INK, labelsize=10, color="#B6BCC4")
    axes.xaxis.label.set(color=INK, fontsize=10.5)
    axes.yaxis.label.set(color=INK, fontsize=10.5)
    axes.set_axisbelow(True)


def png(figure: Figure) -> bytes:
    """Write a figure as PNG.

    Args:
        figure: What to write.
    Returns:
        The file's bytes, the same for the same numbers.
    """
    buffer = io.BytesIO()
    # Without a version stamp the same numbers give the same bytes.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def percent_axis(
    axes: Axes, ylabel: str, values: np.ndarray, ylim: tuple[float, float] | None
) -> float | None:
    """Run the y axis from 0 to 100 % where it shows success.

    Args:
        axes: Changed in place.
        ylabel: What the axis shows; success if it says so.
        values: The data, shape (V,), as fractions or in percent.
        ylim: The ends that the caller wants; (0, 1) also means success.
    Returns:
        What 100 % is in units of the data (1 or 100); None where the axis was left alone.
    """
    from matplotlib.ticker import PercentFormatter

    if ylim not in (None, (0, 1)) or (ylim is None and "success" not in ylabel.lower()):
        return None
    finite = values[np.isfinite(values)]
    if ylim is None and finite.size and finite.min() < 0:
        return None  # a difference of successes
    whole = 100.0 if ylim is None and finite.size and finite.max() > 1.0 + 1e-9 else 1.0
    axes.set_ylim(-0.03 * whole, 1.03 * whole)  # a line at 0 or 100 % is not cut in half
    axes.set_yticks(np.linspace(0.0, whole, 6))
    axes.yaxis.set_major_formatter(PercentFormatter(whole, decimals=0))
    return whole


def whole_ticks(axes: Axes, x: np.ndarray) -> None:
    """Put the x ticks on whole numbers where all of x are whole.

    Args:
        axes: Changed in place.
        x: Places of the data, any shape.
    """
    from matplotlib.ticker import MaxNLocator

    if np.all(np.equal(np.mod(x, 1), 0)):
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def spread(heights: np.ndarray, gap: float) -> np.ndarray:
    """Move labels apart as little as a sweep up and a sweep down can.

    Args:
        heights: Wanted places as fractions of the axis, shape (L,).
        gap: Smallest distance between two neighbours, as a fraction of the axis.
    Returns:
        Places in the same order, shape (L,), at least `gap` apart.
    """
    order = np.argsort(heights, kind="stable")
    placed = np.asarray(heights, dtype=np.float64)[order]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    placed[-1] = min(placed[-1], max(1.0, gap * (len(placed) - 1)))
    for i in reversed(range(len(placed) - 1)):
        placed[i] = min(placed[i], placed[i + 1] - gap)
    result = np.empty_like(placed)
    result[order] = placed
    return result
