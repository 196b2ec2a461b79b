"""Cells that cost nothing, and say in the benchmark's folder that they ran."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
from pathlib import Path

from metarl.errors import TrainingError
from metarl.grid.cell import Cell
from metarl.grid.run import run_cells
from metarl.grid.store import Store

RAN = "ran.txt"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Square(Cell):
    """Squares a number, in so many seconds; what fails fails in its own way."""

    number: int
    factor: float = 1.0
    sleeps_s: float = 0.0
    fails: str = ""
    after: Cell | None = None

    @property
    def key(self) -> str:
        return f"square-{self.number}"

    def needs(self):
        return () if self.after is None else (self.after,)

    def files(self):
        return (f"{self.key}.txt",)

    def run(self, folder: Path):
        with open(folder / RAN, "a") as ran:
            ran.write(f"{self.key}\n")
        print(f"about to square {self.number}")
        time.sleep(self.sleeps_s)
        if self.fails == "typed":
            raise TrainingError("the loss is not finite")
        if self.fails == "raw":
            raise ZeroDivisionError("by nothing")
        if self.fails == "leaves":
            sys.exit(3)
        if self.fails == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fails == "no JSON":
            return {"square": object()}
        (folder / f"{self.key}.txt").write_text(str(self.number**2))
        read = (folder / f"{self.after.key}.txt").read_text() if self.after else ""
        return {"square": self.factor * self.number**2, "read": read, "pid": os.getpid()}


if (
    __name__ == "__main__"
):  # a benchmark that a test interrupts: counting.py FOLDER [--ray [ADDRESS S [CELLS [GONE_S]]]]
    folder, *ray = sys.argv[1:]
    workers, sleeps_s = None, 60.0
    if ray:
        from metarl.cluster import instance
        from metarl.grid.on_ray import LOCAL, RayWorkers

        workers = RayWorkers(ray[1] if ray[1:] else LOCAL, None if ray[1:] else 2)
        sleeps_s = float(ray[2]) if ray[2:] else sleeps_s
        if ray[4:]:
            instance._GONE_S = float(ray[4])
    cells = int(ray[3]) if ray[3:] else 6
    slow = [Square(number=n, sleeps_s=0.0 if n < 2 else sleeps_s) for n in range(cells)]
    run_cells(slow, Store(Path(folder)), workers=workers)
