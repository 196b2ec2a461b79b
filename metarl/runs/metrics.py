"""Metrics as JSON lines: what may stand in them, and how they are read back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metarl.errors import CheckpointError, ConfigError
from metarl.runs.reading import is_count, is_number, parse_json, read_file

METRICS_FILE = "metrics.jsonl"
LONGEST_NAME = 200  # of a metric; what is drawn must end


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Read the metrics of a run, also while it is running.

    Args:
        folder: The run folder.
    Returns:
        One dict per line, with ``step`` and ``time_s`` [s]; values that were not finite, or are
        beyond all use, are None.
        A last line that was cut off by a kill is left out.
    Raises:
        CheckpointError: If a line before the last is damaged, or the file cannot be read.
    """
    path = Path(folder) / METRICS_FILE
    try:
        content = read_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"no {METRICS_FILE} in {folder}; expected a run folder") from error
    good = list(good_lines(content))
    if len(good) < content.count(b"\n"):
        raise CheckpointError(f"{path} is damaged: line {len(good) + 1} is no metrics")
    return [row for _, row in good]


def good_lines(content: bytes) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield the whole lines of a metrics file up to the first that is none."""
    for line in content.splitlines(keepends=True):
        row = parse_row(line)
        if row is None or not line.endswith(b"\n"):
            return
        yield line, row


def parse_row(line: bytes | str) -> dict[str, Any] | None:
    """Read one line of a metrics file; None if it is no metrics.

    What is too large to be drawn or summed is null, as what was not finite is.
    """
    try:
        row = parse_json(line, METRICS_FILE)
    except CheckpointError:
        return None
    if not isinstance(row, dict) or not is_count(row.get("step")):
        return None
    if max(map(len, row)) > LONGEST_NAME:
        return None
    if not all(value is None or type(value) in (int, float) for value in row.values()):
        return None
    return {name: value if is_number(value) else None for name, value in row.items()}


def as_number(name: str, value: Any) -> float | int:
    if len(name) > LONGEST_NAME:
        raise ConfigError(f"a metric's name has {len(name)} letters; at most {LONGEST_NAME}")
    try:
        return value if type(value) is int else float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"metric {name!r} is a {type(value).__name__}, expected a number"
        ) from error


def finite(value: Any) -> Any:
    """Turn a value into strict JSON: arrays into lists, what is not finite into null."""
    if isinstance(value, Mapping):
        return {str(key): finite(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(child) for child in value]
    if hasattr(value, "tolist"):  # NumPy and torch
        return finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
