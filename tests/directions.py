"""Four families of one interface that want opposite things: push a ball right, left, up or down."""

from pathlib import Path

import numpy as np
from toy import Reach, ReachTask

from metarl.learn.train import train
from metarl.registry import register


class Direction(Reach):
    """The goal lies on one side."""

    turn = np.eye(2)

    def sample(self, rng, n, split):
        ahead = np.stack([rng.uniform(0.12, 0.18), rng.uniform(-0.05, 0.05)], axis=1)
        return ReachTask(ahead @ self.turn.T)


@register("toy/right")
class Right(Direction):
    """To the right."""


@register("toy/left")
class Left(Direction):
    turn = np.array([[-1.0, 0.0], [0.0, 1.0]])


@register("toy/up")
class Up(Direction):
    turn = np.array([[0.0, 1.0], [1.0, 0.0]])


@register("toy/down")
class Down(Direction):
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])


def taught(family: str, folder: Path, *, hidden=(16,), iterations: int = 8) -> Path:
    """A policy that the family's expert has taught, its task hidden, in about a second: elsewhere it
    still goes where it went."""
    settings = {"num_worlds": 32, "minibatch": 256, "hidden": list(hidden), "task_visible": False}
    return train(family, "dagger", out=folder, iterations=iterations, **settings)
