"""A recording's bodies in a browser's scene, by viser and by mjviser's meshes of MuJoCo's geoms."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import Any

import mujoco
import numpy as np
from mjviser.conversions import get_geom_texture_id, merge_geoms

from metarl.film.stage import SHOWN_GROUPS
from metarl.viewer.recording import UNSET, Recording

WALL_M = 1.2  # what stands and is higher than that is a wall
LABEL_M = 0.2  # how far a side's name is above what moves
_FLAT = (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_PLANE)
_PLANE_M = 5.0  # half a side of what is drawn of an endless floor


class Side:
    """One recording in the scene, at its own place.

    Args:
        server: viser's.
        name: Of its node in the scene's tree.
        recording: What happened.
        offset_m: Where its world's origin stands, (3,).
        walls: Whether to draw what stands still and is high, which would hide other sides.
    Attributes:
        reach: Where every body ever is and how far it goes, and the name above them [m], (P, 4).
    """

    def __init__(
        self,
        server: Any,
        name: str,
        recording: Recording,
        offset_m: np.ndarray,
        *,
        walls: bool = True,
    ):
        self.recording = recording
        self._root = server.scene.add_frame(f"/{name}", show_axes=False, position=offset_m)
        model = _as_drawn(recording)
        self._bodies: list[tuple[int, Any]] = []
        self._tinted: list[tuple[int, Any]] = []
        changing = set(recording.changing.tolist())
        for body, geoms in _geoms_by_body(model, recording).items():
            if body == 0 and not walls:
                geoms = [geom for geom in geoms if not _is_high(model, geom)]
            path = f"/{name}/body{body}"
            frame = server.scene.add_frame(path, show_axes=False)
            self._bodies.append((body, frame))
            for i, part in enumerate(_alike(model, [g for g in geoms if g not in changing])):
                _add(server, f"{path}/part{i}", model, part)
            for geom in set(geoms) & changing:
                self._tinted.append((geom, _add(server, f"{path}/geom{geom}", model, [geom])))
        above = recording.positions[:, recording.moving]
        top = np.append(above[0, :, :2].mean(axis=0), above[..., 2].max() + LABEL_M)
        self.reach = np.append(_reach(model, recording), [[*top, 0.0]], axis=0)
        self.reach[:, :3] += offset_m
        server.scene.add_label(
            f"/{name}/label", recording.label, position=top, anchor="bottom-center"
        )
        self.show(0)

    def show(self, moment: int) -> None:
        """Put everything where it was; the last moment stays."""
        moment = min(moment, len(self.recording) - 1)
        for body, frame in self._bodies:
            frame.position = self.recording.positions[moment, body]
            frame.wxyz = self.recording.quaternions[moment, body]
        for geom, handle in self._tinted:
            rgba = self.recording.colours[moment, geom]
            handle.color = _bytes(*np.clip(rgba[:3], 0.0, 1.0).tolist())
            handle.opacity = float(rgba[3])
            handle.visible = bool(rgba[3] > 0.0)

    def remove(self) -> None:
        """Take it out of the scene."""
        self._root.remove()


def _alike(model: mujoco.MjModel, geoms: list[int]) -> list[list[int]]:
    """Geoms of a body that can be one mesh: of the same texture, or of none and the same colour."""
    found: dict[Any, list[int]] = defaultdict(list)
    for geom in geoms:
        texture = get_geom_texture_id(model, geom)
        found[texture if texture >= 0 else tuple(_rgba(model, geom))].append(geom)
    return list(found.values())


def _is_high(model: mujoco.MjModel, geom: int) -> bool:
    """Whether a geom of the world itself is a wall, a pillar, or a shelf that begins at the floor."""
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE:
        return False
    return bool(np.ptp(np.asarray(merge_geoms(model, [geom]).vertices)[:, 2]) > WALL_M)


def _rgba(model: mujoco.MjModel, geom: int) -> np.ndarray:
    material = model.geom_matid[geom]
    return model.mat_rgba[material] if material >= 0 else model.geom_rgba[geom]


def _add(server: Any, path: str, model: mujoco.MjModel, geoms: list[int]) -> Any:
    """Put geoms of a body into the scene as one mesh; without a texture its colour can be changed."""
    mesh = merge_geoms(model, geoms)
    if get_geom_texture_id(model, geoms[0]) >= 0:
        # Else it shines, in a room without lamps.
        material = getattr(mesh.visual, "material", None)
        if material is not None and hasattr(material, "metallicFactor"):
            material.metallicFactor = 0.0
        return server.scene.add_mesh_trimesh(path, mesh)
    red, green, blue, opacity = (float(x) for x in np.clip(_rgba(model, geoms[0]), 0.0, 1.0))
    return server.scene.add_mesh_simple(
        path, np.asarray(mesh.vertices), np.asarray(mesh.faces),
        color=_bytes(red, green, blue), opacity=None if opacity == 1.0 else opacity,
        flat_shading=all(model.geom_type[geom] in _FLAT for geom in geoms),
    )  # fmt: skip


def _bytes(*rgb: float) -> tuple[int, ...]:
    return tuple(round(255 * x) for x in rgb)


def _geoms_by_body(model: mujoco.MjModel, recording: Recording) -> dict[int, list[int]]:
    """The geoms that films show, by body."""
    found: dict[int, list[int]] = defaultdict(list)
    for geom in range(model.ngeom):
        if model.geom_group[geom] < SHOWN_GROUPS and recording.colours[:, geom, 3].any():
            found[int(model.geom_bodyid[geom])].append(geom)
    return found


def _reach(model: mujoco.MjModel, recording: Recording) -> np.ndarray:
    """Where every body but the world itself ever is, and the radius of what is drawn of it [m], (P, 4)."""
    found = [np.empty((0, 4))]
    for body, geoms in _geoms_by_body(model, recording).items():
        if body:
            radius = np.linalg.norm(model.geom_pos[geoms], axis=1) + model.geom_rbound[geoms]
            places = np.unique(recording.positions[:, body], axis=0)
            found.append(np.column_stack([places, np.full(len(places), radius.max())]))
    return np.concatenate(found)


def _as_drawn(recording: Recording) -> mujoco.MjModel:
    """A copy in which each geom looks as MuJoCo draws it, though a material stands before its colour."""
    model = copy.copy(recording.model)
    own = (model.geom_rgba != UNSET).any(axis=1)
    model.geom_matid[own] = -1
    endless = (model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE) & (model.geom_size[:, 0] == 0.0)
    model.geom_size[endless, :2] = _PLANE_M
    return model
