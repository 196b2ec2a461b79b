"""A family that does not come back is told so."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from metarl.family import TaskFamily
from metarl.plugins import root_of
from metarl.sim.outside.worker import ASKED

HUNG_S = 60.0  # for one call of a family's method
LONG_S = 900.0  # for one check
_TICK_S = 0.5


class Hangs(BaseException):
    """A family's method has not come back; no Exception, which a family may catch."""


@contextlib.contextmanager
def patience(family: TaskFamily[Any] | type[TaskFamily[Any]]) -> Iterator[None]:
    """Wait for a family no longer than it takes.

    Only where Python delivers signals: in the main thread, not on Windows. What hangs in C cannot
    be woken.

    Raises:
        Hangs: If one call of its code takes `HUNG_S`, or all of them `LONG_S`.
    """
    cls = family if isinstance(family, type) else type(family)
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return
    watch = _Watch(root_of(cls))
    handler = signal.signal(signal.SIGALRM, watch.tick)
    before = signal.setitimer(signal.ITIMER_REAL, _TICK_S, _TICK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)
        signal.signal(signal.SIGALRM, handler)


class _Watch:
    """Sees which call of a package runs, and since when."""

    def __init__(self, package: str):
        self.package = package
        self.start_s = time.monotonic()
        self.call: FrameType | None = None
        self.since_s = 0.0

    def tick(self, number: int, frame: FrameType | None) -> None:
        call, at, now_s = *self._outermost(frame), time.monotonic()
        if call is not self.call:
            self.call, self.since_s = call, now_s
        hung_s, long_s = now_s - self.since_s, now_s - self.start_s
        if call is None or (hung_s < HUNG_S and long_s < LONG_S):
            return
        name = f"package {self.package}: {_called(call)}"
        self.call = None  # else it would keep alive what the family holds
        where = f"({os.path.basename(at[0])}:{at[1]})"
        if hung_s >= HUNG_S:
            raise Hangs(f"{name} has not come back for {hung_s:.0f} s {where}")
        raise Hangs(f"{name} was still running when the check had taken {long_s:.0f} s {where}")

    def _outermost(self, frame: FrameType | None) -> tuple[FrameType | None, tuple[str, int]]:
        """The call of the package that this library made, and the package's line that runs."""
        call, at, below = None, ("", 0), frame
        while frame is not None and frame.f_code is not _END:
            asked = frame.f_code is ASKED  # whom it calls is an environment of somebody else's
            theirs = below if asked and below is not None else frame
            own = str(frame.f_globals.get("__name__", "")).partition(".")[0] == self.package
            if own or asked:
                call = frame
                at = at if at[1] else (theirs.f_code.co_filename, theirs.f_lineno)
            below, frame = frame, frame.f_back
        return call, at


def _called(call: FrameType) -> str:
    if call.f_code is ASKED:
        return f"{call.f_locals.get('what')} of its environment"
    return f"{call.f_code.co_qualname}()"


def run_patiently(family: TaskFamily[Any] | type[TaskFamily[Any]], work: Any, *given: Any) -> Any:
    """Call a function with `patience`."""
    with patience(family):
        return work(*given)


_END = run_patiently.__code__  # who called this is no business of a family's
