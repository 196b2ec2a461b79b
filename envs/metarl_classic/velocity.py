"""Run at a wanted speed: the half-cheetah's goal velocities in MAML."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarl.registry import register
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, varies
from metarl_classic.cheetah import CONTROL_COST, SPEED, STEADY, CheetahFamily

SPEED_M_S, FAR_M_S = (0.0, 2.0), (2.0, 3.0)


@dataclass(frozen=True)
class VelocityTask:
    """How fast to run."""

    speed_m_s: np.ndarray = varies(
        "m/s", SPEED_M_S[0], FAR_M_S[1], hidden=True, doc="wanted forward velocity"
    )


@register("classic/cheetah-velocity")
class CheetahVelocity(CheetahFamily[VelocityTask]):
    """Run at a wanted speed.

    It is uniform in [0, 2] m/s, in the far split in [2, 3] m/s. Circulating copies draw
    from [0, 3], as jonasrothfuss/ProMP does, or charge twice the control cost, as
    Gymnasium does for running.

    Source: Finn, Abbeel, Levine 2017, arXiv:1703.03400, section 5.3 (goal velocity,
    horizon 200); control cost from its code, cbfinn/maml_rl half_cheetah_env_rand.py.
    """

    task_type = VelocityTask
    weights = {"error": -1.0, "control": -CONTROL_COST}

    def sample(self, rng: Streams, n: int, split: Split) -> VelocityTask:
        """Draw the wanted speed."""
        return VelocityTask(rng.uniform(*(FAR_M_S if split == "far" else SPEED_M_S)))

    def in_split(self, task: VelocityTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        return (task.speed_m_s >= FAR_M_S[0]) == (split == "far")

    def terms(self, worlds: Scene, task: VelocityTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """How far the velocity is from the wanted one [m/s]; squared controls."""
        return {
            "error": np.abs(worlds.userdata[:, SPEED] - task.speed_m_s),
            "control": np.square(action).sum(axis=1),
        }

    def success(self, worlds: Scene, task: VelocityTask) -> np.ndarray:
        """Be within a fifth of the wanted speed over about the last half second.

        The papers report returns alone; this threshold is ours.
        """
        error = np.abs(worlds.userdata[:, STEADY] - task.speed_m_s)
        return error < 0.2 * task.speed_m_s

    def caption(self, worlds: Scene, task: VelocityTask) -> list[str]:
        """The wanted speed, and the speed over about the last half second."""
        pairs = zip(task.speed_m_s, worlds.userdata[:, STEADY])
        return [f"wanted {wanted:.1f} m/s, runs {speed:.1f} m/s" for wanted, speed in pairs]
