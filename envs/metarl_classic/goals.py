"""A mark at the goal, for films alone: families that show it let no camera be observed."""

from __future__ import annotations

import mujoco
import numpy as np

from metarl.sim.scene import Scene


def add_goal(spec: mujoco.MjSpec, radius_m: float) -> None:
    """Add the mark, a flat disc that touches nothing.

    Args:
        spec: The model's specification.
        radius_m: Radius of the disc [m].
    """
    body = spec.worldbody.add_body(name="goal", mocap=True)
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[radius_m, 0.01 * radius_m, 0],
        rgba=[0.15, 0.75, 0.35, 0.8], contype=0, conaffinity=0,
    )  # fmt: skip


def show_goal(worlds: Scene, ids: np.ndarray, goal_m: np.ndarray) -> None:
    """Put the marks of some worlds in their places.

    Args:
        worlds: The scene.
        ids: Which worlds, shape (n,).
        goal_m: Where their goals are [m], shape (n, 2).
    """
    worlds.mocap_pos("goal")[ids, :2] = goal_m
