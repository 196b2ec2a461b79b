"""The adaptation protocol: how many held-out tasks, episodes and updates; it knows no learner."""

from __future__ import annotations

import dataclasses
from typing import Any

from metarl.errors import require
from metarl.family import TaskFamily, require_split
from metarl.streams import Streams, seed_of_noise
from metarl.types import Split


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is measured, whoever learns.

    Args:
        num_tasks: How many held-out tasks, K.
        episodes: Of each task before each update, B.
        updates: How many, U.
        eval_episodes: Of each task after each update, with mean actions, in other worlds.
        seed: Of tasks, worlds and noise.
        split: Where the tasks come from.
        noise: Which noise of actions, weights and first states; the tasks stay. Two of them tell
            which differences mean nothing.
    """

    num_tasks: int = 20
    episodes: int = 10
    updates: int = 5
    eval_episodes: int = 10
    seed: int = 1000
    split: Split = "test"
    noise: int = 0

    def __post_init__(self) -> None:
        for name in ("num_tasks", "episodes", "eval_episodes"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "an integer >= 1")
        for name in ("updates", "seed", "noise"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "an integer >= 0")

    @property
    def noise_seed(self) -> int:
        """Seed of whatever is drawn but tasks."""
        return seed_of_noise(self.seed, self.noise)


def held_out_tasks(family: TaskFamily[Any], protocol: Protocol) -> Any:
    """Draw the protocol's tasks, K rows; they depend on its seed and split alone, and come from streams
    that no training draws from."""
    require_split(family, protocol.split)
    streams = Streams.from_seed(protocol.seed, protocol.num_tasks, held_out=True)
    return family.sample(streams, protocol.num_tasks, protocol.split)
