"""A family whose goal a camera sees: push a ball to a spot; and a policy that is told where it is."""

from dataclasses import dataclass

import numpy as np
from toy import Reach, knowing

from metarl.nn.policy import GaussianPolicy
from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.types import varies

XML = """<mujoco><option timestep="0.01" integrator="implicitfast"/><worldbody>
<light pos="0 0 1" diffuse="1 1 1"/><camera name="above" pos="0 0 .6" fovy="50"/>
<camera name="aside" pos="0 -.6 .6" xyaxes="1 0 0 0 .7 .7" fovy="50"/>
<geom type="plane" size="1 1 .1" pos="0 0 -.05" rgba=".2 .2 .2 1" contype="0" conaffinity="0"/>
<body name="spot" mocap="true"><geom type="cylinder" size=".05 .002" rgba="COLOUR" contype="0" conaffinity="0"/></body>
<body name="ball"><joint name="x" type="slide" axis="1 0 0" damping="2"/><joint name="y" type="slide" axis="0 1 0" damping="2"/>
<geom size=".02" mass="1" rgba=".2 .9 .3 1" contype="0" conaffinity="0"/></body></worldbody>
<actuator><motor joint="x" ctrlrange="-5 5"/><motor joint="y" ctrlrange="-5 5"/></actuator></mujoco>"""


@dataclass(frozen=True)
class SpotTask:
    goal_m: np.ndarray = varies("m", (-0.2, -0.2), (0.2, 0.2), hidden=False)
    wish: np.ndarray = varies("1", -1.0, 1.0, hidden=True)


@register("spots/spot")
class Spot(Reach):
    task_type = SpotTask
    horizon = 12
    cameras = ("above", "aside")

    def __init__(self, *, colour: str = "red"):
        self.colour = {"red": "1 .2 .1 1", "blue": ".1 .2 1 1"}[colour]

    def models(self):
        return {"ball": XML.replace("COLOUR", self.colour)}

    def sample(self, rng, n, split):
        return SpotTask(rng.uniform(-0.2, 0.2, size=2), rng.uniform(-1.0, 1.0))

    def reset(self, worlds, ids, task, rng):
        worlds.mocap_pos("spot")[ids] = np.column_stack([task.goal_m, np.zeros(len(ids))])
        worlds.qpos[ids] = rng.uniform(-0.1, 0.1, size=2)

    def observe(self, worlds, task):
        own = np.concatenate([worlds.qpos * 5, worlds.qvel], 1)
        return {"robot": own, "object": worlds.mocap_pos("spot")[:, :2] * 5}

    def terms(self, worlds, task, action):
        return {"near": closeness(distance(worlds.qpos, task.goal_m), 0.4)}


@register("spots/blind")
class Blind(Spot):
    """The same, of which no camera may be observed."""

    cameras = ()


def told(spec) -> GaussianPolicy:
    """A policy that goes where the block ``object`` says the spot is."""
    return knowing(spec, "object")
