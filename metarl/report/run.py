"""The report of one run folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarl.errors import ConfigError
from metarl.report import settings
from metarl.report.html import Report, flatten, read_bytes
from metarl.report.names import condensed, meaning
from metarl.report.perception import add_answers
from metarl.report.plots import metrics_png
from metarl.report.start import add_start
from metarl.report.tasks import add_tasks, is_pair
from metarl.report.updates import add_updates, is_after
from metarl.runs.config import read_json
from metarl.runs.metrics import METRICS_FILE, parse_row
from metarl.runs.run import (
    ADAPTATION_FILE,
    ANSWERS_FILE,
    BENCHMARK_FILE,
    MATRIX_FILE,
    SEARCH_FILE,
    START_FILE,
)

MAX_PANELS = 12
MOST = 1e300
SPENT = ("time_s", "num_steps", "steps_per_s", "collect_s", "update_s")  # told, not drawn
_AXIS = "Over iterations. What a name means stands beside its value."
_SHEET = "Test pictures with their answers and truths, those first that were answered most wrong"
_UNSEEN = "Tasks that no training has seen, by the last checkpoint."
FIRST = ("success", "score", "return")  # what a reader looks for before any loss


def run_report(folder: Path | str) -> Report:
    """Build the report of a run, or of an adaptation: its result, films, training curves, pictures and configuration.

    Args:
        folder: A run folder. It holds config.json, and may hold metrics.jsonl, result.json, start.json,
            films/*.mp4 and pictures/*.png.
    Returns:
        The report, not yet written.
    Raises:
        ConfigError: If `folder` is no run folder.
        CheckpointError: If config.json or result.json is damaged.
        MetaRLError: If a film or picture cannot be read.
    """
    folder = Path(folder)
    if (folder / ADAPTATION_FILE).exists():
        from metarl.report.adaptation import adaptation_report  # loads torch

        return adaptation_report(folder)
    if (folder / MATRIX_FILE).exists():
        from metarl.report.transfer import transfer_report

        return transfer_report(folder)
    if (folder / BENCHMARK_FILE).exists():
        from metarl.report.benchmark import benchmark_report

        return benchmark_report(folder)
    if (folder / SEARCH_FILE).exists():
        from metarl.report.tuning import tuning_report

        return tuning_report(folder)
    if not (folder / "config.json").exists():
        what = "has no config.json" if folder.is_dir() else "is not a folder"
        raise ConfigError(
            f"{folder} {what}; expected a run folder: config.json and metrics.jsonl, perhaps with "
            "result.json, films/*.mp4 and pictures/*.png"
        )
    config = read_json(_own(folder, "config.json"))
    report = Report(f"Run {folder.resolve().name}", " · ".join(settings.in_short(config)))
    ended = (folder / "result.json").exists()
    result = read_json(_own(folder, "result.json")) if ended else {}
    if said := settings.about(config, result):
        report.facts("What was run", said)
    for film in sorted(folder.glob("films/*.mp4"), key=_before_first):
        unseen = film.stem.startswith("held-out")
        report.film(_title(film), _own(folder, film), caption=_UNSEEN if unseen else "")
    _add_result(report, result)
    _add_metrics(report, folder, result if ended else None)
    if (folder / ANSWERS_FILE).exists():
        add_answers(report, read_json(_own(folder, ANSWERS_FILE)))
    if (folder / START_FILE).exists():
        add_start(report, _own(folder, START_FILE))
    for picture in sorted(folder.glob("pictures/*.png")):
        _own(folder, picture)
        sheet = picture.stem == "worst-first"
        alt = _SHEET if sheet else f"{_title(picture)}, a picture of this run"
        caption = "What was answered, and what it is." if sheet else ""
        report.picture(_title(picture), read_bytes(picture), caption=caption, alt=alt)
    settings.add_settings(report, config)
    return report


def _add_result(report: Report, result: Mapping[str, Any]) -> None:
    tables = {key: value for key, value in result.items() if _is_table(value)}
    told = (*tables, *settings.TOLD)
    facts = flatten({key: value for key, value in result.items() if key not in told})
    if facts:
        report.facts("Result", condensed(facts), meaning=meaning)
    for key, rows in tables.items():
        columns = list(dict.fromkeys(name for row in rows for name in row))
        report.table(f"Result: {key}", columns, [[row.get(c) for c in columns] for row in rows])


def _own(folder: Path, name: str | Path) -> Path:
    """Refuse what is no regular file of the run folder: reports go to others."""
    path = folder / name if isinstance(name, str) else name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            f"{path} is a link out of the run folder, to {path.resolve()}; a report shows nothing"
            " from outside: replace the link by the file, or remove it"
        )
    if not path.is_file():
        raise ConfigError(f"{path} is not a regular file; remove it")
    return path


def _add_metrics(report: Report, folder: Path, result: Mapping[str, Any] | None) -> None:
    """Draw what was recorded; the last values of a run that has ended are its result, and explained there."""
    rows, damaged = read_own_metrics(folder)
    keys = metric_keys(rows)
    add_updates(report, rows, keys)
    drawn = [key for key in keys if not is_pair(key) and not is_after(key) and key not in SPENT]
    if drawn:
        png = metrics_png(rows, drawn[:MAX_PANELS], title="Metrics while training")
        alt = f"Training curves, from first to last: {_ends(rows, drawn[:MAX_PANELS])}"
        hidden = drawn[MAX_PANELS:]
        caption = f"{_AXIS} Not drawn: {', '.join(hidden)}." if hidden else _AXIS
        report.picture("Training", png, caption=caption, alt=alt)
        add_tasks(report, rows, keys)
        told = drawn[:MAX_PANELS] if result is not None else []
        words = {key: said for key in told if key not in (result or {}) and (said := meaning(key))}
        if words:
            report.facts("What the curves are", words)
        if result is None:
            last = {
                key: next(row[key] for row in reversed(rows) if _is_number(row.get(key)))
                for key in keys
            }
            known = {"step": rows[-1]["step"], **condensed(last)}
            report.facts("Last recorded values", known, meaning=meaning)
    elif not keys:
        report.text("Training", "No metrics were recorded.")
    if damaged:
        report.text(
            "Damage", f"Left out of {METRICS_FILE}, since they cannot be read: {damaged} line(s)."
        )


def _ends(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    """Each metric's first and last number."""
    found = []
    for key in keys:
        values = [row[key] for row in rows if _is_number(row.get(key))]
        found.append(f"{key} {values[0]:.3g} to {values[-1]:.3g}")
    return ", ".join(found)


def read_own_metrics(folder: Path) -> tuple[list[dict], int]:
    """Read a run's rows, and count the lines that are none: a killed run may leave half a line."""
    if not (folder / METRICS_FILE).exists():
        return [], 0
    lines = read_bytes(_own(folder, METRICS_FILE)).decode("utf-8", "replace").splitlines()
    rows, damaged = [], 0
    for line in filter(str.strip, lines):
        row = parse_row(line)
        if row is None:
            damaged += 1
        else:
            rows.append(row)
    return rows, damaged


def metric_keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of what can be drawn, what a reader looks for first in front."""
    keys = dict.fromkeys(key for row in rows for key, value in row.items() if _is_number(value))
    keys.pop("step", None)

    def rank(key: str) -> int:
        return next((i for i, word in enumerate(FIRST) if word in key.lower()), len(FIRST))

    return sorted(keys, key=rank)  # stable: otherwise in the order of the file


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _is_number(value: object) -> bool:
    """Whether a value can be drawn: 1e308 and 10**400 cannot, their differences are infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def _before_first(path: Path) -> tuple[bool, str]:
    return not path.stem.startswith("before"), path.name


def _title(path: Path) -> str:
    """A heading made of a file's name; the number of a checkpoint goes into no heading."""
    words = re.sub(r"[-_]\d+$", "", path.stem)
    words = words.replace("_", " ") if "_" in words else words.replace("-", " ")
    return words[:1].upper() + words[1:]
