"""The half-cheetah of MAML, on Gymnasium's model."""

from __future__ import annotations

from typing import TypeVar

import mujoco
import numpy as np

from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl_classic.runner import RunnerFamily, gymnasium_model, scale_mass

Task = TypeVar("Task")

X, SPEED, STEADY = 0, 1, 2  # columns of userdata: [m], [m/s], [m/s]
NUM_USERDATA = 3
STEADY_RATE = 0.1  # weight of the newest control step in the steady speed
CONTROL_COST = 0.05


class CheetahFamily(RunnerFamily[Task]):
    """The half-cheetah; no episode ends early.

    Userdata holds the forward velocity as Gymnasium averages it over a control step, and
    its running mean over about half a second, by which success is judged.

    Deviation from the released code of MAML: a control step lasts 0.05 s, as in Gymnasium,
    not 0.01 s, at the same horizon; the torso's centre of mass is not observed; the
    velocity is the root's over a control step, not the torso's at its end; resets are as
    noisy as Gymnasium's.
    """

    cameras = ("film",)
    hidden_qpos = 1

    def models(self) -> dict[str, mujoco.MjSpec]:
        """Gymnasium's half-cheetah, with a camera and a light that run beside it."""
        spec = gymnasium_model("half_cheetah.xml")
        scale_mass(spec)
        spec.nuserdata = NUM_USERDATA
        track = mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM
        spec.delete(spec.lights[0])
        spec.body("torso").add_light(
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, mode=track,
            pos=[0, 0, 3], dir=[0, 0, -1], diffuse=[0.8, 0.8, 0.8],
        )  # fmt: skip
        spec.visual.map.shadowclip = 0.3  # a smaller map: no specks on the floor
        spec.body("torso").add_camera(
            name="film", mode=track,
            pos=[0, -3.5, 0.9], xyaxes=[1, 0, 0, 0, 0.22, 1],
        )  # fmt: skip
        return {"half_cheetah": spec}

    def reset(self, worlds: Scene, ids: np.ndarray, task: Task, rng: Streams) -> None:
        """Stand near the origin, with Gymnasium's noise."""
        super().reset(worlds, ids, task, rng)
        worlds.userdata[ids] = 0.0
        worlds.userdata[ids, X] = worlds.qpos[ids, 0]

    def advance(self, worlds: Scene, task: Task) -> None:
        """Measure the forward velocity over the control step."""
        memory, x = worlds.userdata, worlds.qpos[:, 0]
        memory[:, SPEED] = (x - memory[:, X]) / self.control_dt_s
        memory[:, STEADY] += STEADY_RATE * (memory[:, SPEED] - memory[:, STEADY])
        memory[:, X] = x
