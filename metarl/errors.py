"""The errors that metarl raises on purpose.

Every message says what was given, what was expected, and the valid choices.
The command line prints them in one line and exits with status 2.
"""

from __future__ import annotations

import contextlib
import difflib
import dis
import os
import traceback
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType

_RAISE = dis.opmap["RAISE_VARARGS"]

_LONGEST = 200  # characters of a value in a message


class MetaRLError(Exception):
    """Base of every error that metarl raises on purpose."""


class ShapeError(MetaRLError, ValueError):
    """An array has the wrong shape or dtype, or values that are not finite."""


class TaskError(ShapeError):
    """A task from outside has another type or width than a family's, or leaves its range."""


class ScoreError(MetaRLError, ValueError):
    """Samples from which a score is not defined: too few, all of one class, no spread."""


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


def printable(text: str) -> str:
    """Write what a terminal would obey, escapes and line ends among them, as its code."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


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


def counted(number: int, thing: str) -> str:
    """Write how many there are, of a thing whose plural takes an s: ``1 cell``, ``2,000 cells``."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def describe(error: BaseException, package: str) -> str:
    """Say what a stranger's code raised, and at which of its own lines.

    Args:
        error: What was raised.
        package: The stranger's top-level package.
    Returns:
        One line: ``KeyError: 'pot' (families.py:12)``.
    """
    said = ": ".join(x for x in (type(error).__name__, _words(error)) if x)
    own = [
        f"{os.path.basename(frame.f_code.co_filename)}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _root(frame) == package
    ]
    return f"{said} ({own[-1]})" if own else said


def _words(error: BaseException) -> str:
    """An error's message in one line, no longer than anyone reads."""
    try:
        words = " ".join(str(error).split())
    except Exception:  # a stranger's __str__
        return "(its message cannot be read)"
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}..."


def _root(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def root_of_error(error: BaseException) -> str:
    """The top-level package in which an error came up; empty if it was never raised."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return _root(frames[-1]) if frames else ""


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception is the user's wish to leave, not a mistake in code that ran.

    A stranger's code may call ``sys.exit()`` or raise KeyboardInterrupt itself: these are
    mistakes. Ctrl-C comes up between two instructions, never at a ``raise``; and what metarl
    itself leaves with is raised by metarl.
    """
    if isinstance(error, Exception):
        return False
    if root_of_error(error) in ("", "metarl"):
        return True
    return isinstance(error, KeyboardInterrupt) and not _by_raise(error.__traceback__)


def _by_raise(trace: TracebackType | None) -> bool:
    """Whether the innermost frame of a traceback stands at a ``raise``."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_code[trace.tb_lasti] == _RAISE


@contextlib.contextmanager
def strangers(who: str, package: str, kind: type[MetaRLError]) -> Iterator[None]:
    """Run code from outside: whatever it raises, or leaves with, becomes a typed error.

    What metarl raised on purpose, and Ctrl-C, pass.

    Args:
        who: What runs, for the message: ``package p: method 'm'``.
        package: Its top-level package, whose line is named.
        kind: The error's type.
    Raises:
        MetaRLError: Of that kind; what was raised is its cause.
    """
    try:
        yield
    except MetaRLError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise kind(f"{who} raised {describe(error, package)}") from error
