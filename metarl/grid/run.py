"""Run what is left of a benchmark, cell by cell, and go on where it was stopped."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

from metarl.grid.cell import Cell
from metarl.grid.plan import Plan, plan
from metarl.grid.processes import LOG, LocalProcesses
from metarl.grid.progress import Shown
from metarl.grid.store import Record, Store
from metarl.grid.workers import Finished, Workers
from metarl.runs.checkpoint import write_error
from metarl.runs.lock import FolderLock
from metarl.runs.signals import Signals, Stopped, on_signals

RUNNING = "running"  # what cells that are under way may write to, below the benchmark's folder
_LOOK_EVERY_S = 0.5  # whether a signal has come
# From the finished cells and why others failed, both by key, to the cells that come next; (): none yet.
More = Callable[[Mapping[str, Record], Mapping[str, str]], Sequence[Cell]]


@dataclasses.dataclass(frozen=True)
class Done:
    """What a benchmark has come to.

    Args:
        records: The finished cells, by key.
        failed: Why cells failed, by key.
    """

    records: Mapping[str, Record]
    failed: Mapping[str, str]


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    *,
    workers: Workers | None = None,
    again: bool = False,
    console: Console | None = None,
    more: More | None = None,
    total: int = 0,
    things: str = "cells",
) -> Done:
    """Run the cells that are not finished, in their order, each behind those that it needs.

    A cell that fails is told with its key, and those that do not need it go on.

    Args:
        cells: Of the benchmark; with `more` those that are known at the beginning.
        store: Where they are kept.
        workers: Who runs them; None: a process a core.
        again: Run cells anew that have changed since they were finished.
        console: Where progress is told; None: on stderr.
        more: Asked at the beginning and whenever a cell has come back: what is next may depend on what
            came of others. It ends when it gives none and nothing is under way.
        total: How many cells there will be with `more`, for the time left; 0: `cells` are all.
        things: What cells are called where progress is told.
    Returns:
        What is finished, and what failed.
    Raises:
        ConfigError: If cells have changed and `again` is false, or another process runs them.
        CheckpointError: If the folder cannot be written, or a file in it is damaged.
        Stopped: After SIGINT, SIGTERM or SIGHUP; at most the cells that were under way are lost.
    """
    what = plan(cells, store.read(), store.folder, again=again)
    if not what.todo:
        return Done(what.done, {})
    store.prepare()
    try:
        lock = FolderLock(store.folder)
    except OSError as error:
        raise write_error(store.folder, error) from error
    workers = workers or LocalProcesses()
    try:
        what = plan(cells, store.read(), store.folder, again=again)  # nobody else adds to it now
        shutil.rmtree(store.folder / RUNNING, ignore_errors=True)  # what a killed one left
        total, done = total or len(what.todo) + len(what.done), len(what.done)
        shown = Shown(total, done, workers.size, console, things)
        with on_signals() as signals, shown:
            if what.note:
                shown.say(what.note)
            return _Running(what, store, workers, shown, more).all(signals)
    finally:
        workers.close()
        shutil.rmtree(store.folder / RUNNING, ignore_errors=True)
        lock.release()


class _Running:
    """The cells that wait, those under way, and what came of the others."""

    def __init__(self, what: Plan, store: Store, workers: Workers, shown: Shown, more: More | None):
        self.store, self.workers, self.shown, self.more = store, workers, shown, more
        self.waiting = {cell.key: cell for cell in what.todo}
        self.under_way: dict[str, Cell] = {}
        self.records = dict(what.done)
        self.failed: dict[str, str] = {}

    def all(self, signals: Signals) -> Done:
        self._ask()
        while self.waiting or self.under_way:
            self._start()
            for finished in self.workers.wait(_LOOK_EVERY_S):
                self._take(finished)
                self._ask()
            self.shown.tell(len(self.under_way))
            if signals.stop is not None:
                self.shown.say(
                    f"stopped after {self.shown.done} of {self.shown.total} {self.shown.things}; the"
                    " same command goes on"
                )
                raise Stopped(signals.stop)
        return Done(self.records, self.failed)

    def _ask(self) -> None:
        """Put what comes next behind what waits."""
        if self.more is not None:
            self.waiting |= {cell.key: cell for cell in self.more(self.records, self.failed)}

    def _start(self) -> None:
        """Start what can be: the first cells that wait for no other."""
        ready = [
            cell
            for cell in self.waiting.values()
            if not any(
                needed.key in self.waiting or needed.key in self.under_way
                for needed in cell.needs()
            )
        ]
        for cell in ready[: self.workers.num_free]:
            self.under_way[cell.key] = self.waiting.pop(cell.key)
            self.workers.start(cell, self.store.folder)

    def _take(self, finished: Finished) -> None:
        cell = self.under_way.pop(finished.key)
        if finished.result is not None:
            self.records[cell.key] = self.store.put(cell, finished.result, finished.seconds)
            self.shown.finished(finished.seconds)
            return
        self._fail(cell.key, finished.error)
        if finished.trace:
            with open(self.store.folder / LOG, "a", encoding="utf-8") as log:
                log.write(finished.trace)

    def _fail(self, key: str, why: str) -> None:
        """Say that a cell failed, and leave out what needs it."""
        self.failed[key] = why
        self.shown.dropped(1)
        self.shown.say(f"{key} failed: {why}")
        stuck = [c.key for c in self.waiting.values() if key in {n.key for n in c.needs()}]
        for other in stuck:
            if self.waiting.pop(other, None) is not None:
                self._fail(other, f"it needs {key}, which failed")
