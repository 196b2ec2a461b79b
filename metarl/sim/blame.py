"""Whose fault it is when a family's method raises: its package, its method, its line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from metarl.errors import (
    FamilyError,
    MetaRLError,
    ShapeError,
    SimulationError,
    describe,
    is_interrupt,
    strangers,
)
from metarl.family import TaskFamily, timing_fault
from metarl.plugins import root_of, written

# The methods of the contract -> what they are given.
METHODS = {
    name: tuple(inspect.signature(value).parameters)[1:]
    for name, value in vars(TaskFamily).items()
    if inspect.isfunction(value) and not name.startswith("_")
}


class _Asks(Protocol):
    """What asks a family."""

    family: TaskFamily[Any]


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=_Asks)


def blame(family: TaskFamily[Any], error: BaseException) -> None:
    """Turn what a family's method raised, or left with, into a typed error.

    Nothing happens if it was not the family's doing, if it says itself what it wants (a
    FamilyError, a ConfigError), or if the user wishes to leave.

    Raises:
        FamilyError: Names package, method and line; or a ShapeError or SimulationError that does,
            if the method got that from the library. What was raised is the cause.
    """
    misused = isinstance(error, ShapeError | SimulationError)
    if (isinstance(error, MetaRLError) and not misused) or is_interrupt(error):
        return
    if isinstance(error, MemoryError):  # of whoever asked for so much
        return
    method, root = _method(family, error.__traceback__), root_of(type(family))
    if not method or (misused and method == "models"):  # an arm that the user named
        return
    kind = type(error) if isinstance(error, ShapeError | SimulationError) else FamilyError
    name = type(family).__name__
    raise kind(f"package {root}: {name}.{method}() raised {describe(error, root)}") from error


@contextmanager
def asking(family: TaskFamily[Any]) -> Iterator[None]:
    """Call a family's methods; see `blame`."""
    try:
        yield
    except BaseException as error:
        blame(family, error)
        raise


def asks(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Let a method of something that has a `family` blame it; see `blame`."""

    @functools.wraps(method)
    def asked(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except BaseException as error:
            blame(self.family, error)
            raise

    return asked


def require_methods(family: TaskFamily[Any]) -> None:
    """Check what can be known of a family before it is asked anything.

    Raises:
        FamilyError: If a method cannot be called as the contract says, or an attribute that
            decides how long an episode takes is none.
    """
    root = root_of(type(family))
    who = f"package {root}: {type(family).__name__}"
    for name, wanted in METHODS.items():
        with strangers(f"{who}.{name}", root, FamilyError):
            method = getattr(family, name)
        if not callable(method):
            raise FamilyError(f"{who}.{name} is {written(method)}; expected a method")
        if not _takes(method, wanted):
            raise FamilyError(
                f"{who}.{name}() cannot be called as it is; expected"
                f" {name}(self{''.join(f', {x}' for x in wanted)})"
            )
    if said := timing_fault(family):
        raise FamilyError(f"{who}: {said}")


def _takes(method: Callable[..., Any], arguments: tuple[str, ...]) -> bool:
    try:
        inspect.signature(method).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # written in C, where nobody can tell, or a function without self
        return not hasattr(method, "__func__")
    return True


def _method(family: TaskFamily[Any], trace: TracebackType | None) -> str:
    """The method of the family that the library called when the error came up, or none."""
    codes = {getattr(getattr(family, name), "__code__", None): name for name in METHODS}
    while trace is not None:
        name = codes.get(trace.tb_frame.f_code)
        if name:
            return name
        trace = trace.tb_next
    return ""
