"""Workers that run cells in this process, one after the other: nothing to start, the same numbers."""

from __future__ import annotations

import time

from metarl.grid.workers import Finished
from metarl.runs.metrics import finite


class Killed(BaseException):
    """The process is gone."""


class Inline:
    """Run cells here.

    Args:
        last: After how many cells it is as if the process had been killed; None: never.
    """

    size = 1

    def __init__(self, last: int | None = None):
        self.last, self.queue, self.ran = last, [], []

    @property
    def num_free(self) -> int:
        return 1 - len(self.queue)

    def start(self, cell, folder) -> None:
        self.queue.append((cell, folder))

    def wait(self, timeout_s: float) -> list[Finished]:
        cell, folder = self.queue.pop()
        if len(self.ran) == self.last:
            raise Killed
        self.ran.append(cell.key)
        begun_s = time.monotonic()
        try:
            result = finite(dict(cell.run(folder)))
        except Exception as error:
            return [Finished(cell.key, None, 0.0, f"{type(error).__name__}: {error}")]
        return [Finished(cell.key, result, time.monotonic() - begun_s)]

    def close(self) -> None:
        self.queue = []
