"""What every adapter shares: spaces, seeding, and how the next episode starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from metarl.errors import ShapeError
from metarl.family import TaskFamily
from metarl.registry import make_family
from metarl.sim.blocks import OBS_BOUND
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import Spec, Split


def observation_space(spec: Spec) -> spaces.Box:
    """One world's observations: a float32 box of shape (D,)."""
    return spaces.Box(-OBS_BOUND, OBS_BOUND, (spec.obs_dim,), np.float32)


def action_space(spec: Spec) -> spaces.Box:
    """One world's actions: a float32 box of shape (A,)."""
    return spaces.Box(-1.0, 1.0, (spec.action_dim,), np.float32)


class Episodes:
    """Worlds that know how their next episodes start.

    Args:
        family: A family or its registered name.
        num_worlds: N.
        split: Where new tasks come from.
        task_visible: Show hidden task fields in the ``task`` block.
        seed: Seed of the worlds' streams.
        num_threads: Physics threads; 0 takes every core.
        new_task: Draw a new task for every episode; else keep the first.
    """

    def __init__(
        self,
        family: TaskFamily[Any] | str,
        num_worlds: int,
        *,
        split: Split = "train",
        task_visible: bool = True,
        seed: int = 0,
        num_threads: int = 1,
        new_task: bool = True,
    ):
        self.family = make_family(family) if isinstance(family, str) else family
        self.split = split
        self.new_task = new_task
        self.worlds = Worlds(
            self.family, num_worlds, seed=seed, task_visible=task_visible,
            num_threads=num_threads, split=split,
        )  # fmt: skip
        self.reseed(seed)

    def reseed(self, seed: int | Sequence[int | None]) -> None:
        """Start the worlds' streams again, and draw new tasks where they are kept.

        Args:
            seed: One seed for all worlds, or one a world (None leaves its stream alone).
        """
        worlds, ids = self.worlds, np.arange(self.worlds.num_worlds)
        if isinstance(seed, (int, np.integer)):
            worlds.streams = Streams.from_seed(int(seed), worlds.num_worlds)
        else:
            if len(seed) != worlds.num_worlds:
                raise ShapeError(f"got {len(seed)} seeds for {worlds.num_worlds} worlds")
            own = {i: int(value) for i, value in enumerate(seed) if value is not None}
            for i, value in own.items():
                worlds.streams.put(np.array([i]), Streams.from_seed(value, 1))
            ids = np.array(list(own), int)
        if not self.new_task and len(ids):
            worlds.assign(worlds.sample(self.split, ids), ids)

    def start(
        self, ids: np.ndarray | None = None, *, task: Any = None, new_task: bool | None = None
    ) -> np.ndarray:
        """Start new episodes.

        Args:
            ids: Which worlds, sorted; omitted, all.
            task: Their tasks; omitted, drawn or kept.
            new_task: Whether to draw tasks, for this once.
        Returns:
            Observations of all worlds, (N, D) float32.
        """
        if task is None and (self.new_task if new_task is None else new_task):
            task = self.worlds.sample(self.split, ids)
        if task is not None:
            self.worlds.assign(task, ids)
        return self.worlds.reset(ids)
