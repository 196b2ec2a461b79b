"""Leaving on signals: with the work saved, or at once with nothing half done left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator



class Interrupted(KeyboardInterrupt):
    """A signal came while `Signals.interrupting`; what was under way is to be given up."""


class Signals:
    """What `on_signals` has seen.

    Attributes:
        stop: The number of the first signal that came, or None.
    """

    def __init__(self) -> None:
        self.stop: int | None = None
        self._may_interrupt = False

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Let a signal raise `Interrupted` within: for work that can be given up at any moment.

        A stranger's code that sleeps, and loops without an end, are left too.
        """
        self._may_interrupt = True
        try:
            if self.stop is not None:  # it came a moment before
                raise Interrupted
            yield
        finally:
            self._may_interrupt = False

    def _receive(self, number: int, frame: object) -> None:
        if self.stop is not None:
            # The second one leaves at once, whatever is under way and whoever catches what.
            os.write(2, b"\nleft at once; what was saved before is intact\n")
            os._exit(128 + number)
        self.stop = number
        if self._may_interrupt:
            self._may_interrupt = False
            raise Interrupted


class Stopped(SystemExit):
    """Leave after a signal, with the exit code that shells expect: 130 SIGINT, 143 SIGTERM."""

    def __init__(self, number: int):
        super().__init__(128 + number)


@contextlib.contextmanager
def on_signals() -> Iterator[Signals]:
    """Note SIGINT, SIGTERM and SIGHUP, so that a training loop can save before it leaves.

    The loop asks for ``signals.stop`` between its steps, saves, and raises
    ``Stopped(signals.stop)``; what takes long it runs under ``signals.interrupting()``. A second
    signal leaves at once. Outside the main thread, where Python delivers no signals, nothing is
    noted.
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    hang_up = getattr(signal, "SIGHUP", None)  # Windows lacks it
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:  # as nohup has it
        numbers.append(hang_up)
    previous = {number: signal.signal(number, signals._receive) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in previous.items():
            # None: installed outside Python, which cannot put it back
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def leave_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `Stopped`, so that what is unfinished is cleaned up.

    Nothing changes outside the main thread, nor for a signal that is ignored (``nohup``).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: object) -> None:
        raise Stopped(number)

    numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]  # Windows lacks one
    usual = [n for n in numbers if n is not None and signal.getsignal(n) is signal.SIG_DFL]
    for number in usual:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, signal.SIG_DFL)
