"""K new tasks, and what an adaptation may use to meet them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from metarl.runs.checkpoint import Checkpoint
from metarl.sim.worlds import Worlds


@dataclass(frozen=True)
class Meeting:
    """K tasks that a policy does not know, B episodes of each before each of U updates.

    Args:
        worlds_of: Makes worlds in which so many episodes of each task can be run side by side:
            with n, K * n worlds with their tasks assigned, task k's in rows k*n ... k*n + n - 1.
        num_tasks: K.
        episodes: B.
        updates: U, how many updates there will be.
        seed: Of everything that is drawn.
        generator: Draws whatever adaptation draws.
    """

    worlds_of: Callable[[int], Worlds]
    num_tasks: int
    episodes: int
    updates: int
    seed: int
    generator: torch.Generator

    def worlds(self, generations: int = 1) -> Worlds:
        """Make worlds for an update's episodes, or for one of several generations of them.

        Args:
            generations: Into how many parts, one after another, an update's episodes are cut.
        """
        return self.worlds_of(self.episodes // generations)

    def fresh(self, checkpoint: Checkpoint) -> torch.Generator:
        """Make what new weights are drawn from: other ones for each training seed."""
        trained = checkpoint.meta.get("config", {}).get("seed", 0)
        state = np.random.SeedSequence([self.seed, trained]).generate_state(1)
        return torch.Generator().manual_seed(int(state[0]))


def meet_in(
    worlds: Worlds, *, num_tasks: int, updates: int = 0, generator: torch.Generator
) -> Meeting:
    """Meet the tasks of given worlds; without updates, to act as before the first one.

    Args:
        worlds: K * n worlds with their tasks assigned.
        num_tasks: K.
        updates: How many there will be.
        generator: As for `Meeting`.
    """
    return Meeting(
        lambda _: worlds, num_tasks, worlds.num_worlds // num_tasks, updates,
        generator.initial_seed(), generator,
    )  # fmt: skip
