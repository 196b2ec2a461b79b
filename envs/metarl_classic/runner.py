"""What the cheetah and the ant share: Gymnasium's models, control period and resets."""

from __future__ import annotations

from importlib.resources import files
from typing import ClassVar, TypeVar

import mujoco
import numpy as np

from metarl.family import TaskFamily
from metarl.sim.scene import Scene
from metarl.streams import Streams

Task = TypeVar("Task")

NOISE = 0.1  # of positions (uniform) and velocities (normal) at a reset
SPEED_SCALE = 10.0  # observed velocities are divided by it


def gymnasium_model(name: str) -> mujoco.MjSpec:
    """Read one of Gymnasium's models.

    Args:
        name: The file's name among Gymnasium's assets, for example ``"ant.xml"``.
    Returns:
        Its specification, with a paler floor and sky; the floor, endless to touch, looks so too.
    """
    path = files("gymnasium") / "envs" / "mujoco" / "assets" / name
    spec = mujoco.MjSpec.from_string(path.read_text())
    floor = spec.texture("texplane")
    floor.rgb1, floor.rgb2 = [0.62, 0.67, 0.72], [0.76, 0.80, 0.84]
    plane = spec.material("MatPlane")
    plane.reflectance, plane.texuniform, plane.texrepeat = 0.1, True, [0.75, 0.75]  # times a metre
    spec.geom("floor").size[:2] = 0.0  # a fast cheetah runs off the 40 m that would be drawn
    for texture in spec.textures:
        if texture.type == mujoco.mjtTexture.mjTEXTURE_SKYBOX:
            texture.rgb1, texture.rgb2 = [0.9, 0.95, 1.0], [0.6, 0.7, 0.8]
    return spec


def scale_mass(spec: mujoco.MjSpec) -> None:
    """Give a robot its ``settotalmass`` by densities; MuJoCo 4 warns of the attribute.

    The masses equal those of the attribute up to rounding.

    Args:
        spec: The model's specification, whose masses all come from densities.
    """
    wanted_kg, spec.compiler.settotalmass = spec.compiler.settotalmass, -1.0
    scale = wanted_kg / spec.compile().body_mass.sum()
    for geom in spec.geoms:
        geom.density *= scale


class RunnerFamily(TaskFamily[Task]):
    """A robot of Gymnasium's v5 environments: same model, control period and reset noise.

    Deviation: velocities are observed divided by 10, since observations are bounded.

    Attributes:
        hidden_qpos: How many of the first positions are not observed.
    Source: Gymnasium 1.4, half_cheetah_v5.py and ant_v5.py (reset_model, _get_obs).
    """

    horizon = 200
    control_dt_s = 0.05
    film_camera = "film"
    same_test = True
    hidden_qpos: ClassVar[int] = 0

    def reset(self, worlds: Scene, ids: np.ndarray, task: Task, rng: Streams) -> None:
        """Add noise to the model's own pose, at rest."""
        worlds.qpos[ids] += rng.uniform(-NOISE, NOISE, size=worlds.model.nq)
        worlds.qvel[ids] = rng.normal(NOISE, size=worlds.model.nv)

    def observe(self, worlds: Scene, task: Task) -> dict[str, np.ndarray]:
        """Positions [m, rad] and velocities [10 m/s, 10 rad/s], in MuJoCo's order."""
        pose = worlds.qpos[:, self.hidden_qpos :]
        return {"robot": np.concatenate([pose, worlds.qvel / SPEED_SCALE], axis=1)}
