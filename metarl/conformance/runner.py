"""Runs the checks, one row each; a family that raises is named, never traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from metarl.conformance import (
    contract,
    determinism,
    faults,
    interop,
    observations,
    pictures,
    skill,
)
from metarl.conformance.patience import Hangs, run_patiently
from metarl.conformance.remedies import BUILT
from metarl.conformance.subject import NotShown, Skipped, Subject
from metarl.errors import MetaRLError, MissingDependencyError, describe, is_interrupt
from metarl.family import TaskFamily
from metarl.plugins import root_of
from metarl.registry import family_class, make_family
from metarl.sim.blame import blame

_CHECKS = {
    **contract.CHECKS,
    **observations.CHECKS,
    **determinism.CHECKS,
    **faults.CHECKS,
    **skill.CHECKS,
    **interop.CHECKS,
    **pictures.CHECKS,
}


Outcome = Literal["pass", "fail", "skip", "not shown"]


@dataclass(frozen=True)
class CheckResult:
    """One row of a family's report.

    Args:
        name: What was checked.
        outcome: Whether it holds; skip: the family has nothing to check here; not shown: neither
            could be proven.
        detail: What was found, one line; may be empty where it holds.
    """

    name: str
    outcome: Outcome
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether it was checked and holds."""
        return self.outcome == "pass"

    @property
    def failed(self) -> bool:
        """Whether it was checked and does not hold."""
        return self.outcome == "fail"


def check_names() -> list[str]:
    """List the checks in the order in which they run."""
    return list(_CHECKS)


def checks() -> dict[str, Callable[[Subject], str]]:
    """The checks by name, in the order in which they run."""
    return dict(_CHECKS)


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
    """Run the checks one by one, for a progress bar; see `check_family`.

    After a check in which the family did not come back, the others are skipped.
    """
    try:
        made = _build(family) if isinstance(family, str) else family
    except Unbuilt as error:
        yield CheckResult(BUILT, "fail", _one_line(error))
        return
    subject, hangs = Subject(made, num_tasks), ""
    for name, check in _CHECKS.items():
        if hangs:
            yield CheckResult(name, "skip", f"not run: {hangs}")
            continue
        outcome, detail = _run(check, subject)
        if outcome == "hangs":
            hangs = f"in {name!r} the family did not come back"
        yield CheckResult(name, "fail" if outcome == "hangs" else outcome, detail)


def _build(name: str) -> TaskFamily[Any]:
    cls = family_class(name)
    try:
        return run_patiently(cls, make_family, name)
    except MissingDependencyError:  # nothing is wrong with the family
        raise
    except (MetaRLError, Hangs) as error:
        raise Unbuilt(str(error)) from error


class Unbuilt(MetaRLError):
    """The family's constructor raises or hangs."""


def _run(check: Callable[[Subject], str], subject: Subject) -> tuple[Any, str]:
    """What came of a check, and what it found."""
    try:
        return "pass", run_patiently(subject.family, check, subject) or ""
    except Skipped as error:
        return "skip", _one_line(error)
    except NotShown as error:
        return "not shown", _one_line(error)
    except Hangs as error:
        return "hangs", _one_line(error)
    except BaseException as error:  # a stranger's family may raise anything at all
        if is_interrupt(error):
            raise
        return "fail", _blamed(subject.family, error)


def _blamed(family: TaskFamily[Any], error: BaseException) -> str:
    """Who is to blame for an error, and what it says."""
    try:
        blame(family, error)
    except MetaRLError as better:
        return _one_line(better)
    if isinstance(error, MetaRLError):
        return _one_line(error)
    root = root_of(type(family))
    return f"package {root}: {describe(error, root)}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
