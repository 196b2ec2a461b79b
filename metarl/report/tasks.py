"""Several tasks learned at once, on a run's page: a curve each, and how their gradients agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metarl.multitask.config import BETWEEN, COSINE
from metarl.report.heatmap import heatmap_png
from metarl.report.html import Report
from metarl.report.plots import Curve, curves_png

_EACH = ("success", "return")
_PARTS = 3
Rows = Sequence[Mapping[str, Any]]


def is_pair(key: str) -> bool:
    """Whether a metric is of two tasks."""
    return key.startswith(f"{COSINE}/") and BETWEEN in key


def add_tasks(report: Report, rows: Rows, keys: Sequence[str]) -> None:
    """Add each task's curves, and heat maps of tasks by tasks over training; nothing of one task.

    Args:
        report: The page.
        rows: The run's metrics.
        keys: Their names.
    """
    for name in _EACH:
        curves = [_curve(rows, key) for key in keys if key.startswith(f"{name}/")]
        if len(curves) > 1:
            png = curves_png(curves, title=f"Each task's {name}", xlabel="iteration", ylabel=name)
            alt = f"{name} of {', '.join(curve.label for curve in curves)} over training"
            report.picture(f"Tasks: {name}", png, caption="", alt=alt)
    pairs = [key for key in keys if is_pair(key)]
    if not pairs:
        return
    labels = list(dict.fromkeys(label for key in pairs for label in _labels(key)))
    for some in thirds(rows):
        when = f"iterations {some[0]['step']} to {some[-1]['step']}"
        png = heatmap_png(
            _cosines(some, pairs, labels), labels, labels, title=f"Gradients on the trunk, {when}",
            diverging=True, reach=1.0,
        )  # fmt: skip
        report.picture(
            f"Conflict between tasks, {when}", png,
            caption="Mean cosine of two tasks' gradients on what they share: 1 alike, 0 nothing to do"
            " with each other, below 0 in conflict.",
            alt=f"Cosines of the gradients of {', '.join(labels)}, {when}",
        )  # fmt: skip


def thirds(rows: Rows) -> list[Rows]:
    """Split a training into its beginning, its middle and its end; a short one into single rows."""
    parts = np.array_split(np.arange(len(rows)), min(_PARTS, len(rows)))
    return [[rows[i] for i in part] for part in parts]


def _curve(rows: Rows, key: str) -> Curve:
    points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
    x, mean = (np.array(column, dtype=np.float64) for column in zip(*points))
    unknown = np.full_like(mean, np.nan)
    return Curve(key.partition("/")[2], x, mean, unknown, unknown)


def _labels(key: str) -> tuple[str, str]:
    first, _, second = key.removeprefix(f"{COSINE}/").partition(BETWEEN)
    return first, second


def _cosines(rows: Rows, pairs: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Means over rows, shape (K, K); NaN on the diagonal, and where nothing is known."""
    found = np.full((len(labels), len(labels)), np.nan)
    for key in pairs:
        values = [row[key] for row in rows if row.get(key) is not None]
        i, j = (labels.index(label) for label in _labels(key))
        if values:
            found[i, j] = found[j, i] = float(np.mean(values))
    return found
