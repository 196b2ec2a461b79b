"""The report of one adaptation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from metarl.adapt.comparison import UNITS, Comparison
from metarl.adapt.protocol import Protocol
from metarl.adapt.record import read_record
from metarl.adapt.results import AdaptationResult, summarise
from metarl.errors import MetaRLError
from metarl.methods import SCRATCH, adapting_config, get_method, method_names
from metarl.report.html import Report
from metarl.report.plots import Curve, curves_png
from metarl.report.settings import again
from metarl.report.start import add_start
from metarl.runs.fields import field_docs
from metarl.runs.run import START_FILE

OTHER_NOISE = "other noise"
_NAMES = {
    OTHER_NOISE: "the same again with other first states, actions and weights drawn: differences as small"
    " as that mean nothing",
    SCRATCH: "a fresh network that learns from nothing, on the same budget",
    "return": "sum of rewards in an episode of the first column's, mean",
}


def adaptation_report(folder: Path) -> Report:
    """Build the report of an adaptation's folder: the verdict, curves, table and film.

    Raises:
        CheckpointError: If the folder's result is missing or damaged.
    """
    comparison, saved = read_record(folder)
    result, protocol = comparison.result, saved["protocol"]
    report = Report(
        f"{result.method} on {result.family}",
        f"{saved.get('checkpoint', '')} meets {protocol['num_tasks']} tasks of split"
        f" {protocol['split']}",
    )
    words = [comparison.verdict(), comparison.note(), saved.get("next", "")]
    report.text("Did it help?", [line for line in words if line])
    png = curves(comparison, protocol["episodes"])
    caption = "Mean over tasks with its 95% interval; the control differs in its noise alone."
    report.picture("Curves", png, caption=caption, alt=_alt(comparison))
    columns, rows = comparison.table()
    note = f"{UNITS[comparison.metric]}, mean of {protocol['num_tasks']} tasks [95% interval]"
    report.table("After each update", columns, rows, note=note)
    names = [result.method, OTHER_NOISE] + [SCRATCH] * (comparison.scratch is not None)
    what = {name: _NAMES.get(name) or _doc(name) for name in names}
    report.facts("What the columns are", what | {"return": _NAMES["return"]})
    for film in sorted(folder.glob("*.mp4")):
        report.film("Before and after", film, caption="The first of the tasks, before and after.")
    if (folder / START_FILE).is_file():
        add_start(report, folder / START_FILE)
    facts = {
        **again(saved, folder),
        "control steps": f"{result.steps:,}",
    }
    facts |= {"seconds": f"{result.seconds:.1f}"}
    config = adapting_config(result.method) if result.method in method_names() else None
    docs = field_docs(Protocol) | (field_docs(config) if config is not None else {})
    report.facts(
        "How to run it again", facts | {**protocol, **saved["settings"]},
        meaning=lambda name: docs.get(name, ""),
    )  # fmt: skip
    return report


def _doc(method: str) -> str:
    """What a method does; "" where its package is gone."""
    try:
        return get_method(method).doc
    except MetaRLError:
        return ""


def _alt(comparison: Comparison) -> str:
    """What the curves show, in words."""
    columns, rows = comparison.table()
    ends = [f"{name} {first} to {last}" for name, first, last in zip(columns, rows[0], rows[-1])]
    return f"{UNITS[comparison.metric]} from no update to the last: {', '.join(ends[1:])}"


def curves(comparison: Comparison, episodes: int) -> bytes:
    """Draw each arm after each update, as a PNG."""
    arms: dict[str, AdaptationResult] = {comparison.result.method: comparison.result}
    arms[OTHER_NOISE] = comparison.control
    if comparison.scratch is not None:
        arms[SCRATCH] = comparison.scratch
    drawn = [_curve(name, arm, comparison.metric) for name, arm in arms.items()]
    graded = comparison.metric != "returns"
    return curves_png(
        drawn, title=comparison.result.family, xlabel=f"updates of {episodes} episodes",
        ylabel=UNITS[comparison.metric].removesuffix(" [%]"), ylim=(0, 1) if graded else None,
    )  # fmt: skip


def _curve(name: str, arm: AdaptationResult, metric: str) -> Curve:
    found = summarise([arm], np.random.default_rng(0), metric)
    sides: Any = ("mean", "mean_low", "mean_high")
    mean, low, high = (np.array([getattr(e, side) for e in found]) for side in sides)
    return Curve(name, np.arange(len(found)), mean, low, high)
