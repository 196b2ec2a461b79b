"""The pages of what pictures were asked: one run, and several strategies side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metarl.errors import counted
from metarl.report import canvas
from metarl.report.canvas import FAINT, GRID
from metarl.report.colors import method_colors
from metarl.report.heatmap import heatmap_png
from metarl.report.html import Report
from metarl.report.names import meaning
from metarl.report.plots import bars_png
from metarl.runs.fields import field_docs
from metarl.runs.listing import PAGE

if TYPE_CHECKING:
    from metarl.perception.fewshot.config import FewShotConfig
    from metarl.perception.swap_config import SwapConfig

WORST_ROWS, MOST_CLASSES = 20, 30
_FEW_SHOT = ("method", "shots", "right [95% over tasks]", "95% over seeds", "against centroids")
_HOW_FEW_SHOT = (
    "Every task is of classes that nothing was learned of, and the same for every method. The interval over"
    " tasks is of other tasks of the same seeds; that over seeds is of other choices of unseen classes, and"
    " unknown for one seed.",
    "Against centroids: points more than the nearest centroid on the same tasks, with the interval over"
    " tasks. If it holds 0, do not believe a difference.",
)
FEW_SHOT_METHODS = {
    "nearest-centroid": "the trunk as it is; the class whose mean feature is nearest",
    "logistic": "the trunk as it is; logistic regression on the features that a task shows",
    "maml": "begins where learning on tasks of other classes ended; all layers move within a task",
    "anil": "likewise; the head alone moves within a task",
    "anil-frozen": "likewise, and only where the head begins was learned: the trunk is as it was",
}


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
        report.picture("Confusion", png, caption=caption, alt=_confused(question["names"], rows))
    if question["kind"] == "classes":
        columns = ["file", "is", "answer", "confidence"]
        table = [[r["file"], r["truth"], r["answer"], r["confidence"]] for r in rows]
    else:
        columns = ["file"] + [f"{n} {w}" for n in question["names"] for w in ("is", "answer")]
        table = [
            [r["file"], *(x for pair in zip(r["truth"], r["answer"]) for x in pair)] for r in rows
        ]
    report.table("The worst answers", columns, table[:WORST_ROWS])


def _confused(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """What a confusion matrix shows, in words."""
    parts = []
    for name in names:
        mine = [row["answer"] for row in rows if row["truth"] == name]
        parts.append(f"{name} {sum(answer == name for answer in mine)} of {len(mine)}")
    return f"How many of each class were answered right: {', '.join(parts)}"


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
    folder: Path, results: Sequence[Mapping[str, Any]], config: SwapConfig, command: str
) -> Path:
    """Write the page of several strategies, and its picture beside it.

    Args:
        folder: Where the runs are, one a strategy and seed.
        results: What each result.json says, and where it is.
        config: What the runs have in common.
        command: What asked for it.
    Returns:
        The page, report.html.
    Raises:
        OutputError: If it cannot be written.
    """
    ylabel = "error" if "accuracy" not in results[0] else "error rate"
    report = Report(f"Heads on {config.backbone}: {config.data}", str(results[0]["trunk"]))
    png = error_against_time_png(results, ylabel)
    (folder / "error-against-time.png").write_bytes(png)
    caption = "A point a seed; the dashed line always gives the most usual answer."
    alt = ", ".join(f"{r['strategy']} {r['error']:.3g} in {r['seconds']:.3g} s" for r in results)
    report.picture("Error against time", png, caption=caption, alt=f"{ylabel}: {alt}")
    names = list(dict.fromkeys(str(r["strategy"]) for r in results))
    errors = [[r["error"] for r in results if r["strategy"] == name] for name in names]
    mean = [float(np.mean(e)) for e in errors]
    low, high = [min(e) for e in errors], [max(e) for e in errors]
    bars = bars_png(names, mean, low, high, title="Error on the test pictures", ylabel=ylabel)
    caption = "Mean over seeds, and from the least to the most."
    alt = ", ".join(f"{name} {value:.3g}" for name, value in zip(names, mean))
    report.picture("Error", bars, caption=caption, alt=f"{ylabel}: {alt}")
    columns = list(dict.fromkeys(key for r in results for key in r if key not in ("trunk",)))
    report.table("Runs", columns, [[r.get(c) for c in columns] for r in results])
    report.facts("What the columns are", {c: said for c in columns if (said := meaning(c))})
    best = results[int(np.argmin([r["error"] for r in results]))]
    sheet = folder / best["run"] / "pictures" / "worst-first.png"
    alt = f"Test pictures with their answers and truths, those first that {best['run']} got most wrong"
    caption = f"Of {best['run']}, the best run: what was answered, what it is."
    report.picture("Its worst answers", sheet.read_bytes(), caption=caption, alt=alt)
    _add_settings(report, command, config)
    return report.write(folder / PAGE)


def _add_settings(report: Report, command: str, config: SwapConfig | FewShotConfig) -> None:
    """Say how to run it again, and what each setting is."""
    report.facts("How to run it again", {"command": command})
    docs = field_docs(type(config))
    report.facts("Settings", asdict(config), meaning=lambda name: docs.get(name, ""))


def write_few_shot(
    folder: Path, rows: Sequence[Mapping[str, Any]], config: FewShotConfig, seeds: int, command: str
) -> Path:
    """Write the page of several few-shot methods.

    Args:
        folder: Where their runs are.
        rows: Of `metarl.perception.fewshot.table.summarise`.
        config: What the runs have in common.
        seeds: How many of each.
        command: What asked for it.
    Returns:
        The page, report.html.
    Raises:
        OutputError: If it cannot be written.
    """
    report = Report(
        f"From a few pictures: {config.data}",
        f"{config.ways} classes a task, {counted(seeds, 'seed')} of {counted(config.episodes, 'task')}",
    )
    for shots in dict.fromkeys(row["shots"] for row in rows):
        mine = [row for row in rows if row["shots"] == shots]
        names, values = [row["method"] for row in mine], [row["accuracy"] for row in mine]
        low, high = zip(*(row["episodes"] for row in mine))
        title = f"Right answers after {counted(shots, 'picture')} of each class"
        png = bars_png(names, values, low, high, title=title, ylabel="share of right answers")
        ends = ", ".join(f"{name} {value:.0%}" for name, value in zip(names, values))
        caption = f"Mean, and its 95% interval over tasks; guessing reaches {1 / config.ways:.0%}."
        report.picture(title, png, caption=caption, alt=f"{title}: {ends}")
    table = [
        [
            row["method"], row["shots"], f"{100 * row['accuracy']:.1f} {_ends(row['episodes'])}",
            _ends(row["seeds"]), _gain(row),
        ]
        for row in rows
    ]  # fmt: skip
    report.table("Right answers [%]", _FEW_SHOT, table)
    report.text("How to read it", _HOW_FEW_SHOT)
    methods = dict.fromkeys(row["method"] for row in rows)
    report.facts("What each method does", {name: FEW_SHOT_METHODS[name] for name in methods})
    _add_settings(report, command, config)
    return report.write(folder / PAGE)


def _ends(ends: Sequence[float | None] | None) -> str | None:
    if ends is None or None in ends:
        return None
    low, high = (100 * end for end in ends if end is not None)
    return f"[{low:.1f}, {high:.1f}]"


def _gain(row: Mapping[str, Any]) -> str | None:
    return (
        None if row["gain"] is None else f"{100 * row['gain']:+.1f} {_ends(row['gain episodes'])}"
    )
