"""Go to a hidden place in the plane: the point of MAML."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from metarl.family import TaskFamily
from metarl.registry import register
from metarl.rewards import distance
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, varies
from metarl_classic.goals import add_goal, show_goal

STEP_M = 0.1  # longest move along an axis in a control step
HALF_M, FAR_M = 0.5, (0.55, 1.0)  # largest coordinate of a goal
ARRIVED_M = 0.01
START_M = 0.01

POINT = """
<mujoco model="point">
  <option timestep="{dt}" gravity="0 0 0"/>
  <statistic extent="2" center="0 0 0"/>
  <visual><headlight ambient=".3 .3 .3" diffuse=".3 .3 .3" specular="0 0 0"/></visual>
  <asset>
    <texture type="skybox" builtin="gradient" rgb1=".9 .95 1" rgb2=".6 .7 .8" width="64" height="64"/>
    <texture name="grid" type="2d" builtin="checker" rgb1=".62 .67 .72" rgb2=".76 .80 .84" width="256" height="256"/>
    <material name="grid" texture="grid" texrepeat="4 4" texuniform="true" specular="0"/>
  </asset>
  <worldbody>
    <light directional="true" pos="0 0 3" dir="0 0 -1" diffuse=".5 .5 .5"/>
    <geom type="plane" size="1.5 1.5 .1" material="grid" contype="0" conaffinity="0"/>
    <body name="point" pos="0 0 .04">
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="y" type="slide" axis="0 1 0"/>
      <geom type="sphere" size=".04" mass="1" rgba=".85 .35 .2 1" contype="0" conaffinity="0"/>
    </body>
    <camera name="film" pos="0 -1.4 2.4" xyaxes="1 0 0 0 .87 .5"/>
  </worldbody>
  <actuator>
    <velocity joint="x" kv="{kv}" ctrlrange="-{speed} {speed}"/>
    <velocity joint="y" kv="{kv}" ctrlrange="-{speed} {speed}"/>
  </actuator>
</mujoco>"""


@dataclass(frozen=True)
class GoalTask:
    """Where to go."""

    goal_m: np.ndarray = varies(
        "m", (-FAR_M[1], -FAR_M[1]), (FAR_M[1], FAR_M[1]), hidden=True, doc="place of the goal"
    )


@register("classic/point-navigation")
class PointNavigation(TaskFamily[GoalTask]):
    """Go to a goal around the start, in the plane.

    Goals are uniform in the square [-0.5, 0.5]^2, in the far split in a frame around it,
    with a largest coordinate of 0.55 to 1. An action moves the point by at most 0.1 along
    each axis, exactly. The episode ends at the goal: `failure` says so, since it alone ends
    an episode, and there it means success. A control step has no duration in the source;
    here it lasts 0.05 s, so that films run at a speed that can be watched.

    Deviation: an episode starts within 0.01 of the origin, not on it, because two episodes
    of a task must differ. The paper writes the squared distance as reward; its code, which
    we follow, and later copies take the distance.

    Source: Finn, Abbeel, Levine 2017, arXiv:1703.03400, section 5.3 (2D navigation, horizon
    100), and its code, cbfinn/maml_rl point_env_randgoal.py.
    """

    task_type = GoalTask
    horizon = 100
    control_dt_s = 0.05
    weights = {"distance": -1.0}
    film_camera = "film"
    same_test = True

    def models(self) -> dict[str, mujoco.MjSpec]:
        """A ball that slides over a floor, and a mark at the goal."""
        dt = self.control_dt_s
        # with a mass of 1 kg this gain reaches the wanted velocity in one Euler step
        text = POINT.format(dt=dt, kv=1.0 / dt, speed=STEP_M / dt)
        spec = mujoco.MjSpec.from_string(text)
        add_goal(spec, 0.04)
        return {"point": spec}

    def sample(self, rng: Streams, n: int, split: Split) -> GoalTask:
        """Draw a goal in the square, or push one out into the frame around it."""
        goal = rng.uniform(-HALF_M, HALF_M, size=2)
        if split == "far":
            goal *= (rng.uniform(*FAR_M) / np.abs(goal).max(axis=1))[:, None]
        return GoalTask(goal)

    def in_split(self, task: GoalTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        return (np.abs(task.goal_m).max(axis=1) > HALF_M) == (split == "far")

    def reset(self, worlds: Scene, ids: np.ndarray, task: GoalTask, rng: Streams) -> None:
        """Start beside the origin."""
        worlds.qpos[ids] = rng.uniform(-START_M, START_M, size=2)
        show_goal(worlds, ids, task.goal_m)

    def observe(self, worlds: Scene, task: GoalTask) -> dict[str, np.ndarray]:
        """The place of the point [m]."""
        return {"robot": worlds.qpos}

    def terms(self, worlds: Scene, task: GoalTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Distance from the goal [m]."""
        return {"distance": distance(worlds.qpos, task.goal_m)}

    def success(self, worlds: Scene, task: GoalTask) -> np.ndarray:
        """Be at the goal, within 0.01 along each axis: where the source ends an episode."""
        return (np.abs(worlds.qpos - task.goal_m) < ARRIVED_M).all(axis=1)

    def failure(self, worlds: Scene, task: GoalTask) -> np.ndarray:
        """End the episode at the goal."""
        return self.success(worlds, task)

    def expert(self, worlds: Scene, task: GoalTask) -> np.ndarray:
        """Go straight along both axes."""
        return np.clip((task.goal_m - worlds.qpos) / STEP_M, -1.0, 1.0)
