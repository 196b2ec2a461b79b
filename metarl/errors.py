"""The errors that metarl raises on purpose.

Every message says what was given, what was expected, and the valid choices.
The command line prints them in one line and exits with status 2.
"""

from __future__ import annotations

import difflib
import os
import traceback
from collections.abc import Iterable

_LONGEST = 200  # characters of a value in a message


class MetaRLError(Exception):
    """Base of every error that metarl raises on purpose."""


class ShapeError(MetaRLError, ValueError):
    """An array has the wrong shape or dtype, or values that are not finite."""


class ConfigError(MetaRLError, ValueError):
    """A configuration value is misspelt, unknown or out of range."""


class UnknownNameError(MetaRLError, KeyError):
    """A name that is not registered; the message lists the nearest valid ones."""

    def __init__(self, kind: str, name: str, valid: Iterable[str]):
        super().__init__(unknown(kind, name, valid))

    def __str__(self) -> str:  # KeyError would print the message's repr
        return str(self.args[0])


class FamilyError(MetaRLError):
    """A task family breaks its contract; the message names package and method."""


class SimulationError(MetaRLError):
    """Physics cannot go on: a malformed model, or a world that cannot be reset."""


class CheckpointError(MetaRLError):
    """A checkpoint or run folder is missing, damaged or from another architecture."""


class DamagedError(CheckpointError):
    """A checkpoint's bytes are not those that were written; an earlier one may be whole."""


class RenderError(MetaRLError):
    """No picture can be drawn or no film encoded; the message names the remedy."""


class OutputError(MetaRLError):
    """A file cannot be written where it was asked for; the message names the remedy."""


class TrainingError(MetaRLError):
    """An update was refused: its loss or gradient is not finite."""


class MissingDependencyError(MetaRLError, ImportError):
    """An optional package is absent; the message is the line that installs it."""


class ChangedFamilyWarning(UserWarning):
    """A family is no longer what a checkpoint was trained on; the message says what differs."""


def unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    """Say that a name is unknown, the nearest valid names first.

    Args:
        kind: What the name should have named, for example ``"family"``.
        name: What was given.
        valid: The valid names.
    Returns:
        One line.
    """
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r};{hint} valid: {', '.join(names) or '(none)'}"


def require(holds: bool, name: str, value: object, valid: str) -> None:
    """Check a field of a config.

    Args:
        holds: Whether the value is valid.
        name: The field.
        value: What was given.
        valid: What is valid, in words.
    Raises:
        ConfigError: If it is not.
    """
    if not holds:
        raise ConfigError(f"{name} is {shown(value)}; expected {valid}")


def shown(value: object) -> str:
    """Show a value in a message, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def describe(error: BaseException, package: str) -> str:
    """Say what a stranger's code raised, and at which of its own lines.

    Args:
        error: What was raised.
        package: The stranger's top-level package.
    Returns:
        One line: ``KeyError: 'pot' (families.py:12)``.
    """
    said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    own = [
        f"{os.path.basename(frame.f_code.co_filename)}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] == package
    ]
    return f"{said} ({own[-1]})" if own else said
