"""A matrix as a picture, its numbers and their intervals written into the cells."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metarl.errors import ShapeError
from metarl.report import canvas
from metarl.report.canvas import INK
from metarl.report.colors import ink_on

if TYPE_CHECKING:  # matplotlib takes half a second to import; only drawing pays for it
    from matplotlib.axes import Axes

GOOD, BAD = "#0B6E4F", "#8B0000"  # frames of cells whose interval is wholly above or below zero
_ABOVE, _BELOW = "▲", "▼"


def heatmap_png(
    values: np.ndarray,
    row_labels: Sequence[str],
    col_labels: Sequence[str],
    *,
    title: str,
    diverging: bool,
    intervals: np.ndarray | None = None,
    marks: np.ndarray | None = None,
    reach: float | None = None,
    apart: int = 0,
    row_name: str = "",
    col_name: str = "",
) -> bytes:
    """Draw a matrix with its numbers written into the cells.

    Args:
        values: The matrix, shape (R, C); NaN leaves a cell empty.
        row_labels: R names.
        col_labels: C names.
        title: Above the matrix.
        diverging: Whether zero is the neutral middle: blue above it, red below.
        intervals: Lower and upper ends, shape (R, C, 2), written beneath the numbers; NaN where
            unknown; None: none at all.
        marks: Shape (R, C): cells of +1 are framed as good, of -1 as bad, others are not; None:
            none is.
        reach: What the strongest colour stands for, > 0; None: the largest value, in size.
        apart: How many of the last rows stand apart, beneath a line.
        row_name: What the rows are.
        col_name: What the columns are.
    Returns:
        PNG bytes.
    Raises:
        ShapeError: If `values` is empty or does not fit the labels.
    """
    matrix = np.ma.masked_invalid(np.asarray(values, dtype=np.float64))
    if matrix.shape != (len(row_labels), len(col_labels)) or matrix.size == 0:
        raise ShapeError(
            f"values have shape {matrix.shape} with {len(row_labels)} row and {len(col_labels)} "
            "column labels; expected a non-empty (rows, columns)"
        )
    if intervals is not None and np.shape(intervals) != (*matrix.shape, 2):
        raise ShapeError(f"intervals have shape {np.shape(intervals)}; expected {matrix.shape} + 2")
    if marks is not None and np.shape(marks) != matrix.shape:
        raise ShapeError(f"marks have shape {np.shape(marks)}; expected {matrix.shape}")
    rows, columns = matrix.shape
    tall = 0.55 if intervals is None else 0.68
    wide = 0.85 if intervals is None else 1.08
    figure, axes = canvas.titled_figure(2.6 + wide * columns, 1.7 + tall * rows, title)
    largest = reach or (float(np.abs(matrix).max()) if matrix.count() else 0.0) or 1.0
    scale: dict[str, Any] = {"cmap": "Blues"}
    if diverging:
        scale = {"cmap": "RdBu", "vmin": -largest, "vmax": largest}
    image = axes.imshow(matrix, aspect="auto", **scale)
    _label_cells(axes, row_labels, col_labels)
    axes.set(xlabel=col_name, ylabel=row_name)
    whole = bool(np.all(matrix.compressed() == np.rint(matrix.compressed())))  # counts
    spec = "+.2f" if diverging else ".0f" if whole else ".2f"
    _write_cells(axes, matrix, image, spec, intervals, marks)
    if apart:
        axes.axhline(rows - apart - 0.5, color=INK, linewidth=1.6)
    return canvas.png(figure)


def _label_cells(axes: Axes, row_labels: Sequence[str], col_labels: Sequence[str]) -> None:
    axes.set_xticks(range(len(col_labels)), [textwrap.fill(label, 13) for label in col_labels])
    axes.set_yticks(range(len(row_labels)), [textwrap.fill(label, 24) for label in row_labels])
    axes.spines[:].set_visible(False)
    axes.set_facecolor("#EEF0F2")
    # White seams between the cells.
    axes.set_xticks(np.arange(1, len(col_labels)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(row_labels)) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)


def _write_cells(
    axes: Axes,
    matrix: np.ma.MaskedArray,
    image: Any,
    spec: str,
    intervals: np.ndarray | None,
    marks: np.ndarray | None,
) -> None:
    for (row, column), value in np.ndenumerate(matrix.filled(np.nan)):
        if math.isnan(value):
            axes.text(column, row, "–", ha="center", va="center", color=INK, fontsize=10)
            continue
        ink = ink_on(image.cmap(image.norm(value))[:3])
        mark = 0 if marks is None else int(marks[row, column])
        text = _number(value, spec) + (f" {_ABOVE if mark > 0 else _BELOW}" if mark else "")
        up = 0.0 if intervals is None else -0.13
        weight = "bold" if mark else "normal"
        axes.text(
            column, row + up, text, ha="center", va="center", color=ink, fontsize=10,
            fontweight=weight,
        )  # fmt: skip
        if intervals is not None and np.isfinite(intervals[row, column]).all():
            low, high = (_number(end, spec) for end in intervals[row, column])
            axes.text(
                column, row + 0.22, f"[{low}, {high}]", ha="center", va="center", color=ink,
                fontsize=7.5,
            )  # fmt: skip
        if mark:
            _frame(axes, column, row, GOOD if mark > 0 else BAD)


def _frame(axes: Axes, column: int, row: int, color: str) -> None:
    from matplotlib.patches import Rectangle

    place = (column - 0.46, row - 0.44)
    axes.add_patch(Rectangle(place, 0.92, 0.88, fill=False, edgecolor=color, linewidth=2.4))


def _number(value: float, spec: str) -> str:
    return format(round(value, 2) + 0.0, spec)  # no "-0.00"
