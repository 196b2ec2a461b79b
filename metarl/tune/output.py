"""A search as text: a line a trial, the table, what must be said of it, and tuning.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarl.adapt.comparison import UNITS
from metarl.benchmark.cells import train_command
from metarl.benchmark.output import interval, number
from metarl.errors import counted
from metarl.learn.train import setting_text
from metarl.methods import get_method, training_config
from metarl.runs.config import config_values, made_with
from metarl.runs.run import TUNING_FILE, write_json
from metarl.tune.cells import FAILED
from metarl.tune.search import Search
from metarl.tune.trials import USUAL, Trial, Tuned, attempts

OWN = "own settings"  # of the method: the first trial
OPTIMISTIC = (
    "The best is optimistic: these tasks are training tasks, and the search chose by them. Test tasks were"
    " not met; only they say what the settings are worth."
)


def unit(search: Search) -> str:
    """What is judged, with its unit."""
    return UNITS[search.metric]


def name_of(trial: Trial) -> str:
    """How a trial is called."""
    return f"{trial.number}, {OWN}" if trial.number == USUAL else str(trial.number)


def pairs(settings: Mapping[str, Any]) -> list[str]:
    """Settings as ``--set`` takes them."""
    return [f"{name}={setting_text(value)}" for name, value in settings.items()]


def line(trial: Trial, best: Trial | None, search: Search) -> str:
    """What is told when a trial has ended."""
    words = f"trial {name_of(trial)} ({' '.join(pairs(trial.settings))})"
    if trial.value is None or best is None or best.value is None:
        return f"{words} failed: {trial.failed}"
    reached = f"{words}: {unit(search)} {interval(trial.value, search.metric)}"
    if best.number == trial.number:
        return f"{reached}, the best so far"
    return f"{reached}; best {number(best.value.mean, search.metric)} (trial {best.number})"


def columns(search: Search) -> tuple[str, ...]:
    """The heads of the table's columns."""
    return ("trial", unit(search), *search.search, "training [steps]", "training [s]")


def rows(found: Tuned) -> list[tuple[str, ...]]:
    """The trials, best first, a text for each of `columns`."""
    return [_row(trial, found.search) for trial in found.ranked]


def _row(trial: Trial, search: Search) -> tuple[str, ...]:
    reached = FAILED if trial.value is None else interval(trial.value, search.metric)
    cost = (f"{trial.steps:,}", f"{trial.seconds:.0f}") if trial.value is not None else ("", "")
    return (name_of(trial), reached, *map(setting_text, trial.settings.values()), *cost)


def about(search: Search) -> str:
    """How trials are judged, in sentences."""
    p = search.protocol
    judged = f"{counted(p.num_tasks, 'training task')} drawn apart from those that are trained"
    if get_method(search.method).adapting is None:
        how = f"Judged by {counted(p.eval_episodes, 'episode')} of each of {judged}, without an update."
    else:
        how = (
            f"Judged on {judged}, by {counted(p.eval_episodes, 'episode')} of each after"
            f" {counted(p.updates, 'update')} of {counted(p.episodes, 'episode')}."
        )
    of = "over seeds" if search.seeds > 1 else "over tasks: it says nothing about other trainings"
    return (
        f"{how} Each trial is the mean of {counted(search.seeds, 'training')} of"
        f" {counted(search.iterations, 'iteration')} [95% bootstrap interval {of}]. The same tasks judge"
        " every trial."
    )


def sentences(found: Tuned) -> list[str]:
    """What must be said of what was found."""
    best, usual, search = found.best, found.usual, found.search
    said = list[str]()
    if failed := found.failed:
        said.append(f"{counted(len(failed), 'trial')} of {len(found.trials)} failed.")
    if best is None or best.value is None:
        return [*said, "No trial was finished: there is nothing to choose from."]
    if (
        all(t.value is None or t.value.mean == 0 for t in found.trials)
        and search.metric != "returns"
    ):
        said.append(f"Every trial has {search.metric} 0; --metric returns would tell them apart.")
    elif usual is None or usual.value is None:
        said.append("The method's own settings have no result to be compared with.")
    elif best is usual:
        said.append("Nothing that was tried is better than the method's own settings.")
    else:
        lead = number(best.value.mean - usual.value.mean, search.metric)
        points = {"success": " points", "score": "", "returns": ""}[search.metric]
        said.append(f"The best is {lead}{points} ahead of the method's own settings.")
        if not best.value.mean_low > usual.value.mean_high:
            said.append("Their intervals overlap: the difference may be noise.")
    return [*said, OPTIMISTIC]


def best_command(found: Tuned, folder: Path) -> str:
    """The `metarl train` of the best settings, with a seed that no trial had; "": there is none.

    Args:
        found: What is known.
        folder: The search's, which has a copy of the policy that trainings start from.
    """
    search, best = found.search, found.best
    if best is None:
        return ""
    return train_command(
        search.family, search.method, search.iterations, {**search.settings, **best.settings},
        search.training_seeds.stop,
        start=None if search.start is None else str(folder / search.start.file),
    )  # fmt: skip


def to_json(found: Tuned, folder: Path, trials: int) -> dict[str, Any]:
    """Give everything as JSON values."""
    best = found.best
    return {
        "search": config_values(found.search),
        "trials": [_trial_json(trial, found.search) for trial in found.trials],
        "missing": max(0, trials - len(found.trials)),
        "best": None if best is None else best.number,
        "command": best_command(found, folder),
        "said": [about(found.search), *sentences(found)],
    }


def _trial_json(trial: Trial, search: Search) -> dict[str, Any]:
    value = trial.value
    said: dict[str, Any] = {"trial": trial.number, "settings": dict(trial.settings)}
    if value is None:
        return {**said, FAILED: trial.failed}
    return {
        **said, "value": value.mean, "low": _known(value.mean_low), "high": _known(value.mean_high),
        "seeds": dict(zip(map(str, search.training_seeds), trial.reached)),
        "steps": trial.steps, "seconds": round(trial.seconds, 3),
        "runs": [cell.folder for cell in attempts(search, trial.number, trial.settings)],
    }  # fmt: skip


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def write_tuning(found: Tuned, folder: Path, trials: int, command: str) -> Path:
    """Write what is known as JSON.

    Raises:
        CheckpointError: If it cannot be written.
    """
    write_json(folder / TUNING_FILE, {**to_json(found, folder, trials), **made_with(command)})
    return folder / TUNING_FILE


def settings_of_best(found: Tuned) -> Mapping[str, Any]:
    """The settings of the best trial; {}: there is none."""
    return {} if found.best is None else found.best.settings


def config_of(search: Search) -> type[Any]:
    """The dataclass of the method's config."""
    return training_config(search.method)


def best_runs(found: Tuned, folder: Path) -> Sequence[Path]:
    """The run folders of the best trial."""
    best = found.best
    if best is None:
        return []
    return [folder / cell.folder for cell in attempts(found.search, best.number, best.settings)]
