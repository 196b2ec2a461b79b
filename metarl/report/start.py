"""What a run or an adaptation started from, on its page."""

from __future__ import annotations

from pathlib import Path

from metarl.report.html import Report
from metarl.runs.config import read_json
from metarl.sources.report import rows_of

COLUMNS = ("parameter", "became", "shape there", "shape here", "from where, and why")


def add_start(report: Report, path: Path) -> None:
    """Add the surgery that a folder keeps: block by block, and parameter by parameter.

    Args:
        report: The page.
        path: The folder's ``start.json``.
    Raises:
        CheckpointError: If it is damaged.
    """
    saved = read_json(path)
    said = {"source": f"{saved.get('from', '')} ({saved.get('family', '')})"}
    for name in ("mapping", "carried", "notes"):
        value = saved.get(name)
        said |= {name: ", ".join(map(str, value))} if isinstance(value, list) and value else {}
    for name in ("zeroed", "fresh"):
        value = saved.get(name)
        said |= {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}
    report.facts("Started from", said)
    if rows := rows_of(saved):
        report.table("Surgery", list(COLUMNS), rows)
