"""Runs the checks, one row each; a family that raises is named, never traced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from metarl.conformance import contract, determinism, faults, interop, observations, skill
from metarl.conformance.subject import Subject, Unmet
from metarl.errors import MetaRLError, describe
from metarl.family import TaskFamily
from metarl.registry import family_class, make_family

_CHECKS = {
    **contract.CHECKS,
    **observations.CHECKS,
    **determinism.CHECKS,
    **faults.CHECKS,
    **skill.CHECKS,
    **interop.CHECKS,
}


@dataclass(frozen=True)
class CheckResult:
    """One row of a family's report.

    Args:
        name: What was checked.
        passed: Whether it holds.
        detail: What was found, one line; may be empty where it holds.
    """

    name: str
    passed: bool
    detail: str = ""


def check_names() -> list[str]:
    """List the checks in the order in which they run."""
    return list(_CHECKS)


def check_family(family: TaskFamily[Any] | str, *, num_tasks: int = 64) -> list[CheckResult]:
    """Run every check on a family.

    Args:
        family: A family or its registered name.
        num_tasks: Tasks on which random play, standing still and the expert are judged.
    Returns:
        A row per check.
    Raises:
        UnknownNameError: If no family has the name.
    """
    return list(iter_checks(family, num_tasks=num_tasks))


def iter_checks(family: TaskFamily[Any] | str, *, num_tasks: int = 64) -> Iterator[CheckResult]:
    """Run the checks one by one, for a progress bar; see `check_family`."""
    if isinstance(family, str):
        family_class(family)
        try:
            family = make_family(family)
        except MetaRLError as error:
            yield CheckResult("the family is built", False, _one_line(error))
            return
    subject = Subject(family, num_tasks)
    for name, check in _CHECKS.items():
        try:
            yield CheckResult(name, True, check(subject) or "")
        except Unmet as error:
            yield CheckResult(name, False, _one_line(error))
        except Exception as error:  # a stranger's family may raise anything at all
            yield CheckResult(name, False, _blame(family, error))


def _blame(family: TaskFamily[Any], error: Exception) -> str:
    package = type(family).__module__.partition(".")[0]
    method = _method(family, error.__traceback__)
    return f"package {package}: {method}{describe(error, package)}"


def _method(family: TaskFamily[Any], traceback: TracebackType | None) -> str:
    """The family's method that the library called when the error came up."""
    contract = [name for name in vars(TaskFamily) if not name.startswith("_")]
    codes = {getattr(getattr(family, n), "__code__", None): n for n in contract}
    while traceback is not None:
        name = codes.get(traceback.tb_frame.f_code)
        if name:
            return f"{type(family).__name__}.{name}() raised "
        traceback = traceback.tb_next
    return ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
