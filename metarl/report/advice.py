"""The page of an advice: what to do first, then how much each way of starting is predicted to bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metarl.report.canvas import FAINT, GRID, INK, png, titled_figure
from metarl.report.html import Report

HELPS, HARMS, NOTHING = "#1b7f5c", "#b3412f", "#7a828c"
_MOST = 24  # options in the picture
_LONGEST = 28  # letters of a source's name in it


def advice_report(advice: Any, command: str) -> Report:
    """Build the page.

    Args:
        advice: A `metarl.advise.advice.Advice`.
        command: What asked for it.
    Returns:
        The report, not yet written.
    """
    from metarl.advise.advice import COLUMNS

    report = Report(
        f"What helps with {advice.target}?", "Predicted before any training on the target."
    )
    report.text("What to do", advice.lines())
    drawn = advice.options[:_MOST]
    left_out = len(advice.options) - len(drawn)
    caption = (
        "Gain over starting from nothing on the same budget of PPO, -1 to 1, with its 95% interval."
        " What lies within the grey band is no more than noise brings about."
    )
    if left_out:
        caption += f" Not drawn: the {left_out} worst."
    alt = f"Predicted gain of {len(drawn)} ways of starting {advice.target}"
    report.picture("Predicted gain", gains_png(drawn), caption=caption, alt=alt)
    report.table("Every way of starting, the best first", COLUMNS, advice.table(), note=command)
    for one in advice.evidence:
        signals = {name.replace("_", " "): value for name, value in one.signals.items()}
        report.facts(f"Seen of {one.source}", signals, meaning=_meaning)
    return report


def gains_png(options: Sequence[Any]) -> bytes:
    """Draw predicted gains with their intervals, the best on top.

    Args:
        options: `metarl.advise.advice.Option`.
    """
    height = 1.6 + 0.32 * len(options)
    figure, axes = titled_figure(8.0, height, "Predicted gain over starting from nothing")
    rows = np.arange(len(options))[::-1]
    noise = max((option.noise for option in options), default=0.0)
    axes.axvspan(-noise, noise, color=GRID, zorder=0)
    axes.axvline(0.0, color=FAINT, linewidth=1)
    for row, option in zip(rows, options):
        p = option.prediction
        colour = NOTHING if abs(p.gain) <= option.noise else HELPS if p.gain > 0.0 else HARMS
        if p.low is not None and p.high is not None:
            axes.plot([p.low, p.high], [row, row], color=colour, linewidth=2, alpha=0.6)
        axes.plot(p.gain, row, "o", color=colour, markersize=7)
    axes.set_yticks(rows, [f"{_short(o.source)}, {o.strategy}, {o.exploration}" for o in options])
    axes.tick_params(axis="y", colors=INK)
    axes.set_xlim(-1.05, 1.05)
    axes.set_ylim(-0.7, len(options) - 0.3)
    axes.set_xlabel("harms  –  gain  –  helps")
    return png(figure)


def _short(source: str) -> str:
    """The end of a long path."""
    return source if len(source) <= _LONGEST else f"…{source[1 - _LONGEST :]}"


def _meaning(name: str) -> str:
    """What a signal says."""
    from metarl.advise.signals import SIGNALS

    found: Mapping[str, Any] = SIGNALS
    signal = found.get(name.replace(" ", "_"))
    return "" if signal is None else signal.says
