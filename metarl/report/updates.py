"""How much adapting helps, on a run's page: success after each update, early and late in training."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from metarl.report.html import Report
from metarl.report.plots import Curve, curves_png
from metarl.report.tasks import Rows, thirds

_AFTER = re.compile(r"success_(\d{1,3})")


def is_after(key: str) -> bool:
    """Whether a metric is the success after some update."""
    return _AFTER.fullmatch(key) is not None


def add_updates(report: Report, rows: Rows, keys: Sequence[str]) -> None:
    """Add success against updates for the first, the middle and the last third of a training.

    Args:
        report: The page.
        rows: The run's metrics.
        keys: Their names; nothing is added where fewer than two are of updates.
    """
    after = sorted((int(key.partition("_")[2]), key) for key in keys if is_after(key))
    if len(after) < 2:
        return
    x, curves = np.array([update for update, _ in after], dtype=np.float64), []
    for some in thirds(rows):
        mean = np.array([_mean(some, key) for _, key in after])
        unknown = np.full_like(mean, np.nan)
        label = f"iterations {some[0]['step']}–{some[-1]['step']}"
        curves.append(Curve(label, x, mean, unknown, unknown))
    png = curves_png(
        curves, title="What adapting is worth", xlabel="updates on a task", ylabel="success"
    )
    said = "; ".join(
        f"{curve.label}: {curve.mean[0]:.0%} before, {curve.mean[-1]:.0%} after" for curve in curves
    )
    report.picture(
        "Before and after adapting", png,
        caption="On training tasks, with the noise of training. A useful meta-training lifts the whole"
        " curve: it starts higher, and rises faster.",
        alt=f"Success after each update. {said}",
    )  # fmt: skip


def _mean(rows: Rows, key: str) -> float:
    values = [row[key] for row in rows if row.get(key) is not None]
    return float(np.mean(values)) if values else float("nan")
