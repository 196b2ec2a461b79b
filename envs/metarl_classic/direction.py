"""Run forward or backward: the half-cheetah's goal directions in MAML."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarl.registry import register
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, varies
from metarl_classic.cheetah import CONTROL_COST, SPEED, STEADY, CheetahFamily

RUNS_M_S = 1.0  # steady speed that counts as running in the wanted direction
SLIPPERY = (0.3, 0.7)  # friction of the far split


@dataclass(frozen=True)
class DirectionTask:
    """Where to run, and on what."""

    direction: np.ndarray = varies("1", -1.0, 1.0, hidden=True, doc="1 forward, -1 backward")
    friction: np.ndarray = varies(
        "1", SLIPPERY[0], 1.0, hidden=True, doc="share of the usual friction; 1 unless far"
    )


@register("classic/cheetah-direction")
class CheetahDirection(CheetahFamily[DirectionTask]):
    """Run forward or backward, as fast as possible.

    Two tasks only, the same in train and test. There is no direction outside them, so the
    far split is slippery: both directions with 0.3 to 0.7 of the usual friction.

    Source: Finn, Abbeel, Levine 2017, arXiv:1703.03400, section 5.3 (goal direction,
    horizon 200); control cost from its code, cbfinn/maml_rl half_cheetah_env_rand_direc.py.
    """

    task_type = DirectionTask
    weights = {"velocity": 1.0, "control": -CONTROL_COST}

    def sample(self, rng: Streams, n: int, split: Split) -> DirectionTask:
        """Toss a coin; the far split also draws the friction."""
        direction = np.where(rng.uniform() < 0.5, -1.0, 1.0)
        friction = rng.uniform(*SLIPPERY) if split == "far" else np.ones(n)
        return DirectionTask(direction, friction)

    def in_split(self, task: DirectionTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        return (task.friction < 1.0) == (split == "far")

    def configure(self, worlds: Scene, ids: np.ndarray, task: DirectionTask) -> None:
        """Give each world its friction: the floor's and the robot's alike."""
        worlds.model_field("geom_friction")[ids] *= task.friction[:, None, None]

    def terms(
        self, worlds: Scene, task: DirectionTask, action: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Velocity in the wanted direction [m/s]; squared controls."""
        return {
            "velocity": task.direction * worlds.userdata[:, SPEED],
            "control": np.square(action).sum(axis=1),
        }

    def success(self, worlds: Scene, task: DirectionTask) -> np.ndarray:
        """Run the wanted way, faster than 1 m/s over about the last half second.

        The papers report returns alone; this threshold is ours.
        """
        return task.direction * worlds.userdata[:, STEADY] > RUNS_M_S

    def caption(self, worlds: Scene, task: DirectionTask) -> list[str]:
        """The wanted direction, and the speed forward over about the last half second."""
        pairs = zip(task.direction, worlds.userdata[:, STEADY])
        return [
            f"wanted {'forward' if way > 0 else 'backward'}, runs {speed:.1f} m/s"
            for way, speed in pairs
        ]
