"""The report of one run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarl.errors import CheckpointError, ConfigError
from metarl.report.html import Report, read_bytes
from metarl.report.plots import metrics_png

MAX_PANELS = 12
FIRST = ("success", "score", "return")  # what a reader looks for before any loss


def run_report(folder: Path) -> Report:
    """Build the report of a run: its result, films, training curves, pictures and configuration.

    Args:
        folder: A run folder. It holds config.json, and may hold metrics.jsonl, result.json,
            films/*.mp4 and pictures/*.png.
    Returns:
        The report, not yet written.
    Raises:
        ConfigError: If `folder` is no run folder.
        CheckpointError: If config.json or result.json is damaged.
        MetaRLError: If a film or picture cannot be read.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        what = "has no config.json" if folder.is_dir() else "is not a folder"
        raise ConfigError(
            f"{folder} {what}; expected a run folder: config.json and metrics.jsonl, perhaps with "
            "result.json, films/*.mp4 and pictures/*.png"
        )
    config = _read_json(folder / "config.json")
    about = [str(config[key]) for key in ("family", "method") if key in config]
    about += [f"seed {config['seed']}"] if "seed" in config else []
    report = Report(f"Run {folder.resolve().name}", " · ".join(about))
    if (folder / "result.json").is_file():
        _add_result(report, _read_json(folder / "result.json"))
    for film in sorted(folder.glob("films/*.mp4"), key=_before_first):
        report.film(_title(film), film, caption="")
    _add_metrics(report, folder / "metrics.jsonl")
    for picture in sorted(folder.glob("pictures/*.png")):
        report.picture(_title(picture), read_bytes(picture), caption="", alt=_title(picture))
    report.facts("Configuration", _flatten(config))
    return report


def _add_result(report: Report, result: Mapping[str, Any]) -> None:
    tables = {key: value for key, value in result.items() if _is_table(value)}
    facts = _flatten({key: value for key, value in result.items() if key not in tables})
    if facts:
        report.facts("Result", facts)
    for key, rows in tables.items():
        columns = list(dict.fromkeys(name for row in rows for name in row))
        report.table(f"Result: {key}", columns, [[row.get(c) for c in columns] for row in rows])


def _add_metrics(report: Report, path: Path) -> None:
    rows, damaged = _read_metrics(path)
    keys = _metric_keys(rows)
    if keys:
        png = metrics_png(rows, keys[:MAX_PANELS], title="Metrics while training")
        alt = f"Training curves of {', '.join(keys[:MAX_PANELS])}"
        hidden = keys[MAX_PANELS:]
        caption = f"Not drawn: {', '.join(hidden)}." if hidden else ""
        report.picture("Training", png, caption=caption, alt=alt)
        last = {
            key: next(row[key] for row in reversed(rows) if _is_number(row.get(key)))
            for key in keys
        }
        report.facts("Last recorded values", {"step": rows[-1]["step"], **last})
    else:
        report.text("Training", "No metrics were recorded.")
    if damaged:
        report.text(
            "Damage", f"Left out of {path.name}, since they cannot be read: {damaged} line(s)."
        )


def _read_metrics(path: Path) -> tuple[list[dict], int]:
    """Read the rows, and count the lines that are none: a killed run may leave half a line."""
    lines = read_bytes(path).decode("utf-8", "replace").splitlines() if path.is_file() else []
    rows, damaged = [], 0
    for line in filter(str.strip, lines):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if isinstance(row, dict) and _is_number(row.get("step")):
            rows.append(row)
        else:
            damaged += 1
    return rows, damaged


def _metric_keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for row in rows for key, value in row.items() if _is_number(value))
    keys.pop("step", None)

    def rank(key: str) -> int:
        return next((i for i, word in enumerate(FIRST) if word in key.lower()), len(FIRST))

    return sorted(keys, key=rank)  # stable: otherwise in the order of the file


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_bytes(path))
    except ValueError as error:  # also bytes that are not UTF-8
        raise CheckpointError(f"{path} is damaged: {error}; expected a JSON object") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}; expected a JSON object")
    return content


def _flatten(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, dict) and value:
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _before_first(path: Path) -> tuple[bool, str]:
    return not path.stem.startswith("before"), path.name


def _title(path: Path) -> str:
    words = path.stem.replace("_", " ").replace("-", " ")
    return words[:1].upper() + words[1:]
