"""A family small enough for tests: push a ball to a hidden place."""

from dataclasses import dataclass

import numpy as np
import torch

from metarl.family import TaskFamily
from metarl.nn.policy import GaussianPolicy
from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.runs.checkpoint import Checkpoint
from metarl.types import varies


@dataclass(frozen=True)
class ReachTask:
    goal_m: np.ndarray = varies("m", (-0.2, -0.2), (0.2, 0.2), hidden=True)


XML = """<mujoco><option timestep="0.01" integrator="implicitfast"/><worldbody>
<body name="ball"><joint name="x" type="slide" axis="1 0 0" damping="2"/><joint name="y" type="slide" axis="0 1 0" damping="2"/>
<geom size=".02" mass="1"/></body></worldbody>
<actuator><motor joint="x" ctrlrange="-5 5"/><motor joint="y" ctrlrange="-5 5"/></actuator></mujoco>"""


@register("toy/reach")
class Reach(TaskFamily[ReachTask]):
    task_type = ReachTask
    horizon = 40
    control_dt_s = 0.05
    weights = {"near": 1.0}

    def models(self):
        return {"ball": XML}

    def sample(self, rng, n, split):
        g = rng.uniform(-0.2, 0.2, size=2)
        return ReachTask(g)

    def reset(self, worlds, ids, task, rng):
        worlds.qpos[ids] = rng.uniform(-0.1, 0.1, size=2)

    def observe(self, worlds, task):
        return {"robot": np.concatenate([worlds.qpos * 5, worlds.qvel], 1)}

    def terms(self, worlds, task, action):
        return {"near": closeness(distance(worlds.qpos, task.goal_m), 0.4)}

    def success(self, worlds, task):
        return distance(worlds.qpos, task.goal_m) < 0.05

    def expert(self, worlds, task):
        return np.clip(10 * (task.goal_m - worlds.qpos) - 2 * worlds.qvel, -1, 1)


@register("toy/short")
class Short(Reach):
    """The same for five steps, of which a film is soon drawn."""

    horizon = 5


def knowing(spec, block="task") -> GaussianPolicy:
    """A policy that goes where a block says, as the toy's expert does."""
    generator = torch.Generator().manual_seed(0)
    policy = GaussianPolicy(spec.obs_dim, 2, spec.task_dim, generator, hidden=(2,))
    small = 1e-3  # where tanh is a straight line
    first, head = policy.trunk.layers[0], policy.head
    with torch.no_grad():
        for layer in (first, head):
            layer.weight.zero_()
            layer.bias.zero_()
        for axis in (0, 1):
            first.weight[axis, spec.slice("robot").start + axis] = -2.0 * small
            first.weight[axis, spec.slice("robot").start + 2 + axis] = -2.0 * small
            first.weight[axis, spec.slice(block).start + axis] = 2.0 * small
            head.weight[axis, axis] = 1.0 / small
    return policy


def saved(policy: GaussianPolicy, spec) -> Checkpoint:
    """A checkpoint as a run would have written it."""
    tensors = {f"policy.{name}": p.detach() for name, p in policy.named_parameters()}
    meta = {"blocks": dict(spec.blocks), "action_dim": spec.action_dim, "config": {"hidden": [2]}}
    return Checkpoint(tensors, meta)


@dataclass(frozen=True)
class SeenTask:
    goal_m: np.ndarray = varies("m", (-0.2, -0.2), (0.2, 0.2), hidden=False)


class Seen(Reach):
    """Nothing is hidden."""

    id = "toy/reach"
    task_type = SeenTask

    def sample(self, rng, n, split):
        return SeenTask(super().sample(rng, n, split).goal_m)


class Breaking(Reach):
    """In one world rewards are too large to be added up after so many control steps."""

    id = "toy/reach"

    def __init__(self, world: int, after: int):
        self.world, self.after, self.count = world, after, 0

    def terms(self, worlds, task, action):
        terms = super().terms(worlds, task, action)
        self.count += 1
        if self.count > self.after:
            terms["near"][self.world] = 3e38
        return terms
