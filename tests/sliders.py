"""Families that fulfil the whole contract and cost next to nothing."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metarl.family import TaskFamily
from metarl.rewards import closeness, distance
from metarl.types import label, varies

HALVES = {"train": (-0.2, -0.02), "test": (0.02, 0.2), "far": (0.22, 0.3)}

XML = """<mujoco><option timestep=".01" integrator="implicitfast"/><size nuserdata="1"/><worldbody>
<body name="ball"><joint name="x" type="slide" axis="1 0 0" damping="{damping}"/>
<joint name="y" type="slide" axis="0 1 0" damping="{damping}"/>
<geom size=".02" mass="1"/><site name="tip"/></body>{more}</worldbody>
<actuator><motor joint="x" ctrlrange="-5 5"/><motor joint="y" ctrlrange="-5 5"/></actuator></mujoco>"""
WALL = '<geom type="plane" pos="0 0 -1" size="1 1 1"/>'


@dataclass(frozen=True)
class SlideTask:
    goal_m: np.ndarray = varies("m", (-0.2, -0.2), (0.3, 0.2), hidden=True)
    mass_kg: np.ndarray = varies("kg", 0.5, 2.0, hidden=True)
    offset_m: np.ndarray = varies("m", 0.0, 0.1, hidden=False)


class Slide(TaskFamily[SlideTask]):
    """Push a ball of unknown mass to a hidden place; the splits are halves of the plane."""

    id = "toy/slide"
    task_type = SlideTask
    horizon = 25
    control_dt_s = 0.05
    weights: ClassVar[dict[str, float]] = {"near": 2.0, "effort": -0.1}

    def models(self):
        return {"ball": XML.format(damping=2, more="")}

    def sample(self, rng, n, split):
        goal = np.stack([rng.uniform(*HALVES[split]), rng.uniform(-0.2, 0.2)], axis=1)
        return SlideTask(goal, rng.uniform(0.5, 2.0), rng.uniform(0.0, 0.1))

    def in_split(self, task, split):
        low, high = HALVES[split]
        return (task.goal_m[:, 0] >= low) & (task.goal_m[:, 0] < high)

    def configure(self, worlds, ids, task):
        worlds.model_field("body_mass")[ids, worlds.id("body", "ball")] *= task.mass_kg

    def reset(self, worlds, ids, task, rng):
        worlds.qpos[ids] = rng.uniform(-0.1, 0.1, size=2) + task.offset_m[:, None]

    def advance(self, worlds, task):
        worlds.userdata[:, 0] += distance(worlds.site_pos("tip")[:, :2], worlds.qpos * 0.5)

    def observe(self, worlds, task):
        return {
            "robot": np.concatenate([worlds.site_pos("tip")[:, :2] * 5, worlds.qvel / 3], axis=1),
            "object": worlds.userdata / 5,
        }

    def terms(self, worlds, task, action):
        near = closeness(distance(worlds.qpos, task.goal_m), 0.4)
        return {"near": near, "effort": (action**2).mean(axis=1)}

    def success(self, worlds, task):
        return distance(worlds.qpos, task.goal_m) < 0.02

    def expert(self, worlds, task):
        gain = task.mass_kg[:, None] * 0.2
        return np.clip(gain * (60 * (task.goal_m - worlds.qpos) - 14 * worlds.qvel), -1, 1)


@dataclass(frozen=True)
class TwoTask(SlideTask):
    model: np.ndarray = label("the shape of the slider")


class Two(Slide):
    """Two models; a task says on which it runs."""

    id = "toy/two"
    task_type = TwoTask

    def models(self):
        return {
            "light": XML.format(damping=2, more=""),
            "walled": XML.format(damping=4, more=WALL),
        }

    def sample(self, rng, n, split):
        task = super().sample(rng, n, split)
        return TwoTask(**vars(task), model=rng.integers(2))


class Fails(Slide):
    """Fails where x > 0.1, from the start or on the way."""

    id = "toy/fails"

    def failure(self, worlds, task):
        return worlds.qpos[:, 0] > 0.1
