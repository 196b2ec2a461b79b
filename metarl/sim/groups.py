"""Worlds by model: one batch for each model that some world runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from metarl.errors import FamilyError
from metarl.family import TaskFamily
from metarl.sim.scene import VELOCITY_STAGE, Scene


class Group:
    """The worlds that run on one model.

    Args:
        name: The model's name.
        scene: Its batch of n worlds.
        rows: Which of all worlds they are, sorted, shape (n,).
        num_worlds: How many worlds there are in all.
    """

    def __init__(self, name: str, scene: Scene, rows: np.ndarray, num_worlds: int):
        self.name = name
        self.scene = scene
        whole = len(rows) == num_worlds
        self.ids = rows  # (n,) global ids
        self.rows: np.ndarray | slice = slice(None) if whole else rows
        self.local = np.full(num_worlds, -1)
        self.local[rows] = np.arange(len(rows))

    def among(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of global ids, those in this group: (global, local)."""
        mine = ids[self.local[ids] >= 0]
        return mine, self.local[mine]

    def carry_over(self, old: list[Group]) -> None:
        """Continue the episodes of worlds that keep their model in a batch of another size."""
        for before in (g for g in old if g.name == self.name):
            stay, local = self.among(before.ids)
            self.scene.batch.state[local] = before.scene.batch.state[before.local[stay]]
        self.scene.batch.forward(stage=VELOCITY_STAGE)


def group_worlds(
    models: Mapping[str, mujoco.MjModel], model: np.ndarray, old: list[Group], num_threads: int
) -> list[Group]:
    """Group worlds by model.

    Args:
        models: The compiled models by name.
        model: Which of them each world runs on, shape (N,), integers.
        old: The groups until now; one that did not change is kept, the same object.
        num_threads: Physics threads of new batches.
    Returns:
        The groups, in the order of `models`.
    """
    held = {g.name: g for g in old}
    groups = []
    for index, (name, compiled) in enumerate(models.items()):
        rows = np.flatnonzero(model == index)
        if name in held and np.array_equal(held[name].ids, rows):
            groups.append(held[name])
        elif len(rows):
            groups.append(Group(name, Scene(compiled, len(rows), num_threads), rows, len(model)))
    return groups


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
