"""Several runs on one page: seeds of the same settings are a band, other settings another curve."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metarl.adapt.statistics import Interval, t_interval
from metarl.errors import ConfigError
from metarl.report.html import Report, format_duration
from metarl.report.names import meaning
from metarl.report.plots import Curve, curves_png
from metarl.report.run import FIRST, metric_keys, read_own_metrics
from metarl.report.updates import is_after
from metarl.runs.command import command_of, method_of, subject_of
from metarl.runs.config import NO_FIELDS, read_json
from metarl.runs.reading import is_number

_SEEDS = ("seed", "noise")  # what runs of one group differ in
_POINTS = 200  # of a curve, where runs have other steps
_LAST = 0.1  # share of a training whose mean is its end
_MOST = 8  # curves of a picture
_STEPS = "num_steps"
_SHOWN = 40  # letters of a setting in a label


@dataclass(frozen=True)
class Trained:
    """A run, as far as comparing goes.

    Attributes:
        name: Of its folder.
        about: Method and family.
        settings: Its config without seeds.
        seed: Its seed and noise, as they are told.
        rows: Its metrics.
        seconds: Training time [s]; None: it has not ended.
    """

    name: str
    about: str
    settings: Mapping[str, Any]
    seed: str
    rows: Sequence[Mapping[str, Any]]
    seconds: float | None


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but seed and noise.

    Attributes:
        label: What sets them apart from the others.
        runs: One at least.
    """

    label: str
    runs: Sequence[Trained]


def several_report(folders: Sequence[Path]) -> Report:
    """Compare runs on one page.

    Args:
        folders: Run folders, two at least, of whatever methods and families.
    Returns:
        The report, not yet written.
    Raises:
        ConfigError: If a folder is no run, stands there twice, or there is a single one.
        CheckpointError: If a config or result is damaged.
    """
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise ConfigError("expected two run folders or more, each once")
    runs = [_read(folder) for folder in folders]
    groups, again = _once(_group(runs))
    report = Report(f"{len(runs)} runs", ", ".join(dict.fromkeys(run.about for run in runs)))
    _add_ends(report, groups)
    _add_differences(report, groups)
    if again:
        report.text("Counted once", again)
    _add_updates(report, groups)
    _add_curves(report, groups)
    report.table(
        "The runs",
        ("run", "of", "seed", "iterations", "training time"),
        [
            [run.name, group.label, run.seed, len(run.rows), _time(run.seconds)]
            for group in groups
            for run in group.runs
        ],
    )
    return report


def _read(folder: Path) -> Trained:
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"{folder} has no config.json; only runs that train are compared on one page"
        )
    config = read_json(folder / "config.json")
    rows, _ = read_own_metrics(folder)
    done = folder / "result.json"
    seconds = read_json(done).get("seconds") if done.is_file() else None
    command = command_of(config)
    about = " ".join(part for part in (method_of(command), subject_of(command)) if part)
    settings = {k: v for k, v in config.items() if k not in (*NO_FIELDS, *_SEEDS)}
    seed = str(config.get("seed", ""))
    seed += f", noise {config['noise']}" if config.get("noise") else ""
    found = float(seconds) if seconds is not None and is_number(seconds) else None
    return Trained(folder.resolve().name, about or folder.name, settings, seed, rows, found)


def _group(runs: Sequence[Trained]) -> list[Group]:
    """Put seeds together, and name groups by what differs between them."""
    by_key: dict[str, list[Trained]] = {}
    for run in runs:
        key = json.dumps([run.about, dict(run.settings)], sort_keys=True, default=str)
        by_key.setdefault(key, []).append(run)
    groups = list(by_key.values())
    labels = []
    for mine in groups:
        alike = [other[0] for other in groups if other[0].about == mine[0].about]
        differs = _differing([run.settings for run in alike])
        said = [f"{name}={_short(mine[0].settings.get(name))}" for name in differs]
        labels.append(", ".join([mine[0].about, *said]))
    return [Group(label, mine) for label, mine in zip(labels, groups)]


def _once(groups: Sequence[Group]) -> tuple[list[Group], list[str]]:
    """Leave out runs of a group that have the seed of another one there: a band of these says too much."""
    kept, told = [], list[str]()
    for group in groups:
        first = dict[str, Trained]()
        for run in group.runs:
            if first.setdefault(run.seed, run) is not run:
                told.append(f"{run.name} has the settings and the seed of {first[run.seed].name}.")
        kept.append(Group(group.label, list(first.values())))
    return kept, told


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    names = dict.fromkeys(itertools.chain(*settings))
    return [n for n in names if len({json.dumps(s.get(n), default=str) for s in settings}) > 1]


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _keys(groups: Sequence[Group]) -> list[str]:
    """What is worth comparing, of every run that has it: success, score and return; else losses."""
    found = dict.fromkeys(key for g in groups for run in g.runs for key in metric_keys(run.rows))
    plain = [key for key in found if "/" not in key and not is_after(key)]
    first = [key for key in plain if any(word in key for word in FIRST)]
    return first or [key for key in plain if "loss" in key or "error" in key]


def _add_ends(report: Report, groups: Sequence[Group]) -> None:
    """A row a group: where it ended, as the mean of the last tenth of its training."""
    keys = _keys(groups)
    rows = []
    for group in groups:
        row: list[object] = [group.label, len(group.runs)]
        for key in keys:
            ends = [end for run in group.runs if (end := _end(run, key)) is not None]
            row.append(_said(ends))
        times = [run.seconds for run in group.runs if run.seconds is not None]
        rows.append([*row, _time(float(np.mean(times)) if times else None)])
    report.table("Where they ended", ("of", "runs", *keys, "training time"), rows)
    report.text(
        "How to read it",
        [
            "Numbers are of training tasks: the mean of the last tenth of each training, then the mean over"
            " its runs [95% t interval over runs; none of a single one]. Two groups whose intervals overlap"
            " may differ by chance; a run with other noise tells by how much.",
            *(f"{key}: {said}." for key in keys if (said := meaning(key))),
        ],
    )


def _end(run: Trained, key: str) -> float | None:
    values = [row[key] for row in run.rows if row.get(key) is not None]
    return float(np.mean(values[-max(1, round(_LAST * len(values))) :])) if values else None


def _said(ends: Sequence[float]) -> str:
    if not ends:
        return ""
    around = t_interval(np.array(ends))
    mean = f"{np.mean(ends):.3g}"
    return mean if np.isnan(around.low) else f"{mean} [{around.low:.3g}, {around.high:.3g}]"


def _time(seconds: float | None) -> str:
    return "not finished" if seconds is None else format_duration(seconds)


def _add_differences(report: Report, groups: Sequence[Group]) -> None:
    names = _differing([group.runs[0].settings for group in groups])
    if names:
        rows = [
            [name, *(_short(group.runs[0].settings.get(name)) for group in groups)]
            for name in names
        ]
        report.table("What differs", ("setting", *(group.label for group in groups)), rows)


def _add_updates(report: Report, groups: Sequence[Group]) -> None:
    """Draw success against updates at the end of training, a curve a group that learned to adapt."""
    if len(groups) > _MOST:
        return
    curves = [curve for group in groups if (curve := _after_each(group)) is not None]
    if curves:
        png = curves_png(
            curves, title="What adapting is worth", xlabel="updates on a task", ylabel="success"
        )
        said = "; ".join(
            f"{c.label}: {c.mean[0]:.0%} before, {c.mean[-1]:.0%} after" for c in curves
        )
        report.picture(
            "Before and after adapting", png,
            caption="On training tasks, in the last tenth of training. Mean over runs; the band is its 95%"
            " t interval, where there are several.",
            alt=f"Success after each update. {said}",
        )  # fmt: skip


def _after_each(group: Group) -> Curve | None:
    """Success after each update in the last tenth of training; None: these runs do not adapt."""
    keys = dict.fromkeys(k for run in group.runs for k in metric_keys(run.rows) if is_after(k))
    after = sorted((int(key.rpartition("_")[2]), key) for key in keys)
    ends = [[_end(run, key) for _, key in after] for run in group.runs]
    whole = [np.array(row, dtype=np.float64) for row in ends if None not in row]
    if len(after) < 2 or not whole:
        return None
    values = np.stack(whole)  # (runs, U)
    around = [t_interval(column) for column in values.T]
    low, high = (np.array([getattr(each, end) for each in around]) for end in ("low", "high"))
    x = np.array([update for update, _ in after], dtype=np.float64)
    return Curve(group.label, x, values.mean(0), low, high)


def _add_curves(report: Report, groups: Sequence[Group]) -> None:
    if len(groups) > _MOST:
        report.text("Curves", f"Not drawn: {len(groups)} curves are more than {_MOST}.")
        return
    steps = all(row.get(_STEPS) is not None for g in groups for r in g.runs for row in r.rows)
    for key in _keys(groups):
        curves = [c for g in groups if (c := _curve(g, key, _STEPS if steps else "step"))]
        if curves:
            what = "control steps" if steps else "iterations"
            png = curves_png(curves, title=f"{key} while training", xlabel=what, ylabel=key)
            ends = ", ".join(f"{c.label} {c.mean[0]:.3g} to {c.mean[-1]:.3g}" for c in curves)
            alt = f"{key} over {what}, from first to last: {ends}"
            caption = "Mean over runs; the band is its 95% t interval, where there are several."
            report.picture(key, png, caption=caption, alt=alt)


def _curve(group: Group, key: str, at: str) -> Curve | None:
    """The mean of a group's runs, as far as all of them have come."""
    lines = []
    for run in group.runs:
        points = [(row[at], row[key]) for row in run.rows if row.get(key) is not None]
        if points:
            lines.append(np.array(points, dtype=np.float64).T)
    if not lines:
        return None
    x = lines[0][0]
    if any(not np.array_equal(line[0], x) for line in lines):
        low, high = max(line[0][0] for line in lines), min(line[0][-1] for line in lines)
        if low > high:  # they have nothing in common yet
            return None
        x = np.linspace(low, high, _POINTS if high > low else 1)
    values = np.stack([np.interp(x, *line) for line in lines])  # (runs, U)
    around: list[Interval] = [t_interval(column) for column in values.T]
    low, high = (np.array([getattr(each, end) for each in around]) for end in ("low", "high"))
    return Curve(group.label, x, values.mean(0), low, high)
