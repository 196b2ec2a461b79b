"""Cells in processes of this machine: spawned, one thread each, gone when their parent is."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from metarl.ambient import environment
from metarl.errors import MetaRLError, require
from metarl.grid.cell import Cell
from metarl.grid.workers import Finished
from metarl.machine import num_cores
from metarl.runs.metrics import finite

LOG = "log.txt"  # in the benchmark's folder: what cells print
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_END_S = 2.0  # a killed process is gone by then


class _Worker:
    """A process, the pipe to it, and the cell that it is in."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(theirs,), daemon=True)
        with environment(dict.fromkeys(_ONE_THREAD, "1")):
            self.process.start()
        theirs.close()  # so that its end is seen here
        self.key = ""
        self.begun_s = 0.0

    def start(self, cell: Cell, folder: Path) -> None:
        self.key, self.begun_s = cell.key, time.monotonic()
        self.pipe.send((cell, str(folder)))

    def receive(self) -> Finished:
        """Give what has come back; where the process has died, say so."""
        key, self.key = self.key, ""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(_END_S)
            code = self.process.exitcode
            why = f"its process died (exit code {code}{', killed' * (code == -9)})"
            return Finished(key, None, time.monotonic() - self.begun_s, why)

    @property
    def lives(self) -> bool:
        return self.process.is_alive()

    def kill(self) -> None:
        self.process.kill()
        self.process.join(_END_S)
        self.pipe.close()


class LocalProcesses:
    """Run cells in processes of this machine.

    Args:
        size: How many at once; None: as many as there are cores.
    """

    def __init__(self, size: int | None = None):
        require(size is None or size >= 1, "jobs", size, "an integer >= 1")
        self.size = size or num_cores()
        self._workers: list[_Worker] = []

    @property
    def num_free(self) -> int:
        """How many more cells could be started now."""
        return self.size - sum(bool(worker.key) for worker in self._workers)

    def start(self, cell: Cell, folder: Path) -> None:
        """Begin with a cell."""
        self._workers = [worker for worker in self._workers if worker.key or worker.lives]
        idle = next((worker for worker in self._workers if not worker.key), None)
        if idle is None:
            idle = _Worker()
            self._workers.append(idle)
        idle.start(cell, folder)

    def wait(self, timeout_s: float) -> list[Finished]:
        """Give the cells that have come back, after so long [s] at most."""
        busy = {worker.pipe: worker for worker in self._workers if worker.key}
        return [busy[pipe].receive() for pipe in wait(list(busy), timeout_s)]  # type: ignore[index]

    def close(self) -> None:
        """End every process at once."""
        for worker in self._workers:
            worker.kill()
        self._workers = []


def _work(pipe: Connection) -> None:
    """Run one cell after another, until the parent is gone."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C is the parent's business
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    while True:
        try:
            cell, folder = pipe.recv()
        except EOFError:
            return
        pipe.send(run_cell(cell, Path(folder)))


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def run_cell(cell: Cell, folder: Path) -> Finished:
    """Run a cell in this process, which prints into the benchmark's log from then on; whatever it raises
    is told."""
    begun_s = time.perf_counter()
    _print_into(folder / LOG)
    print(f"# {cell.key}", flush=True)
    error, trace, result = "", "", None
    try:
        result = finite(dict(cell.run(folder)))
        json.dumps(result, allow_nan=False)  # one that cannot be kept is the cell's own fault
    except MetaRLError as failure:
        error, result = str(failure), None
    except BaseException as failure:  # a stranger's family may raise anything, or leave
        error, trace = f"{type(failure).__name__}: {failure}", traceback.format_exc()
        result = None
    seconds = time.perf_counter() - begun_s
    return Finished(cell.key, result, seconds, " ".join(error.split()), trace)


def _print_into(path: Path) -> None:
    """Send what this process prints, warnings among it, to the end of a file."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    for number in (1, 2):
        os.dup2(handle, number)
    os.close(handle)
