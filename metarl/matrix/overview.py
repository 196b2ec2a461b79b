"""What is sure in a transfer matrix, at one glance: which pairs help most, which harm most."""

from __future__ import annotations

from collections.abc import Mapping

from metarl.matrix.names import short_names
from metarl.matrix.score import HARMED, HELPED, Score
from metarl.matrix.summary import Row, Summary

COLUMNS = ("source", "target", "score", "other noise", "verdict")
MOST = 5  # pairs of each verdict that are shown


def regimes(summary: Summary) -> tuple[str, ...]:
    """Those in which several targets were met."""
    known = [level.regime for level in summary.levels]
    return tuple(regime for regime in dict.fromkeys(known) if known.count(regime) > 1)


def overview(summary: Summary, regime: str, most: int = MOST) -> tuple[str, list[tuple[str, ...]]]:
    """Count verdicts between different tasks, and list the pairs that help and harm most.

    One arm stands for each pair, the first that was measured everywhere, so that nothing is picked
    by its result.

    Args:
        summary: Of the matrix.
        regime: Which.
        most: How many pairs of each verdict.
    Returns:
        A sentence, and rows of `COLUMNS`; no rows where nothing is sure.
    """
    rows = [row for row in summary.of(regime) if row.source != row.target]
    if not rows:
        return "No source meets the task of another.", []
    arm = (rows[0].strategy, rows[0].exploration)
    mine = [row for row in rows if (row.strategy, row.exploration) == arm]
    helped, harmed = (
        sorted((r for r in mine if r.score.verdict == verdict), key=lambda r: -abs(r.score.mean))
        for verdict in (HELPED, HARMED)
    )
    said = (
        f"Of {len(mine)} pairs of different tasks, by {' '.join(filter(None, arm))}: {len(helped)}"
        f" helped, {len(harmed)} harmed, {len(mine) - len(helped) - len(harmed)} nothing sure."
    )
    shown = [*helped[:most], *reversed(harmed[:most])]
    names = list(dict.fromkeys(name for row in rows for name in (row.source, row.target)))
    short = dict(zip(names, short_names(names)))
    return said, [_cells(summary, row, short) for row in shown]


def _cells(summary: Summary, row: Row, short: Mapping[str, str]) -> tuple[str, ...]:
    noise = summary.level(row).noise
    return (
        short[row.source], short[row.target], str(row.score), str(Score(noise)) if noise else "", row.score.verdict,
    )  # fmt: skip
