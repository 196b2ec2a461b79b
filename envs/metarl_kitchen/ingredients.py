"""Pictures of ingredients in a pan, raw to burnt: what is it, how done, how much, and what is it worth?"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import mujoco
import numpy as np

from metarl.perception.pictures import register_scene
from metarl_kitchen.cooking import colours
from metarl_kitchen.pantry import MENU, WARES, Part, Ware

PAN_RADIUS_M = 0.135
SHRINK = 0.12  # of the size, from raw to burnt
CAMERA_M = (0.0, -0.22, 0.31)
SHIFTS = ("none", "light", "camera", "texture", "clutter")
HERBS = 14  # pieces that lie about in a cluttered pan, with a spoon

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
    <geom name="pan" type="cylinder" size="{PAN_RADIUS_M} 0.003" material="iron" rgba="0.33 0.33 0.35 1"/>
    <geom name="rim" type="mesh" mesh="rim" pos="0 0 0.012" material="iron" rgba="0.40 0.40 0.43 1"/>
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
        clutter: Of the spoon, then of each piece of herb: x and y [m] and rotation about the vertical
            [rad]; seen where the pan is cluttered.
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
    clutter: np.ndarray


@register_scene("kitchen/ingredients")
class Ingredients:
    """One ingredient in a pan on a counter.

    Args:
        shift: What is as it never is otherwise: the light dim, low and yellow; the camera aside and
            askew; the counter tiled and the pan of steel; or the pan cluttered by a spoon and herbs.
    """

    classes: ClassVar[tuple[str, ...]] = tuple(MENU)
    camera: ClassVar[str] = "cook"
    options: ClassVar[dict[str, tuple[str, ...]]] = {"shift": SHIFTS}

    def __init__(self, *, shift: str = "none") -> None:
        self.shift = shift
        self.parts, self.wares = self.stock()

    def stock(self) -> tuple[dict[str, list[Part]], dict[str, Ware]]:
        """What there is, as parts, and what it weighs and costs, each by name."""
        return {name: build() for name, build in MENU.items()}, WARES

    def spec(self) -> mujoco.MjSpec:
        """Build the kitchen with every ingredient in the pan; `apply` shows one of them."""
        spec = mujoco.MjSpec.from_string(KITCHEN)
        add_material(spec, "wood", mujoco.mjtTexture.mjTEXTURE_2D, wood(), repeat=(4.0, 4.0))
        add_material(spec, "food", mujoco.mjtTexture.mjTEXTURE_CUBE, mottle(), repeat=(1.0, 1.0))
        spec.geom("counter").material = "wood"
        if self.shift == "texture":
            grid = (12.0, 12.0)
            add_material(spec, "tiles", mujoco.mjtTexture.mjTEXTURE_2D, tiles(), repeat=grid)
            spec.geom("counter").material = "tiles"
            for name, grey in (("pan", 0.72), ("rim", 0.80)):
                spec.geom(name).rgba = (grey, grey, grey, 1.0)
        for name, parts in self.parts.items():
            add_ingredient(spec, name, parts)
        if self.shift == "clutter":
            add_clutter(spec)
        return spec

    def sample(self, rng: np.random.Generator, n: int) -> Plates:
        """Draw what n pictures show; see `Plates`."""
        plates = Plates(
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
            clutter=np.zeros((n, 1 + HERBS, 3)),
        )
        return dataclasses.replace(plates, **self._shifted(rng, n))

    def _shifted(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Draw what the shift changes, outside of what `sample` draws else."""
        if self.shift == "light":
            warm = np.array((1.25, 1.0, 0.62))
            return {
                "light": rng.uniform(0.40, 0.60, (n, 1)) * warm * rng.uniform(0.95, 1.05, (n, 3)),
                "sun_rad": rng.uniform((-np.pi, 0.30), (np.pi, 0.60), (n, 2)),
            }
        if self.shift == "camera":
            aside, off = rng.choice((-1.0, 1.0), (n, 3)), rng.choice((-1.0, 1.0), (n, 2))
            return {
                "camera_m": aside * rng.uniform(0.045, 0.080, (n, 3)),
                "aim_m": off * rng.uniform(0.016, 0.032, (n, 2)),
            }
        if self.shift == "clutter":
            far = 0.9 * PAN_RADIUS_M * np.sqrt(rng.uniform(0.0, 1.0, (n, 1 + HERBS)))
            at, turn = rng.uniform(-np.pi, np.pi, (2, n, 1 + HERBS))
            return {"clutter": np.stack([far * np.cos(at), far * np.sin(at), turn], -1)}
        return {}

    def measures(self, rows: Plates) -> dict[str, np.ndarray]:
        """What else can be asked: weight of the portion, its price, and where it lies; each (n,)."""
        wares = [self.wares[self.classes[i]] for i in rows.label]
        portion = np.array([ware.grams for ware in wares]) * rows.size**3
        return {
            "portion_g": portion,
            "price_eur": portion / 1000.0 * np.array([ware.euro_per_kg for ware in wares]),
            "x_m": rows.place_m[:, 0],
            "y_m": rows.place_m[:, 1],
        }

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
        if self.shift == "clutter":
            lay_clutter(model, row.clutter)
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


def add_clutter(spec: mujoco.MjSpec) -> None:
    """Put a wooden spoon and pieces of herb in the pan; `lay_clutter` says where."""
    capsule, box = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_BOX
    spoon = spec.worldbody.add_body(name="clutter0", pos=(0.0, 0.0, 0.03))
    lying, wood_brown = (0.5**0.5, 0.0, 0.5**0.5, 0.0), (0.72, 0.52, 0.30, 1.0)
    spoon.add_geom(type=capsule, size=(0.007, 0.09, 0.0), quat=lying, rgba=wood_brown)
    bowl, end = mujoco.mjtGeom.mjGEOM_ELLIPSOID, (-0.09, 0.0, 0.0)
    spoon.add_geom(type=bowl, size=(0.026, 0.018, 0.006), pos=end, rgba=wood_brown)
    for i in range(1, 1 + HERBS):
        herb = spec.worldbody.add_body(name=f"clutter{i}", pos=(0.0, 0.0, 0.012))
        green = (0.10 + 0.02 * (i % 5), 0.34 + 0.03 * (i % 4), 0.08, 1.0)
        herb.add_geom(type=box, size=(0.008, 0.004, 0.0015), rgba=green)


def lay_clutter(model: mujoco.MjModel, places: np.ndarray) -> None:
    """Lay spoon and herbs, (1 + HERBS, 3): x and y [m] and rotation [rad]."""
    for i, (x, y, turn) in enumerate(places):
        body = model.body(f"clutter{i}")
        body.pos[:2] = x, y
        body.quat[:] = (np.cos(turn / 2.0), 0.0, 0.0, np.sin(turn / 2.0))


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


def tiles(size: int = 64) -> np.ndarray:
    """Draw a white tile with a grey joint around it, shape (size, size, 3), uint8; it tiles."""
    rng = np.random.default_rng(2)  # always the same tile
    x, y = np.meshgrid(np.arange(size) / size, np.arange(size) / size)
    joint = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) < 0.04
    shade = np.where(joint, 0.55, 0.97) + rng.uniform(-0.02, 0.02, (size, size))
    return (255 * np.clip(shade[..., None] * (0.88, 0.96, 1.0), 0.0, 1.0)).astype(np.uint8)


def mottle(size: int = 32) -> np.ndarray:
    """Draw soft grey blotches, six square faces below each other, (6 size, size, 3), uint8."""
    rng = np.random.default_rng(1)  # always the same blotches
    coarse = rng.uniform(0.78, 1.0, (6 * size // 4, size // 4))
    grey = np.kron(coarse, np.ones((4, 4)))
    for axis in (0, 1):
        grey = np.mean([np.roll(grey, shift, axis) for shift in (-2, -1, 0, 1, 2)], axis=0)
    return (255 * np.repeat(grey[..., None], 3, axis=-1)).astype(np.uint8)
