"""How far a benchmark is: a bar on a terminal, elsewhere a line every half minute."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from metarl.errors import printable

TELL_EVERY_S = 30.0


class Shown:
    """What a person sees of a benchmark that is running.

    Args:
        total: Cells in all.
        done: Cells that were finished before.
        size: How many run at once.
        console: Where; None: on stderr.
        things: What is counted.
    """

    def __init__(
        self,
        total: int,
        done: int,
        size: int,
        console: Console | None = None,
        things: str = "cells",
    ):
        self.console = console or Console(stderr=True)
        self.total, self.done, self.size, self.things = total, done, size, things
        self.seconds: list[float] = []
        self.told_s = time.monotonic()
        self._bar = Progress(
            TextColumn(things), BarColumn(bar_width=24), MofNCompleteColumn(),
            TextColumn("{task.description}"), console=self.console,
            disable=not self.console.is_terminal, redirect_stdout=False,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=total, completed=done)

    def __enter__(self) -> Shown:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def finished(self, seconds: float) -> None:
        """Count a cell that took so long [s]."""
        self.done += 1
        self.seconds.append(seconds)

    def dropped(self, count: int) -> None:
        """Count cells that will not be run."""
        self.total -= count

    def tell(self, running: int) -> None:
        """Show how far it is, if a line is due or there is a bar."""
        words = f"{running} running{self._left()}"
        self._bar.update(self._task, completed=self.done, total=self.total, description=words)
        now_s = time.monotonic()
        if not self.console.is_terminal and now_s - self.told_s >= TELL_EVERY_S:
            self.told_s = now_s
            self.say(f"{self.things} {self.done}/{self.total}  {words}")

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def _left(self) -> str:
        """How much time is left, from what cells of this run took."""
        left = self.total - self.done
        if not self.seconds or not left:
            return ""
        mean_s = sum(self.seconds) / len(self.seconds)
        return f", {_time(mean_s * left / min(self.size, left))} left"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )
