"""Worlds by model: one batch for each model that some world has run on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, wait
from typing import Any

import mujoco
import numpy as np

from metarl.errors import FamilyError
from metarl.family import TaskFamily
from metarl.sim.batches import MakeBatch
from metarl.sim.scene import Scene, left_behind


class Group:
    """The worlds that run on one model.

    Its batch grows as needed and is kept, with rows to spare, when worlds leave for another
    model. A world keeps its row while it can. Row i is world i if all worlds are here;
    otherwise rows are in no order, which changes nothing in what happens in them.

    Args:
        name: The model's name.
        model: The compiled model.
        num_worlds: How many worlds there are in all.
        num_threads: Physics threads.
        room: For how many worlds it has rows at first.
        make_batch: Who moves them.
    Attributes:
        scene: Its batch of n worlds.
        task: Their tasks, row by row.
        ids: Which of all worlds they are, by row, shape (n,).
        rows: Likewise, as an index into all worlds.
        local: The row of each of all worlds, -1 if it is not here, shape (num_worlds,).
    """

    task: Any

    def __init__(
        self,
        name: str,
        model: mujoco.MjModel,
        num_worlds: int,
        num_threads: int,
        room: int,
        make_batch: MakeBatch,
    ):
        self.name = name
        self.scene = Scene(model, 0, num_threads, _capacity(room, num_worlds), make_batch)
        self._seat(np.zeros(0, int), num_worlds)

    def hold(self, ids: np.ndarray) -> np.ndarray:
        """Hold other worlds from now on; the episodes of those that stay go on.

        Args:
            ids: All of them, sorted, (n,).
        Returns:
            The rows in which now runs what did not run there before, sorted: worlds that
            came, in the model's default state, and worlds that moved.
        """
        n, num_worlds, there = len(ids), len(self.local), self.local
        stays = there[ids] >= 0
        if stays.all() and n == len(self.ids):
            return np.zeros(0, int)
        before = self.scene
        self._seat(_seats(there, ids), num_worlds)
        self._make_room(n, num_worlds)
        moved, came = ids[stays], ids[~stays]
        if self.scene is before:
            moved = moved[there[moved] != self.local[moved]]
        self.scene.take_over(before, there[moved], self.local[moved])
        self.scene.clear(np.sort(self.local[came]))
        return np.sort(self.local[np.concatenate([moved, came])])

    def _make_room(self, n: int, num_worlds: int) -> None:
        if n > self.scene.capacity:
            capacity = _capacity(n, num_worlds)
            old = self.scene
            self.scene = Scene(old.model, n, old.num_threads, capacity, old.make_batch)
        else:
            self.scene.resize(n)

    def _seat(self, ids: np.ndarray, num_worlds: int) -> None:
        self.ids = ids
        self.rows: np.ndarray | slice = slice(None) if len(ids) == num_worlds else ids
        self.local = np.full(num_worlds, -1)
        self.local[ids] = np.arange(len(ids))

    def among(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of global ids, those in this group, by row: (global, local)."""
        local = np.sort(self.local[ids])
        local = local[np.searchsorted(local, 0) :]
        return self.ids[local], local


def _capacity(n: int, num_worlds: int) -> int:
    """Rows for n worlds and those that chance may add: six deviations, for n itself is chance."""
    return min(num_worlds, n + math.ceil(6.0 * math.sqrt(n)))


def _seats(there: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Give worlds their rows, (n,): those they had, where these still exist."""
    n = len(ids)
    if n == len(there):
        return ids
    seats = np.full(n, -1)
    kept = ids[(there[ids] >= 0) & (there[ids] < n)]
    seats[there[kept]] = kept
    seats[seats < 0] = np.setdiff1d(ids, kept, assume_unique=True)
    return seats


def group_worlds(
    models: Mapping[str, mujoco.MjModel],
    model: np.ndarray,
    held: dict[str, Group],
    num_threads: int,
    make_batch: MakeBatch,
) -> list[tuple[Group, np.ndarray]]:
    """Group worlds by model.

    Args:
        models: The compiled models by name.
        model: Which of them each world runs on, shape (N,), integers.
        held: The groups that were made until now; new ones are added.
        num_threads: Physics threads of new batches.
        make_batch: Who makes these.
    Returns:
        The groups that have worlds, in the order of `models`, each with what `hold` gave.
    """
    groups = []
    for index, (name, compiled) in enumerate(models.items()):
        ids = np.flatnonzero(model == index)
        if len(ids) and name not in held:
            held[name] = Group(name, compiled, len(model), num_threads, len(ids), make_batch)
        if name in held:
            changed = held[name].hold(ids)
            groups += [(held[name], changed)] if len(ids) else []
    return groups


def stepped(
    groups: list[Group], substeps: int, pool: Executor | None
) -> Iterator[tuple[Group, np.ndarray | None]]:
    """Advance groups one after the other, and give each out with what `Scene.step` said.

    With a pool the next ones already run while one is looked at: physics holds no lock of
    Python's, and no group touches another. Whatever happens, all have run at the end.
    """
    if pool is None:
        for group in groups:
            yield group, group.scene.step(substeps)
        return
    if any(group.scene.forked for group in groups):
        raise left_behind()
    running = [pool.submit(group.scene.step, substeps) for group in groups]
    try:
        for group, future in zip(groups, running):
            yield group, future.result()
    finally:
        wait(running)


def count_substeps(family: TaskFamily[Any], models: Mapping[str, mujoco.MjModel]) -> int:
    """Count the physics steps in a control step; the same for every model of a family.

    Raises:
        FamilyError: If the control period is no multiple of a time step, or they differ.
    """
    counts = set()
    for name, model in models.items():
        ratio = family.control_dt_s / model.opt.timestep
        if abs(ratio - round(ratio)) > 1e-6 or round(ratio) < 1:
            raise FamilyError(
                f"{family.id}: control_dt_s {family.control_dt_s} is not a multiple of the time"
                f" step {model.opt.timestep} of model {name!r}"
            )
        counts.add(round(ratio))
    if len(counts) != 1:
        raise FamilyError(f"{family.id}: models() must share one time step and not be empty")
    return counts.pop()
