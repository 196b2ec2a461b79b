"""Push a ball to a hidden place: replace it by what you want to be learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metarl.family import TaskFamily
from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.types import varies

# Where the goal's x may be [m]. What is held out for tests lies inside what is trained; far is beyond.
SPLITS = {"train": (-0.2, 0.1), "test": (0.0, 0.1), "far": (0.2, 0.3)}
GAP_M = 0.1  # training leaves x = 0.0 .. 0.1 out
NEAR_M = 0.05


@dataclass(frozen=True)
class Goal:
    """What differs from task to task: arrays of one row a world, (N, 2) here."""

    goal_m: np.ndarray = varies("m", (-0.2, -0.2), (0.3, 0.2), hidden=True, doc="place of the goal")


@register("my_package/reach")
class Reach(TaskFamily[Goal]):
    """Push a ball to a hidden place."""

    task_type = Goal
    horizon = 40  # control steps of an episode
    control_dt_s = 0.05
    weights = {"near": 1.0}  # of the terms below

    def models(self):
        """The physics: a file beside this one."""
        return {"ball": str(Path(__file__).with_name("reach.xml"))}

    def sample(self, rng, n, split):
        """Draw n tasks of a split; `rng` has a stream for each."""
        x = rng.uniform(*SPLITS[split])
        x = x + GAP_M * ((split == "train") & (x > 0.0))
        return Goal(np.stack([x, rng.uniform(-0.2, 0.2)], axis=1))

    def in_split(self, task, split):
        """Say which tasks belong to a split."""
        x = task.goal_m[:, 0]
        held_out, far = (x >= 0.0) & (x <= 0.1), x > 0.2
        return {"train": ~held_out & ~far, "test": held_out, "far": far}[split]

    def reset(self, worlds, ids, task, rng):
        """Begin episodes in the worlds `ids`."""
        worlds.qpos[ids] = rng.uniform(-0.1, 0.1, size=2)
        worlds.mocap_pos("goal")[ids, :2] = task.goal_m  # drawn in films; nobody observes it

    def observe(self, worlds, task):
        """What a policy sees, in blocks, scaled to about 1."""
        return {"robot": np.concatenate([5 * worlds.qpos, worlds.qvel], axis=1)}

    def columns(self):
        """Names of what is observed: policies of other families keep what they know of these."""
        return {"robot": ("x", "y", "x velocity", "y velocity")}

    def terms(self, worlds, task, action):
        """Terms of the reward, each one number a world."""
        return {"near": closeness(distance(worlds.qpos, task.goal_m), 0.4)}

    def success(self, worlds, task):
        """Whether each world is where it should be."""
        return distance(worlds.qpos, task.goal_m) < NEAR_M

    def expert(self, worlds, task):
        """A script that solves it, for imitation, ceilings, and to show that it can be solved."""
        return np.clip(4.0 * (task.goal_m - worlds.qpos) - 1.0 * worlds.qvel, -1.0, 1.0)
