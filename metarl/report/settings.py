"""What was run, on a run's page: the command, what it took, and what was set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metarl.errors import MetaRLError
from metarl.report.html import Report, flatten, format_duration
from metarl.runs.command import command_of, method_of
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
    made = config.get("made-with")
    made = made if isinstance(made, Mapping) else {}
    said: dict[str, object] = {}
    if command := command_of(config):
        said["command"] = command
    steps, seconds = result.get("steps"), result.get("seconds")
    if is_number(steps):
        said["control steps"] = f"{steps:,.0f}"
    if seconds is not None and is_number(seconds):
        said["training time"] = format_duration(seconds)
    if not result:
        said["state"] = "not finished"
    where = [f"{name} {made[name]}" for name in _MACHINE[:3] if name in made]
    where += [str(made["cpu"])] if "cpu" in made else []
    where += [f"{made['num_cores']} cores"] if "num_cores" in made else []
    if where:
        said["made with"] = ", ".join(where)
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
    report.facts("All settings", flatten({k: v for k, v in config.items() if k not in NO_FIELDS}))


def _defaults_and_docs(config: Saved) -> tuple[Saved, Mapping[str, str]] | None:
    """The defaults of the method that a run was trained by, and what they mean; None: not known."""
    from metarl.methods import defaults_of, get_training, training_names

    name = method_of(command_of(config))
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


def _as_saved(values: Saved) -> Saved:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
