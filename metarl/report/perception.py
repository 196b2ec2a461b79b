"""The pages of what pictures were asked: one run, and several strategies side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metarl.report import canvas
from metarl.report.canvas import FAINT, GRID
from metarl.report.colors import method_colors
from metarl.report.heatmap import heatmap_png
from metarl.report.html import Report
from metarl.report.plots import bars_png

if TYPE_CHECKING:
    from metarl.perception.swap_config import SwapConfig

WORST_ROWS, MOST_CLASSES = 20, 30


def add_answers(report: Report, answers: Mapping[str, Any]) -> None:
    """Add what a run answered to its test pictures: the worst, and who was taken for whom.

    Args:
        report: Of the run.
        answers: What its answers.json says.
    """
    question, rows = answers["question"], answers["rows"]
    if question["kind"] == "classes" and len(question["names"]) <= MOST_CLASSES:
        png = confusion_png(question["names"], rows)
        caption = "Rows: what it is; columns: what was answered; test pictures."
        report.picture("Confusion", png, caption=caption, alt="confusion matrix")
    if question["kind"] == "classes":
        columns = ["file", "is", "answer", "confidence"]
        table = [[r["file"], r["truth"], r["answer"], r["confidence"]] for r in rows]
    else:
        columns = ["file"] + [f"{n} {w}" for n in question["names"] for w in ("is", "answer")]
        table = [
            [r["file"], *(x for pair in zip(r["truth"], r["answer"]) for x in pair)] for r in rows
        ]
    report.table("The worst answers", columns, table[:WORST_ROWS])


def confusion_png(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw how often each class was taken for which.

    Args:
        names: Of the classes.
        rows: Each with ``truth`` and ``answer``.
    Returns:
        PNG bytes.
    """
    counts = np.zeros((len(names), len(names)))
    for row in rows:
        counts[names.index(row["truth"]), names.index(row["answer"])] += 1
    return heatmap_png(
        counts, list(names), list(names), title="What was taken for what", diverging=False,
        row_name="is", col_name="answered",
    )  # fmt: skip


def error_against_time_png(results: Sequence[Mapping[str, Any]], ylabel: str) -> bytes:
    """Draw each strategy's error over the time that it took, a point a seed.

    Args:
        results: Each with ``strategy``, ``seconds``, ``error`` and ``constant error``.
        ylabel: What the error is.
    Returns:
        PNG bytes.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    figure, axes = canvas.titled_figure(7.2, 4.6, "Error against time")
    names = list(dict.fromkeys(str(r["strategy"]) for r in results))
    for name, color in zip(names, method_colors(names)):
        mine = [r for r in results if r["strategy"] == name]
        x, y = [r["seconds"] for r in mine], [r["error"] for r in mine]
        axes.scatter(x, y, color=color, s=42, zorder=3, label=name)
    constant = float(np.mean([r["constant error"] for r in results]))
    axes.axhline(
        constant, color=FAINT, linewidth=0.8, linestyle="--", label="always the same answer"
    )
    axes.set(xlabel="seconds to train", ylabel=ylabel, xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0.0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return canvas.png(figure)


def write_comparison(
    folder: Path, results: Sequence[Mapping[str, Any]], config: SwapConfig
) -> Path:
    """Write the page of several strategies, and its picture beside it.

    Args:
        folder: Where the runs are, one a strategy and seed.
        results: What each result.json says, and where it is.
        config: What the runs have in common.
    Returns:
        The page, index.html.
    Raises:
        OutputError: If it cannot be written.
    """
    ylabel = "error" if "accuracy" not in results[0] else "error rate"
    report = Report(f"Heads on {config.backbone}: {config.data}", str(results[0]["trunk"]))
    png = error_against_time_png(results, ylabel)
    (folder / "error-against-time.png").write_bytes(png)
    caption = "A point a seed; the dashed line always gives the most usual answer."
    report.picture("Error against time", png, caption=caption, alt="error against time")
    names = list(dict.fromkeys(str(r["strategy"]) for r in results))
    errors = [[r["error"] for r in results if r["strategy"] == name] for name in names]
    mean = [float(np.mean(e)) for e in errors]
    low, high = [min(e) for e in errors], [max(e) for e in errors]
    bars = bars_png(names, mean, low, high, title="Error on the test pictures", ylabel=ylabel)
    caption = "Mean over seeds, and from the least to the most."
    report.picture("Error", bars, caption=caption, alt="error of each strategy")
    columns = list(dict.fromkeys(key for r in results for key in r if key not in ("trunk",)))
    report.table("Runs", columns, [[r.get(c) for c in columns] for r in results])
    best = results[int(np.argmin([r["error"] for r in results]))]
    sheet = folder / best["run"] / "pictures" / "worst-first.png"
    caption = f"Of {best['run']}, the best run: what was answered, what it is."
    report.picture("Its worst answers", sheet.read_bytes(), caption=caption, alt="worst answers")
    report.facts("Configuration", asdict(config))
    return report.write(folder / "index.html")
