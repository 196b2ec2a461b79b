"""What every meta-trainer shares: worlds, tasks, progress, checkpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from metarl.family import TaskFamily
from metarl.learn.outcome import Outcome
from metarl.learn.rollout import Trajectories
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.state import flatten, unflatten
from metarl.runs.trained import describe, join, part
from metarl.sim.kinds import make_worlds
from metarl.types import repeat


class MetaTrainer(ABC):
    """Trains on a family's training tasks, K an iteration with B worlds each.

    A method's trainer says what an iteration does, and what of it a checkpoint must hold. Its
    optimizers are made when they are first used: the first one imports torch's compiler, a
    second that the first step need not wait for.

    Args:
        family: The family.
        config: The method's frozen dataclass, with ``num_tasks``, ``episodes`` and ``seed``.
        num_threads: Physics threads; 0 takes every core. It changes no result.
    Attributes:
        method: The method's name, as checkpoints say it.
        networks: Which entries of `own_state` are networks: tensors by name, ready to be used.
        worlds: K * B worlds.
        generator: Draws everything but what the worlds draw.
    """

    method: str
    networks: ClassVar[tuple[str, ...]] = ("policy",)

    def __init__(self, family: TaskFamily[Any], config: Any, *, num_threads: int = 0):
        self.family, self.config = family, config
        self.worlds = make_worlds(
            family, config.num_tasks * config.episodes, seed=config.seed, num_threads=num_threads
        )
        self.generator = torch.Generator().manual_seed(config.seed)
        self.iteration, self.num_steps, self.seconds = 0, 0, 0.0

    @abstractmethod
    def iterate(self) -> dict[str, float]:
        """Do one iteration; returns metrics by name.

        Raises:
            TrainingError: If something is not finite; the last good state is kept.
        """

    @abstractmethod
    def own_state(self) -> dict[str, Any]:
        """Everything of the method's that the next iteration depends on."""

    @abstractmethod
    def load_own_state(self, saved: Mapping[str, Any]) -> None:
        """Continue from an `own_state`.

        Raises:
            CheckpointError: If it is of other networks.
        """

    def draw_tasks(self) -> Any:
        """Give each of K new train tasks to its B worlds; returns the tasks, K rows."""
        first = np.arange(0, self.worlds.num_worlds, self.config.episodes)
        tasks = self.worlds.sample("train", first)
        self.worlds.assign(repeat(tasks, self.config.episodes))
        return tasks

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next iteration depends on."""
        return {
            **self.own_state(),
            "generator": self.generator.get_state(),
            "worlds": self.worlds.state_dict(),
            "progress": (self.iteration, self.num_steps, self.seconds),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from the `state_dict` of a trainer of the same family and config."""
        self.load_own_state(saved)
        self.generator.set_state(saved["generator"])
        self.worlds.load_state_dict(saved["worlds"])
        self.iteration, self.num_steps, self.seconds = saved["progress"]

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give what a run saves: each network's tensors ``NETWORK.*``, and what resuming needs."""
        state = self.state_dict()
        networks = {name: state.pop(name) for name in self.networks}
        tensors, meta = flatten(state)
        for name, network in networks.items():
            tensors |= join(name, network)
        meta |= describe(
            self.method, self.family.id, self.worlds.spec, self.config,
            steps=self.num_steps, seconds=self.seconds,
        )  # fmt: skip
        return tensors, meta

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a `checkpoint`."""
        tensors = checkpoint.tensors
        state = unflatten(tensors, checkpoint.meta)
        self.load_state_dict(state | {name: part(name, tensors) for name in self.networks})


def outcomes(episodes: Sequence[Trajectories | Outcome]) -> dict[str, float]:
    """Summarise each collection, before the first to after the last update."""
    first, last = episodes[0], episodes[-1]
    return {
        "success_before": float(first.success.mean()),
        "success_after": float(last.success.mean()),
        "return_before": float(first.returns.mean()),
        "return_after": float(last.returns.mean()),
        "score_after": float(last.score.mean()),
        **{f"success_{u}": float(e.success.mean()) for u, e in enumerate(episodes)},
        **{f"term/{name}": float(value) for name, value in last.terms.items()},
        "num_diverged": float(sum(e.num_diverged for e in episodes)),
    }
