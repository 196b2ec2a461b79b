"""Add an ingredient: take it from the board and put it into the pan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, varies
from metarl_kitchen.arm import NUM_USERDATA, observe_hand, place_hand, steer
from metarl_kitchen.cells import draw, is_held_out
from metarl_kitchen.furniture import kitchen_mjcf, vessel
from metarl_kitchen.kitchen import KitchenFamily

PAN_RADIUS_M, PAN_HEIGHT_M = 0.075, 0.035
BOARD_TOP_M = 0.02
CARRY_M = 0.11  # height at which the hand carries

FOOD_X, FOOD_Y = (0.44, 0.56), (-0.24, -0.12)  # [m]
PAN_X, PAN_Y, FAR_PAN_Y = (0.36, 0.62), (0.06, 0.26), (0.265, 0.30)  # [m]
SIZE_M = (0.011, 0.019)  # half edge, one per axis
MASS_KG = (0.02, 0.20)
FRICTION = (0.5, 1.2)

BOARD = f"""
<geom name="board" type="box" size=".11 .11 {BOARD_TOP_M / 2}" pos=".50 -.18 {BOARD_TOP_M / 2}" material="wood" class="fixed"/>"""
FOOD = """
<body name="food" pos=".5 -.18 .04">
  <freejoint name="food"/>
  <geom name="food" type="box" size=".015 .015 .015" mass=".05" rgba=".93 .48 .12 1" class="thing" friction="1 .01 .001"/>
</body>"""


@dataclass(frozen=True)
class AddTask:
    """What lies on the board, and where the pan stands."""

    food_m: np.ndarray = varies(
        "m", (FOOD_X[0], FOOD_Y[0]), (FOOD_X[1], FOOD_Y[1]), hidden=False, doc="place of the food"
    )
    pan_m: np.ndarray = varies(
        "m", (PAN_X[0], PAN_Y[0]), (PAN_X[1], FAR_PAN_Y[1]), hidden=True, doc="place of the pan"
    )
    size_m: np.ndarray = varies(
        "m", (SIZE_M[0],) * 3, (SIZE_M[1],) * 3, hidden=False, doc="half edges of the food"
    )
    mass_kg: np.ndarray = varies("kg", *MASS_KG, hidden=True, doc="mass of the food")
    friction: np.ndarray = varies("1", *FRICTION, hidden=True, doc="sliding friction of the food")


@register("kitchen/add")
class Add(KitchenFamily[AddTask]):
    """Bring an ingredient from the board into the pan."""

    task_type = AddTask
    horizon = 60
    weights = {"reach": 0.3, "hold": 0.3, "carry": 1.0, "inside": 1.0}
    floor_m = BOARD_TOP_M + 0.008

    def models(self) -> dict[str, str]:
        """A board with one piece of food, and a pan."""
        pan = vessel("pan", PAN_RADIUS_M, PAN_HEIGHT_M, "iron", handle=True)
        return {"kitchen": kitchen_mjcf(BOARD + pan + FOOD, num_userdata=NUM_USERDATA)}

    def sample(self, rng: Streams, n: int, split: Split) -> AddTask:
        """Draw food and pan; cells of the pan's y are held out, far lies beyond."""
        food = rng.uniform([FOOD_X[0], FOOD_Y[0]], [FOOD_X[1], FOOD_Y[1]], size=2)
        y = draw(rng, split, *PAN_Y, far=FAR_PAN_Y)
        pan = np.stack([rng.uniform(*PAN_X), y], axis=1)
        size = rng.uniform(*SIZE_M, size=3)
        return AddTask(food, pan, size, rng.uniform(*MASS_KG), rng.uniform(*FRICTION))

    def in_split(self, task: AddTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        y = task.pan_m[:, 1]
        far, held = y > PAN_Y[1], is_held_out(y, *PAN_Y)
        return {"train": ~far & ~held, "test": ~far & held, "far": far}[split]

    def configure(self, worlds: Scene, ids: np.ndarray, task: AddTask) -> None:
        """Give the food its size, mass, inertia and friction."""
        geom, body = worlds.id("geom", "food"), worlds.id("body", "food")
        worlds.model_field("geom_size")[ids, geom] = task.size_m
        worlds.model_field("geom_friction")[ids, geom, 0] = task.friction
        worlds.model_field("body_mass")[ids, body] = task.mass_kg
        square = task.size_m**2
        inertia = (square.sum(axis=1, keepdims=True) - square) * task.mass_kg[:, None] / 3.0
        worlds.model_field("body_inertia")[ids, body] = inertia

    def reset(self, worlds: Scene, ids: np.ndarray, task: AddTask, rng: Streams) -> None:
        """Lay the food on the board, put the pan down, hold the hand above the board."""
        n = len(ids)
        worlds.mocap_pos("pan")[ids] = np.column_stack([task.pan_m, np.zeros(n)])
        turn = rng.uniform(-0.3, 0.3) / 2.0
        height = BOARD_TOP_M + task.size_m[:, 2] + 0.001
        flat = np.zeros(n)
        worlds.joint_pos("food")[ids] = np.column_stack(
            [task.food_m, height, np.cos(turn), flat, flat, np.sin(turn)]
        )
        place_hand(worlds, ids, np.array([0.50, -0.05, 0.18]) + rng.uniform(-0.03, 0.03, size=3))

    def observe(self, worlds: Scene, task: AddTask) -> dict[str, np.ndarray]:
        """The hand, and the food: where it is, how it moves, how it lies."""
        food, hand = worlds.body_pos("food"), worlds.site_pos("grip")
        away = (food - hand) / 0.1
        place = (food - [0.5, 0.0, 0.05]) / 0.2
        speed = worlds.joint_vel("food")[:, :3]
        lies = worlds.body_mat("food")[:, :2]
        return {
            "robot": observe_hand(worlds),
            "object": np.concatenate([away, place, speed, lies], axis=1),
        }

    def terms(self, worlds: Scene, task: AddTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Reach the food, hold it off the board, carry it to the pan, leave it inside."""
        food, hand = worlds.body_pos("food"), worlds.site_pos("grip")
        inside = self._inside(worlds, task)
        held = (distance(food, hand) < 0.025) & (
            food[:, 2] > BOARD_TOP_M + task.size_m[:, 2] + 0.01
        )
        return {
            "reach": np.maximum(closeness(distance(food, hand), 0.4), inside) - 1.0,
            "hold": np.maximum(held, inside).astype(float),
            "carry": closeness(self._offset(worlds, task), 0.6) - 1.0,
            "inside": inside.astype(float),
        }

    def success(self, worlds: Scene, task: AddTask) -> np.ndarray:
        """The food lies in the pan, slower than 0.15 m/s."""
        speed = np.sqrt((worlds.joint_vel("food")[:, :3] ** 2).sum(axis=1))
        return self._inside(worlds, task) & (speed < 0.15)

    def expert(self, worlds: Scene, task: AddTask) -> np.ndarray:
        """Go above the food, come down, close, carry it over the pan, open."""
        food, hand = worlds.body_pos("food"), worlds.site_pos("grip")
        action = np.zeros((worlds.num_worlds, 6))
        beside = distance(food[:, :2], hand[:, :2])
        low = np.maximum(food[:, 2], self.floor_m)
        opening, closing = worlds.qpos[:, 7], worlds.qpos[:, 7] < 0.036
        at_food = (beside < 0.03) & (hand[:, 2] - low < np.where(closing, 0.03, 0.006))
        still = np.abs(worlds.qvel[:, 7]) < 0.02
        gripped = at_food & (opening < 0.024) & (still | (food[:, 2] > 0.06))
        over = self._offset(worlds, task) < 0.35 * PAN_RADIUS_M
        inside = self._inside(worlds, task)
        above = np.where(beside < 0.015, low - 0.006, CARRY_M)
        goal = np.column_stack([food[:, :2], above])
        carry = np.column_stack(
            [task.pan_m + hand[:, :2] - food[:, :2], np.full(len(goal), CARRY_M)]
        )
        carry[:, :2] = np.where(hand[:, 2:] < 0.075, hand[:, :2], carry[:, :2])
        goal = np.where(gripped[:, None], carry, goal)
        home = np.column_stack([task.pan_m, np.full(len(goal), 0.16)])
        goal = np.where(inside[:, None], home, goal)
        action[:, :3] = steer(worlds, goal)
        release = inside | (gripped & over)
        action[:, 5] = np.where(at_food & ~release, 1.0, -1.0)
        return action

    @staticmethod
    def _offset(worlds: Scene, task: AddTask) -> np.ndarray:
        return distance(worlds.body_pos("food")[:, :2], task.pan_m)

    def _inside(self, worlds: Scene, task: AddTask) -> np.ndarray:
        low = worlds.body_pos("food")[:, 2] < PAN_HEIGHT_M + 0.005
        return (self._offset(worlds, task) < PAN_RADIUS_M) & low
