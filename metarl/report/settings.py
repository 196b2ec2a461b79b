"""What was run, on a run's page: the command, what it took, and what was set."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metarl.errors import MetaRLError
from metarl.report.html import Report, flatten, format_duration
from metarl.runs.command import command_of, method_of, subject_of
from metarl.runs.config import NO_FIELDS, config_defaults
from metarl.runs.fields import field_docs
from metarl.runs.reading import is_number

_COLUMNS = ("setting", "here", "default", "what it is")
TOLD = ("steps", "num_steps", "seconds")  # of a result, by `about`
_MACHINE = ("metarl", "torch", "mujoco", "cpu", "num_cores")
Saved = Mapping[str, Any]


def about(config: Saved, result: Saved) -> dict[str, object]:
    """Say what was run, what it took and where.

    Args:
        config: What config.json holds.
        result: What result.json holds; empty: the run has not ended.
    """
    command = command_of(config)
    said: dict[str, object] = _explained(method_of(command), subject_of(command))
    if command:
        said["command"] = command
    steps, seconds = result.get("steps"), result.get("seconds")
    if is_number(steps):
        said["control steps"] = f"{steps:,.0f}"
    if seconds is not None and is_number(seconds):
        said["training time"] = format_duration(seconds)
    if not result:
        said["state"] = "not finished"
    return said | _made(config)


def again(saved: Saved, folder: Path) -> dict[str, object]:
    """Say how to make results anew, and with what they were made.

    Args:
        saved: What the results' file holds; empty: there is none yet.
        folder: Whose page it is.
    """
    command = command_of(saved)
    said: dict[str, object] = {"command": command} if command else {}
    return {**said, "this page alone": f"metarl report {folder}", **_made(saved)}


def _made(saved: Saved) -> dict[str, object]:
    """The versions and the machine that made something."""
    made = saved.get("made-with")
    made = made if isinstance(made, Mapping) else {}
    where = [f"{name} {made[name]}" for name in _MACHINE[:3] if name in made]
    where += [str(made["cpu"])] if "cpu" in made else []
    where += [f"{made['num_cores']} cores"] if "num_cores" in made else []
    return {"made with": ", ".join(where)} if where else {}


def in_short(config: Saved) -> list[str]:
    """What a run was, in words of a line: method, families, seed."""
    command = command_of(config)
    own = [str(config.get("method") or method_of(command))]
    own += [str(config.get("family") or subject_of(command))]
    own += [f"seed {config['seed']}"] if "seed" in config else []
    return [word for word in own if word]


def _explained(method: str, subject: str) -> dict[str, object]:
    """Say what a method does, and what its families ask for, where they are installed."""
    from metarl.methods import get_method
    from metarl.registry import family_class

    said = dict[str, object]()
    if method:
        said["method"] = method
        with contextlib.suppress(MetaRLError):  # a package's that is broken or gone
            said["method"] = f"{method}: {get_method(method).doc}"
    told = []
    for name in subject.split():
        told.append(name)
        if ":" in name:  # a page has no module imported
            continue
        with contextlib.suppress(MetaRLError):
            words = (family_class(name).__doc__ or "").partition("\n")[0].rstrip(".")
            told[-1] = f"{name}: {words}" if words else name
    if told:
        said["learned on"] = "; ".join(told)
    return said


def add_settings(report: Report, config: Saved) -> None:
    """Add what differs from the method's defaults, with what it means; then all settings.

    A config of a method that is not known here is shown as it is.

    Args:
        report: The page.
        config: What config.json holds.
    """
    found = _defaults_and_docs(config)
    if found is None:
        report.text(
            "Settings",
            "Which of them differ from the defaults is not known: no method that is"
            " installed here has this config.",
        )
    else:
        defaults, docs = found
        rows = [
            [name, value, defaults[name], docs.get(name, "")]
            for name, value in config.items()
            if name in defaults and value != defaults[name]
        ]
        if rows:
            report.table("Settings that differ from the defaults", _COLUMNS, rows)
        else:
            report.text("Settings", "Every setting is the default.")
    every = flatten({k: v for k, v in config.items() if k not in NO_FIELDS})
    known = {} if found is None else found[1]
    report.facts("All settings", every, meaning=lambda name: known.get(name, ""))


def _defaults_and_docs(config: Saved) -> tuple[Saved, Mapping[str, str]] | None:
    """The defaults of the method that a run was trained by, and what they mean; None: not known."""
    from metarl.methods import defaults_of, get_training, training_names

    name = method_of(command_of(config))
    if name.startswith("perceive "):
        return _of_pictures(str(config.get("class")))
    if name not in training_names():
        return None
    try:
        training = get_training(name)
        defaults = {**config_defaults(training.config()), **defaults_of(training)}
    except MetaRLError:  # a package's that is broken or gone
        return None
    if training.config.__name__ != str(config.get("class")).rpartition(".")[2]:
        return None
    return _as_saved(defaults), field_docs(training.config)


def _of_pictures(cls: str) -> tuple[Saved, Mapping[str, str]] | None:
    """The same of a run that learned from pictures; None: of another class than ours."""
    from metarl.perception.fewshot.config import FewShotConfig
    from metarl.perception.swap_config import SwapConfig

    for own in (SwapConfig, FewShotConfig):
        if cls.rpartition(".")[2] == own.__name__:
            return _as_saved(config_defaults(own())), field_docs(own)
    return None


def _as_saved(values: Saved) -> Saved:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
