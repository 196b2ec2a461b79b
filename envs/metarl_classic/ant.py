"""Walk to a hidden place: the ant of ProMP."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from metarl.registry import register
from metarl.rewards import distance
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, varies
from metarl_classic.goals import add_goal, show_goal
from metarl_classic.runner import RunnerFamily, gymnasium_model

CONTROL_COST = 0.1
RADIUS_M, FAR_M = 3.0, (3.2, 4.0)
ARRIVED_M = 0.5  # twice the radius of the torso


@dataclass(frozen=True)
class GoalTask:
    """Where to go."""

    goal_m: np.ndarray = varies(
        "m", (-FAR_M[1], -FAR_M[1]), (FAR_M[1], FAR_M[1]), hidden=True, doc="place of the goal"
    )


@register("classic/ant-goal")
class AntGoal(RunnerFamily[GoalTask]):
    """Walk to a goal around the start.

    Goals are uniform in a disc of radius 3 m, in the far split in a ring from 3.2 to 4 m.
    No episode ends early, not even on the back, as in the source.

    Deviation: contact forces are neither observed nor charged (at most 0.04 a step there):
    MuJoCo computes them in a second pass, which every step would pay. The torso's place is
    current, not one substep late as in Gymnasium. The horizon is 200, as in cbfinn/maml_rl's
    scripts for the ant, whose own ant goals fill a square of 6 m, add 4 to the reward and
    end an episode on the back; ProMP's scripts set 100 for another environment.

    Source: the code of Rothfuss et al. 2018, arXiv:1810.06784, jonasrothfuss/ProMP
    ant_rand_goal.py (task range, L1 reward, control cost 0.1, no termination).
    """

    task_type = GoalTask
    weights = {"distance": -1.0, "control": -CONTROL_COST}

    def models(self) -> dict[str, mujoco.MjSpec]:
        """Gymnasium's ant, a mark at the goal, and a camera that sees every goal."""
        spec = gymnasium_model("ant.xml")
        add_goal(spec, ARRIVED_M)
        spec.worldbody.add_camera(name="film", pos=[0, -7.5, 6.5], xyaxes=[1, 0, 0, 0, 0.67, 0.75])
        return {"ant": spec}

    def sample(self, rng: Streams, n: int, split: Split) -> GoalTask:
        """Draw a goal, uniform over the area of the disc or of the ring."""
        inner, outer = FAR_M if split == "far" else (0.0, RADIUS_M)
        angle = rng.uniform(0.0, 2.0 * np.pi)
        radius = np.sqrt(rng.uniform(inner**2, outer**2))
        return GoalTask(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))

    def in_split(self, task: GoalTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        outside = np.hypot(*task.goal_m.T) > (RADIUS_M + FAR_M[0]) / 2
        return outside == (split == "far")

    def reset(self, worlds: Scene, ids: np.ndarray, task: GoalTask, rng: Streams) -> None:
        """Stand near the origin, with Gymnasium's noise."""
        super().reset(worlds, ids, task, rng)
        show_goal(worlds, ids, task.goal_m)

    def terms(self, worlds: Scene, task: GoalTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """L1 distance of the torso from the goal [m]; squared controls."""
        return {
            "distance": np.abs(worlds.qpos[:, :2] - task.goal_m).sum(axis=1),
            "control": np.square(action).sum(axis=1),
        }

    def success(self, worlds: Scene, task: GoalTask) -> np.ndarray:
        """Stand within 0.5 m of the goal.

        The papers report returns alone; this threshold is ours.
        """
        return distance(worlds.qpos[:, :2], task.goal_m) < ARRIVED_M
