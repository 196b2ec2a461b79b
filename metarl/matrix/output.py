"""Files that a transfer matrix leaves beside its cells: all rows as JSON, and as a Markdown table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metarl.errors import counted
from metarl.matrix import overview
from metarl.matrix.benchmark import Matrix
from metarl.matrix.names import short_names
from metarl.matrix.score import Score
from metarl.matrix.summary import LEARNING, Level, Row, Summary, best_of
from metarl.runs.checkpoint import write_atomically
from metarl.runs.config import config_values, made_with
from metarl.runs.run import MATRIX_RESULT_FILE, write_json

TABLE_FILE = "matrix.md"
COLUMNS = (
    "source", "strategy", "exploration", "mean return", "last", "success [%]", "score", "verdict",
)  # fmt: skip


def table(summary: Summary, regime: str, target: str) -> list[tuple[str, ...]]:
    """A row an arm, the best first, behind scratch and its control.

    Args:
        summary: Of the matrix.
        regime: Which.
        target: On which.
    Returns:
        Rows of `COLUMNS`: mean return over the budget and in its last iteration, success there, and
        the score with its 95% interval over seeds.
    """
    rows = summary.of(regime, target)
    level = next(x for x in summary.levels if (x.regime, x.target) == (regime, target))
    curves = [tuple(curve) for curve in level.curves.values()]
    success = [tuple(curve) for curve in level.success.values()]
    found: list[tuple[str, ...]] = [
        ("(none)", "scratch", "", *_reached(curves, success), "+0.00", "")
    ]
    if level.noise:
        found.append(
            ("(none)", "scratch, other noise", "", "", "", "", str(Score(level.noise)), "control")
        )
    sources = [*dict.fromkeys(row.source for row in rows)]
    short = dict(zip(sources, short_names(sources)))
    for row in sorted(rows, key=lambda row: -np.nan_to_num(row.score.mean, nan=-2.0)):
        arm = (short[row.source], row.strategy, row.exploration)
        reached = _reached(row.curves, row.success)
        found.append((*arm, *reached, str(row.score), row.score.verdict))
    return found


def _reached(
    curves: Sequence[Sequence[float]], success: Sequence[Sequence[float]]
) -> tuple[str, str, str]:
    last = float(np.mean([curve[-1] for curve in curves]))
    rate = float(np.mean([curve[-1] for curve in success]))
    return f"{np.mean(curves):.3g}", f"{last:.3g}", f"{100 * rate:.0f}"


def markdown(summary: Summary, num_seeds: int) -> str:
    """Write every table as Markdown."""
    lines = [
        f"Score: area between the return curves of an arm and of scratch, same seed, {num_seeds}"
        " seeds [95% t interval], over what lies between scratch's start and the best that anyone"
        " reached there. `helped` and `harmed`: the interval is wholly on one side of zero, and the"
        " mean beyond what other noise alone brought about (`control`).",
        "",
    ]
    for regime in overview.regimes(summary):
        said, pairs = overview.overview(summary, regime)
        lines += [f"### What is sure ({regime})", "", said, ""]
        if pairs:
            lines += [*_markdown_table(overview.COLUMNS, pairs), ""]
    for level in summary.levels:
        points = len(next(iter(level.curves.values())))
        # a curve of adapting begins before the first update
        spent = f"{points} iterations" if level.regime == LEARNING else f"{points - 1} updates"
        lines += [f"### {level.target} ({level.regime})", ""]
        lines += [
            f"{level.steps:,} control steps in {spent}; return of scratch"
            f" at first {level.first:.3g}, best of all {level.best:.3g}.",
            "",
        ]
        lines += _markdown_table(COLUMNS, table(summary, level.regime, level.target))
        lines += ["", best_of(summary.of(level.regime, level.target), level), ""]
    lines += [
        f"- {source} to {target} is left out: {why}" for source, target, why in summary.left_out
    ]
    if summary.missing:
        lines.append(f"- {counted(summary.missing, 'cell')} not finished yet.")
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(columns)} |",
        f"|{' --- |' * len(columns)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def write_tables(matrix: Matrix, summary: Summary, folder: Path, command: str) -> list[Path]:
    """Write the rows as JSON and as Markdown.

    Raises:
        CheckpointError: If they cannot be written.
    """
    said = {
        "benchmark": config_values(matrix),
        "levels": [_level_json(level) for level in summary.levels],
        "rows": [_row_json(row) for row in summary.rows],
        "left_out": [dict(zip(("source", "target", "why"), pair)) for pair in summary.left_out],
        "missing": summary.missing,
        **made_with(command),
    }
    write_json(folder / MATRIX_RESULT_FILE, said)
    text = markdown(summary, matrix.num_seeds)
    write_atomically(folder / TABLE_FILE, text.encode())
    return [folder / MATRIX_RESULT_FILE, folder / TABLE_FILE]


def _level_json(level: Level) -> dict[str, Any]:
    said = dataclasses.asdict(level)
    for name in ("curves", "success"):
        said[name] = {str(seed): curve for seed, curve in said[name].items()}
    return said


def _row_json(row: Row) -> dict[str, Any]:
    around = row.score.interval
    return {
        **{name: getattr(row, name) for name in ("regime", "source", "target", "strategy")},
        "exploration": row.exploration,
        "seeds": list(row.seeds),
        "scores": list(row.score.each),
        "score": row.score.mean,
        "low": around.low,
        "high": around.high,
        "noise": row.score.noise,
        "verdict": row.score.verdict,
        "first_return": _mean(row.curves, 0),
        "last_return": _mean(row.curves, -1),
        "mean_return": float(np.mean(row.curves)),
        "first_success": _mean(row.success, 0),
        "last_success": _mean(row.success, -1),
    }


def _mean(curves: Sequence[Sequence[float]], at: int) -> float:
    return float(np.mean([curve[at] for curve in curves]))
