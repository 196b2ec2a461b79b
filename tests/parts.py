"""Two skills of two robots whose actions differ: small enough for tests, and parts of them combine."""

from typing import ClassVar

import numpy as np
from sliders import HALVES as SLIDERS
from toy import XML, ReachTask

from metarl.family import TaskFamily
from metarl.registry import register
from metarl.rewards import closeness, distance

# What an action does, (A, 2): a straight robot pushes along x and y, a turned one across, with a spare.
ROBOTS = {"straight": np.eye(2), "turned": np.array([[0.0, 1.0], [-1.0, 0.0], [0.0, 0.0]])}

HALVES = {**SLIDERS, "far": (0.15, 0.2)}  # a goal is within 0.2 m


class Arm(TaskFamily[ReachTask]):
    """Push a ball to a place that is seen in the skill's own way."""

    task_type = ReachTask
    horizon = 20
    control_dt_s = 0.05
    weights: ClassVar[dict[str, float]] = {"near": 1.0}
    sign = 1.0

    def __init__(self, *, robot: str = "straight"):
        self.robot, self.pushes = robot, ROBOTS[robot]

    def models(self):
        return {"ball": XML}

    def action_dim(self, num_actuators):
        return len(self.pushes)

    def act(self, worlds, task, action):
        worlds.ctrl[:] = 5.0 * action @ self.pushes

    def sample(self, rng, n, split):
        low, high = HALVES[split]
        return ReachTask(np.stack([rng.uniform(low, high), rng.uniform(-0.2, 0.2)], axis=1))

    def in_split(self, task, split):
        low, high = HALVES[split]
        return (task.goal_m[:, 0] >= low) & (task.goal_m[:, 0] < high)

    def reset(self, worlds, ids, task, rng):
        worlds.qpos[ids] = rng.uniform(-0.1, 0.1, size=2)

    def observe(self, worlds, task):
        own = [
            worlds.qpos * 5,
            worlds.qvel,
            *([worlds.ctrl[:, :1]] if self.robot == "turned" else []),
        ]
        return {"robot": np.concatenate(own, axis=1)}

    def columns(self):
        more = ("push",) if self.robot == "turned" else ()
        return {"robot": ("x", "y", "x velocity", "y velocity", *more)}

    def terms(self, worlds, task, action):
        return {"near": closeness(distance(worlds.qpos, self.sign * task.goal_m), 0.4)}

    def success(self, worlds, task):
        return distance(worlds.qpos, self.sign * task.goal_m) < 0.05

    def expert(self, worlds, task):
        wanted = 6 * (self.sign * task.goal_m - worlds.qpos) - 1.5 * worlds.qvel
        return np.clip(wanted @ self.pushes.T, -1, 1)


@register("parts/towards")
class Towards(Arm):
    """Go where the goal is said to be."""


@register("parts/mirrored")
class Mirrored(Arm):
    """Go to the mirror image of where the goal is said to be."""

    sign = -1.0
