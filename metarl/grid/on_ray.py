"""Cells on Ray: in an instance of this machine's own, or on a cluster that is there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import time
from pathlib import Path
from typing import Any

from metarl.cluster.heard import one_line
from metarl.cluster.instance import LIMIT_S, LOCAL, Cluster
from metarl.errors import require
from metarl.grid.cell import Cell
from metarl.grid.processes import LOG, run_cell
from metarl.grid.store import CELLS
from metarl.grid.workers import Finished

RETRIES = 3  # of a cell whose process or node was lost


class RayWorkers:
    """Run cells as Ray tasks of one core each; what is lost with its process or node is run again, and a
    training then goes on from its last checkpoint.

    Nothing is started, and no cluster asked, before the first cell is to be run.

    Args:
        address: As for `Cluster`; a cluster's nodes see the benchmark's folder under the same path.
        size: How many cells at once; None: one a core.
        limit_s: How long a cluster may take to answer [s].
    Raises:
        MissingDependencyError: If Ray is not installed.
        ConfigError: If the address is none.
    """

    def __init__(self, address: str = LOCAL, size: int | None = None, limit_s: float = LIMIT_S):
        require(size is None or size >= 1, "jobs", size, "an integer >= 1")
        self._cluster = Cluster(
            address, size, limit_s=limit_s, goes_on="the same command goes on with what is missing"
        )
        self._jobs = size
        self._task: Any = None
        self._running: dict[Any, tuple[str, float]] = {}  # task -> the cell's key, when it began

    @property
    def size(self) -> int:
        """How many cells run at once.

        Raises:
            ConfigError: If the cluster does not answer.
        """
        self._cluster.connect()
        return self._jobs or self._cluster.cores

    @property
    def num_free(self) -> int:
        """How many more cells could be started now."""
        return self.size - len(self._running)

    def start(self, cell: Cell, folder: Path) -> None:
        """Begin with a cell."""
        ray = self._cluster.ray
        if self._task is None:
            self._task = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=False)(_run)
        self._cluster.heard.log = folder / LOG
        self._running[self._task.remote(cell, str(folder.resolve()))] = cell.key, time.monotonic()

    def wait(self, timeout_s: float) -> list[Finished]:
        """Give the cells that have come back, after so long [s] at most.

        Raises:
            ConfigError: If the cluster is gone.
        """
        if not self._running:
            time.sleep(timeout_s)
            return []
        self._cluster.require_head()
        wait = self._cluster.ray.wait
        wait(list(self._running), timeout=timeout_s)
        ready, _ = wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [self._taken(task) for task in ready]

    def close(self) -> None:
        """End at once."""
        if not self._cluster.connected:
            return
        for task in (
            self._running if not self._cluster.gone else ()
        ):  # it would wait for the cluster
            with contextlib.suppress(Exception):  # it has ended, or its node is gone
                self._cluster.ray.cancel(task, force=True)
        self._running, self._task = {}, None
        self._cluster.close()

    def _taken(self, task: Any) -> Finished:
        key, begun_s = self._running.pop(task)
        ray = self._cluster.ray
        try:
            return Finished(**json.loads(ray.get(task)))
        except ray.exceptions.RayTaskError as error:  # not the cell's fault: that comes back
            why = f"it cannot be run there: {one_line(error).partition(' traceback: ')[0]}"
        except ray.exceptions.RayError as error:
            why = f"its process or node was lost {1 + RETRIES} times ({type(error).__name__})"
        return Finished(key, None, time.monotonic() - begun_s, why)


def _run(cell: Cell, folder: str) -> str:
    """Run a cell in a process of Ray's; what it gives goes back as JSON."""
    if not (Path(folder) / CELLS).is_dir():
        where = f"{socket.gethostname()} does not see {folder}"
        why = f"{where}; a benchmark's folder must be shared, under the same path on every node"
        return json.dumps(dataclasses.asdict(Finished(cell.key, None, 0.0, why)))
    return json.dumps(dataclasses.asdict(run_cell(cell, Path(folder))))
