"""Pictures of ingredients in a pan, raw to burnt: what is it, and how done is it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import mujoco
import numpy as np

from metarl.perception.pictures import register_scene
from metarl_kitchen.cooking import colours
from metarl_kitchen.pantry import MENU, Part

PAN_RADIUS_M = 0.135
SHRINK = 0.12  # of the size, from raw to burnt
CAMERA_M = (0.0, -0.22, 0.31)

KITCHEN = f"""
<mujoco>
  <compiler eulerseq="XYZ"/>
  <visual>
    <headlight diffuse="0.12 0.12 0.12" specular="0 0 0"/>
    <map znear="0.05" zfar="20"/>
  </visual>
  <asset>
    <mesh name="rim" builtin="supertorus" params="32 0.06 1 1"
          scale="{PAN_RADIUS_M} {PAN_RADIUS_M} {2 * PAN_RADIUS_M}"/>
    <material name="iron" specular="0.4" shininess="0.3"/>
  </asset>
  <worldbody>
    <light name="sun" type="directional" castshadow="false" specular="0.4 0.4 0.4"/>
    <body name="aim" pos="0 0 0.01"/>
    <camera name="cook" mode="targetbody" target="aim" fovy="38"/>
    <geom name="counter" type="box" size="1 1 0.01" pos="0 0 -0.016"/>
    <geom type="cylinder" size="{PAN_RADIUS_M} 0.003" material="iron" rgba="0.33 0.33 0.35 1"/>
    <geom type="mesh" mesh="rim" pos="0 0 0.012" material="iron" rgba="0.40 0.40 0.43 1"/>
    <geom type="capsule" fromto="{PAN_RADIUS_M} 0 0.02 0.4 0 0.04" size="0.013" material="iron"
          rgba="0.12 0.10 0.09 1"/>
  </worldbody>
</mujoco>
"""


@dataclass(frozen=True)
class Plates:
    """What n pictures show, one row each.

    Attributes:
        label: Index of the ingredient, int64.
        doneness: 0 raw, 0.5 golden, 1 burnt.
        place_m: Offset in the pan, x and y [m].
        yaw_rad: Rotation about the vertical [rad].
        size: Scale of the ingredient, unitless.
        sun_rad: Azimuth and elevation of the light [rad].
        light: Brightness of the light, RGB, about 1.
        camera_m: Offset of the camera [m].
        aim_m: Offset of the point that it looks at, x and y [m].
        counter: Colour of the counter, RGB.
    """

    label: np.ndarray
    doneness: np.ndarray
    place_m: np.ndarray
    yaw_rad: np.ndarray
    size: np.ndarray
    sun_rad: np.ndarray
    light: np.ndarray
    camera_m: np.ndarray
    aim_m: np.ndarray
    counter: np.ndarray


@register_scene("kitchen/ingredients")
class Ingredients:
    """One ingredient in a pan on a counter."""

    classes: ClassVar[tuple[str, ...]] = tuple(MENU)
    camera: ClassVar[str] = "cook"

    def __init__(self) -> None:
        self.parts = {name: build() for name, build in MENU.items()}

    def spec(self) -> mujoco.MjSpec:
        """Build the kitchen with every ingredient in the pan; `apply` shows one of them."""
        spec = mujoco.MjSpec.from_string(KITCHEN)
        add_material(spec, "wood", mujoco.mjtTexture.mjTEXTURE_2D, wood(), repeat=(4.0, 4.0))
        add_material(spec, "food", mujoco.mjtTexture.mjTEXTURE_CUBE, mottle(), repeat=(1.0, 1.0))
        spec.geom("counter").material = "wood"
        for name, parts in self.parts.items():
            add_ingredient(spec, name, parts)
        return spec

    def sample(self, rng: np.random.Generator, n: int) -> Plates:
        """Draw what n pictures show; see `Plates`."""
        return Plates(
            label=rng.integers(len(self.classes), size=n),
            doneness=rng.uniform(0.0, 1.0, n),
            place_m=rng.uniform(-0.022, 0.022, (n, 2)),
            yaw_rad=rng.uniform(-np.pi, np.pi, n),
            size=rng.uniform(0.82, 1.12, n),
            sun_rad=rng.uniform((-np.pi, 0.75), (np.pi, 1.35), (n, 2)),
            light=rng.uniform(0.75, 1.15, (n, 1)) * rng.uniform(0.93, 1.07, (n, 3)),
            camera_m=rng.uniform(-0.03, 0.03, (n, 3)),
            aim_m=rng.uniform(-0.012, 0.012, (n, 2)),
            counter=rng.uniform(0.6, 1.0, (n, 1)) * rng.uniform(0.9, 1.0, (n, 3)),
        )

    def apply(self, model: mujoco.MjModel, data: mujoco.MjData, row: Plates) -> None:
        """Show one plate and bring positions, light and camera up to date."""
        self.show(model, self.classes[int(row.label)], float(row.doneness), float(row.size))
        body = model.body(self.classes[int(row.label)])
        body.pos[:2] = row.place_m
        body.quat[:] = (np.cos(row.yaw_rad / 2.0), 0.0, 0.0, np.sin(row.yaw_rad / 2.0))
        azimuth, elevation = row.sun_rad
        flat = np.cos(elevation)
        model.light("sun").dir[:] = (
            -flat * np.cos(azimuth),
            -flat * np.sin(azimuth),
            -np.sin(elevation),
        )
        model.light("sun").diffuse[:] = 0.62 * row.light
        model.vis.headlight.ambient[:] = 0.42 * row.light
        model.camera(self.camera).pos[:] = np.array(CAMERA_M) + row.camera_m
        model.body("aim").pos[:2] = row.aim_m
        model.geom("counter").rgba[:3] = row.counter
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)

    def show(self, model: mujoco.MjModel, name: str, doneness: float, size: float) -> None:
        """Hide every ingredient but one, and give that one its colours and size.

        Args:
            model: Is changed in place.
            name: The ingredient.
            doneness: 0 raw to 1 burnt.
            size: Scale when raw, unitless.
        """
        every = slice(geoms(model, self.classes[0]).start, geoms(model, self.classes[-1]).stop)
        model.geom_rgba[every, 3] = 0.0
        scale = size * (1.0 - SHRINK * doneness)
        for geom, part in zip(geoms(model, name), self.parts[name], strict=True):
            model.geom_rgba[geom] = (*colours(np.array([doneness]), part.tint.stops)[0], 1.0)
            model.geom_size[geom, : len(part.size)] = scale * np.array(part.size)
            model.geom_pos[geom] = scale * np.array(part.at)


def geoms(model: mujoco.MjModel, body: str) -> range:
    """List the geoms of a body, in the order in which they were added."""
    first = int(model.body(body).geomadr[0])
    return range(first, first + int(model.body(body).geomnum[0]))


def add_ingredient(spec: mujoco.MjSpec, name: str, parts: list[Part]) -> None:
    """Put an ingredient in the pan, as a body of its own.

    Args:
        spec: Is changed in place.
        name: Name of the body.
        parts: Its geoms.
    """
    body = spec.worldbody.add_body(name=name, pos=(0.0, 0.0, 0.003))
    for part in parts:
        kind = getattr(mujoco.mjtGeom, f"mjGEOM_{part.shape.upper()}")
        size = (*part.size, 0.0, 0.0)[:3]
        body.add_geom(type=kind, size=size, pos=part.at, euler=part.turn, material="food")


def add_material(
    spec: mujoco.MjSpec, name: str, kind: Any, pixels: np.ndarray, repeat: tuple[float, float]
) -> None:
    """Add a material with a texture of the same name.

    Args:
        spec: Is changed in place.
        name: Name of both.
        kind: MuJoCo's texture type.
        pixels: Shape (height, width, 3), uint8; a geom's colour multiplies it.
        repeat: How often it repeats along x and y.
    """
    height, width, channels = pixels.shape
    texture = spec.add_texture(name=name, type=kind, height=height, width=width, nchannel=channels)
    texture.data = pixels.tobytes()
    material = spec.add_material(name=name, specular=0.25, shininess=0.25, texrepeat=repeat)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def wood(size: int = 256) -> np.ndarray:
    """Draw planks with grain, shape (size, size, 3), uint8; it tiles along the grain."""
    rng = np.random.default_rng(0)  # always the same counter
    x, y = np.meshgrid(np.arange(size) / size, np.arange(size) / size)
    plank = (y * 4.0).astype(int)
    grain = np.sin(2 * np.pi * (y * 36.0 + np.sin(2 * np.pi * x) + 3.0 * plank))
    seam = np.abs(y * 4.0 - np.round(y * 4.0)) < 0.03
    shade = 0.86 + 0.05 * grain + rng.uniform(-0.06, 0.06, 4)[plank] - 0.25 * seam
    colour = np.array((0.95, 0.76, 0.54))
    return (255 * np.clip(shade[..., None] * colour, 0.0, 1.0)).astype(np.uint8)


def mottle(size: int = 32) -> np.ndarray:
    """Draw soft grey blotches, six square faces below each other, (6 size, size, 3), uint8."""
    rng = np.random.default_rng(1)  # always the same blotches
    coarse = rng.uniform(0.78, 1.0, (6 * size // 4, size // 4))
    grey = np.kron(coarse, np.ones((4, 4)))
    for axis in (0, 1):
        grey = np.mean([np.roll(grey, shift, axis) for shift in (-2, -1, 0, 1, 2)], axis=0)
    return (255 * np.repeat(grey[..., None], 3, axis=-1)).astype(np.uint8)
