"""Light, floor, sky and a view for models that bring none: they are drawn, physics has none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

from metarl.physics import MUJOCO

if TYPE_CHECKING:
    from metarl.family import TaskFamily
    from metarl.sim.worlds import Worlds

FREE_CAMERA = -1
NUM_SEEN = 16  # worlds of each split whose first states say how large the stage must be
SHOWN_GROUPS = 3  # MuJoCo draws the groups below
TILES = 10  # of the floor, across the stage
DEFAULT_VIEW = (90.0, -45.0)  # MuJoCo's azimuth and elevation [degrees], where a model sets none
STILL = 0.7  # share of the stage within which what moves does not move the camera
FLAT = 0.15  # a stage that is so much thinner in y than in z is looked at from the side
SUN = np.array([0.35, 0.45, -1.0])  # where it shines
FLOORS = (mujoco.mjtGeom.mjGEOM_PLANE.value, mujoco.mjtGeom.mjGEOM_HFIELD.value)


class Stage:
    """What a film adds to a model that lacks it.

    Args:
        worlds: Worlds of the family that is filmed; they are not changed.
        world: Which of them.
    Attributes:
        painted: The model with a sky and a floor's pattern, for the drawing context alone; it
            draws what the model itself draws.
    """

    def __init__(self, worlds: Worlds, world: int):
        model, _ = worlds.world(world)
        self._needs_light, self._needs_floor = not model.nlight, not _has_floor(model)
        self._low, self._high = _extent(worlds.family)
        self._middle = (self._low + self._high) / 2.0
        self._radius = max(float(np.linalg.norm(self._high - self._low)) / 2.0, 1e-3)
        source = worlds.family.models()[worlds.model_name(world)]
        self.painted = _paint(source, 2.0 * self._radius / TILES) or model
        self._pattern = self.painted.nmat - 1 if self.painted is not model else -1
        if self.painted is not model:
            self.painted.stat.extent = self._radius
            self.painted.vis.map.shadowclip = 4.0

    def view(self, model: mujoco.MjModel) -> mujoco.MjvCamera:
        """Look at the whole stage."""
        camera = mujoco.MjvCamera()
        camera.lookat[:] = self._middle
        half_rad = np.radians(model.vis.global_.fovy) / 2.0
        camera.distance = 0.9 * self._radius / np.sin(half_rad)
        camera.azimuth, camera.elevation = model.vis.global_.azimuth, model.vis.global_.elevation
        if (camera.azimuth, camera.elevation) == DEFAULT_VIEW:
            _, deep, tall = self._high - self._low
            camera.elevation = -12.0 if deep < FLAT * tall else -38.0
        return camera

    def follow(self, camera: mujoco.MjvCamera, data: mujoco.MjData) -> None:
        """Go along with what leaves the stage."""
        away = data.subtree_com[0] - self._middle
        free = STILL * (self._high - self._low) / 2.0
        camera.lookat[:] = self._middle + away - np.clip(away, -free, free)

    def dress(self, scene: mujoco.MjvScene, middle: np.ndarray) -> None:
        """Add to a scene, as MuJoCo has just filled it, what the model lacks.

        Args:
            scene: The scene.
            middle: Around which place [m], shape (3,).
        """
        far = 40.0 * self._radius
        if self._needs_floor and scene.ngeom < scene.maxgeom:
            floor = scene.geoms[scene.ngeom]
            place = np.array([middle[0], middle[1], self._low[2] - 2e-3 * self._radius])
            size, grey = np.array([far, far, 1.0]), np.array([0.8, 0.82, 0.84, 1.0], np.float32)
            plane = mujoco.mjtGeom.mjGEOM_PLANE
            mujoco.mjv_initGeom(floor, plane.value, size, place, np.eye(3).ravel(), grey)
            floor.matid = self._pattern
            scene.ngeom += 1
        if self._needs_light and scene.nlight < len(scene.lights):
            _shine(scene.lights[scene.nlight], middle - 3.0 * self._radius * SUN)
            scene.nlight += 1
        for eye in scene.camera:  # MuJoCo sees as far as the model is large, however far it goes
            _see_as_far(eye, 0.02 * self._radius, far)


def is_bare(model: mujoco.MjModel) -> bool:
    """Whether a model lacks a light or a floor."""
    return not (model.nlight and _has_floor(model))


def _has_floor(model: mujoco.MjModel) -> bool:
    return bool(np.isin(model.geom_type, FLOORS).any())


def _extent(family: TaskFamily[Any]) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest place where anything is or turns to as episodes begin [m], (3,) each."""
    from metarl.sim.kinds import make_worlds

    worlds, corners = make_worlds(family, NUM_SEEN, physics=MUJOCO), []
    for split in family.splits:
        worlds.assign(worlds.sample(split))
        worlds.reset()
        for i in range(NUM_SEEN):
            model, data = worlds.world(i)
            mujoco.mj_forward(model, data)
            corners += _corners(model, data)
    if not corners:
        return np.full(3, -1.0), np.full(3, 1.0)
    return np.min(corners, axis=0), np.max(corners, axis=0)


def _corners(model: mujoco.MjModel, data: mujoco.MjData) -> list[np.ndarray]:
    corners, of_geoms = [], {}
    for i in range(model.ngeom):
        if model.geom_type[i] in FLOORS or model.geom_group[i] >= SHOWN_GROUPS:
            continue
        turn = data.geom_xmat[i].reshape(3, 3)
        middle = data.geom_xpos[i] + turn @ model.geom_aabb[i, :3]
        half = np.abs(turn) @ model.geom_aabb[i, 3:]
        of_geoms[i] = [middle - half, middle + half]
        corners += of_geoms[i]
    for i in range(model.nsite):
        if model.site_group[i] < SHOWN_GROUPS:
            half = np.abs(data.site_xmat[i].reshape(3, 3)) @ model.site_size[i]
            corners += [data.site_xpos[i] - half, data.site_xpos[i] + half]
    hinges = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_BALL)
    for j in np.flatnonzero(np.isin(model.jnt_type, [int(kind) for kind in hinges])):
        mine = [of_geoms[i] for i in of_geoms if _hangs_on(model, i, int(model.jnt_bodyid[j]))]
        if mine:  # what turns comes around the whole joint
            reach = max(
                np.linalg.norm(corner - data.xanchor[j]) for pair in mine for corner in pair
            )
            across = np.abs(data.xaxis[j]) < 0.95
            corners += [data.xanchor[j] - reach * across, data.xanchor[j] + reach * across]
    return corners


def _hangs_on(model: mujoco.MjModel, geom: int, body: int) -> bool:
    at = int(model.geom_bodyid[geom])
    while at > body:  # parents come first
        at = int(model.body_parentid[at])
    return at == body


def _paint(source: Any, tile_m: float) -> mujoco.MjModel | None:
    """Compile a model with a sky, if it has none, and one more material: a floor of tiles."""
    if isinstance(source, mujoco.MjModel):
        return None
    if isinstance(source, mujoco.MjSpec):
        spec = source.copy()
    else:
        text = str(source)
        read = (
            mujoco.MjSpec.from_string if text.lstrip().startswith("<") else mujoco.MjSpec.from_file
        )
        spec = read(text)
    kinds, builtin = mujoco.mjtTexture, mujoco.mjtBuiltin
    if not any(t.type == kinds.mjTEXTURE_SKYBOX for t in spec.textures):
        spec.add_texture(
            name="metarl-sky", type=kinds.mjTEXTURE_SKYBOX, builtin=builtin.mjBUILTIN_GRADIENT,
            rgb1=[0.93, 0.96, 1.0], rgb2=[0.55, 0.68, 0.82], width=128, height=128,
        )  # fmt: skip
    spec.add_texture(
        name="metarl-floor", type=kinds.mjTEXTURE_2D, builtin=builtin.mjBUILTIN_CHECKER,
        rgb1=[0.80, 0.82, 0.84], rgb2=[0.72, 0.745, 0.77], width=256, height=256,
    )  # fmt: skip
    floor = spec.add_material(name="metarl-floor", texuniform=True, reflectance=0.06)
    floor.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB.value] = "metarl-floor"
    floor.texrepeat = [1.0 / (2.0 * tile_m)] * 2
    return spec.compile()


def _shine(light: Any, place: np.ndarray) -> None:
    light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL.value
    light.pos[:], light.dir[:] = place, SUN / np.linalg.norm(SUN)
    light.ambient[:], light.diffuse[:], light.specular[:] = 0.25, 0.55, 0.2
    light.attenuation[:] = [1.0, 0.0, 0.0]
    light.headlight, light.castshadow, light.texid = 0, 1, -1
    light.cutoff, light.exponent, light.intensity, light.bulbradius = 45.0, 0.0, 0.0, 0.02


def _see_as_far(eye: Any, near: float, far: float) -> None:
    scale = near / eye.frustum_near
    for side in ("near", "top", "bottom", "center", "width"):
        name = f"frustum_{side}"
        setattr(eye, name, scale * getattr(eye, name))
    eye.frustum_far = far
