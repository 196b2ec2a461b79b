"""The page of many runs, each with a link to its own."""

from __future__ import annotations

from collections.abc import Sequence

from metarl.report.html import Report, format_duration
from metarl.runs.listing import Listed

COLUMNS = ("run", "method", "of", "seed", "state", "control steps", "time", "came to")


def index_report(runs: Sequence[Listed], title: str) -> Report:
    """Build the page.

    Args:
        runs: What is listed; its own page must lie in the folder that was searched.
        title: What was searched.
    """
    report = Report(f"Runs in {title}", f"{len(runs)} in all")
    if not runs:
        report.text("Runs", "There is none.")
        return report
    pages = [None if run.page is None else run.page.as_posix() for run in runs]
    report.table("Runs", COLUMNS, [row_of(run) for run in runs], links=pages)
    return report


def row_of(run: Listed) -> tuple[str, ...]:
    """A run's cells, in the order of `COLUMNS`."""
    steps = "" if run.steps is None else f"{run.steps:,}"
    seed = "" if run.seed is None else str(run.seed)
    time = "" if run.seconds is None else format_duration(run.seconds)
    return (
        run.folder.as_posix(), run.method, run.subject, seed, run.state, steps, time,
        _came_to(run),
    )  # fmt: skip


def _came_to(run: Listed) -> str:
    if run.value is None:
        return ""
    rate = run.measure in ("success", "accuracy")
    return f"{run.measure} {run.value:.0%}" if rate else f"{run.measure} {run.value:.3g}"
