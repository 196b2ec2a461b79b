"""Where things of a dish are."""

from __future__ import annotations

import numpy as np

from metarl.rewards import distance
from metarl.sim.scene import Scene
from metarl_kitchen.dishes import counter
from metarl_kitchen.dishes.state import Now
from metarl_kitchen.dishes.task import DishTask
from metarl_kitchen.furniture import FULL_RAD, KNOB_M


def pan_m(task: DishTask) -> np.ndarray:
    """The pan's place on the counter [m], (n, 2)."""
    return task.stove_m + counter.PAN_FROM_KNOB_M


def knob(worlds: Scene) -> np.ndarray:
    """How far the knob is turned, 0 to 1, (N,)."""
    return worlds.joint_pos("knob")[:, 0] / FULL_RAD


def handle_m(worlds: Scene) -> np.ndarray:
    """Where the knob is held [m], (N, 3)."""
    return worlds.body_pos("knob") + [0.0, 0.0, KNOB_M]


def tool_m(worlds: Scene, place_m: np.ndarray) -> np.ndarray:
    """A point of a tool in the world [m], (N, 3)."""
    turn = worlds.site_mat("grip").reshape(-1, 3, 3)
    return worlds.site_pos("grip") + turn @ place_m


def in_pan(worlds: Scene, task: DishTask, piece: int) -> np.ndarray:
    """Whether a food lies in the pan, (N,) bool."""
    place = worlds.body_pos(f"food{piece}")
    low = place[:, 2] < counter.RIM_M + counter.FOOD_HALF_M
    return low & (distance(place[:, :2], pan_m(task)) < counter.PAN_RADIUS_M)


def on_plate(worlds: Scene, task: DishTask, piece: int) -> np.ndarray:
    """Whether a food lies on the plate, slower than 0.15 m/s, (N,) bool."""
    place = worlds.body_pos(f"food{piece}")
    low = place[:, 2] < 0.008 + 2.0 * counter.FOOD_HALF_M
    slow = (worlds.joint_vel(f"food{piece}")[:, :3] ** 2).sum(axis=1) < 0.15**2
    return low & slow & (distance(place[:, :2], task.plate_m) < counter.PLATE_RADIUS_M)


def of_piece(now: Now, pair: list[np.ndarray]) -> np.ndarray:
    """Of values of both foods, those of the food that each world is about, (N, ...)."""
    first = now.piece == 0
    return np.where(first if pair[0].ndim == 1 else first[:, None], pair[0], pair[1])


def above(place_m: np.ndarray, height_m: float | np.ndarray) -> np.ndarray:
    """Places on the counter at a height [m], (n, 2) -> (n, 3)."""
    place = np.empty_like(place_m, shape=(len(place_m), 3))
    place[:, :2], place[:, 2] = place_m, height_m
    return place
