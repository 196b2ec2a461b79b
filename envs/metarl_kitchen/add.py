"""Add an ingredient: take it from the board and put it into the pan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metarl.errors import UnknownNameError
from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.robots.robot import NUM_USERDATA, STEP_RAD
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, label, varies
from metarl_kitchen.cells import draw, is_held_out
from metarl_kitchen.food import CYLINDER, give_food
from metarl_kitchen.furniture import vessel
from metarl_kitchen.kitchen import KitchenFamily

PAN_RADIUS_M, PAN_HEIGHT_M = 0.065, 0.035
BOARD_TOP_M = 0.02
BOARD_EDGE_M = -0.07  # y of the edge that faces the pan
CARRY_M = 0.11  # height at which the hand carries

FOOD_X, FOOD_Y = (0.44, 0.56), (-0.24, -0.12)  # [m]
PAN_X, PAN_Y, FAR_PAN_Y = (0.36, 0.62), (0.04, 0.28), (0.285, 0.32)  # [m]
SIZE_M = (0.011, 0.019)  # half edge, one per axis
MASS_KG = (0.02, 0.20)
FRICTION = (0.5, 1.2)

BOARD = f"""
<geom name="board" type="box" size=".11 .11 {BOARD_TOP_M / 2}" pos=".50 -.18 {BOARD_TOP_M / 2}" material="wood" class="fixed"/>"""
# The largest size: physics filters contacts by bounding spheres, which configure() leaves alone.
FOOD = """
<body name="food" pos=".5 -.18 .04">
  <freejoint name="food"/>
  <geom name="food" type="{kind}" size="{size}" mass=".05" rgba="{colour}" class="thing" condim="6" friction="1 .01 .003"/>
</body>"""
SHAPES = {
    "cube": ("box", ".019 .019 .019"),
    "slice": ("cylinder", ".019 .019"),
    "ball": ("ellipsoid", ".019 .019 .019"),
}
SLICE = CYLINDER
# Colours by shape: to a policy that is told they are all one, to a camera they are not.
FOODS = {
    "usual": (".97 .93 .80 1", ".93 .48 .12 1", ".85 .16 .12 1"),  # tofu, carrot, tomato
    "new": (".42 .05 .22 1", ".28 .62 .20 1", ".70 .55 .32 1"),  # beetroot, cucumber, potato
}


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
        "m", (SIZE_M[0],) * 3, (SIZE_M[1],) * 3, hidden=False, doc="half extents of the food"
    )
    mass_kg: np.ndarray = varies("kg", *MASS_KG, hidden=True, doc="mass of the food")
    friction: np.ndarray = varies("1", *FRICTION, hidden=True, doc="sliding friction of the food")
    model: np.ndarray = label("row of SHAPES")


@register("kitchen/add")
class Add(KitchenFamily[AddTask]):
    """Bring an ingredient from the board into the pan.

    Args:
        food: Which ingredients lie on the board: ``usual`` (tofu, carrot, tomato), or ``new`` (beetroot,
            cucumber, potato), which only look otherwise.
        robot, control, site, home: As for `KitchenFamily`.
    Raises:
        UnknownNameError: If there is no such food.
    """

    task_type = AddTask
    horizon = 60
    weights = {"reach": 0.2, "grip": 0.1, "lift": 0.3, "carry": 3.0, "inside": 2.0}
    floor_m = BOARD_TOP_M + 0.008
    still = ("tilt",)  # the hand points straight down

    def __init__(
        self, *, food: str = "usual", robot: str = "panda", control: str = "hand", site: str = "",
        home: str = "",
    ):  # fmt: skip
        if food not in FOODS:
            raise UnknownNameError("food of kitchen/add", food, FOODS)
        super().__init__(robot=robot, control=control, site=site, home=home)
        self._colours = FOODS[food]

    def models(self) -> dict[str, Any]:
        """A board with one piece of food, and a pan: one model a shape."""
        things = BOARD + vessel("pan", PAN_RADIUS_M, PAN_HEIGHT_M, "iron", handle=True)
        return {
            name: self.scene(
                things + FOOD.format(kind=kind, size=size, colour=colour),
                num_userdata=NUM_USERDATA,
            )
            for (name, (kind, size)), colour in zip(SHAPES.items(), self._colours)
        }

    def sample(self, rng: Streams, n: int, split: Split) -> AddTask:
        """Draw food and pan; cells of the pan's y are held out, far lies beyond."""
        food = rng.uniform([FOOD_X[0], FOOD_Y[0]], [FOOD_X[1], FOOD_Y[1]], size=2)
        y = draw(rng, split, *PAN_Y, far=FAR_PAN_Y)
        pan = np.stack([rng.uniform(*PAN_X), y], axis=1)
        size = rng.uniform(*SIZE_M, size=3)
        shape = np.minimum((rng.uniform() * len(SHAPES)).astype(int), len(SHAPES) - 1)
        size[:, 1] = np.where(shape == SLICE, size[:, 0], size[:, 1])  # a slice is round
        return AddTask(food, pan, size, rng.uniform(*MASS_KG), rng.uniform(*FRICTION), shape)

    def in_split(self, task: AddTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        y = task.pan_m[:, 1]
        far, held = y > PAN_Y[1], is_held_out(y, *PAN_Y)
        return {"train": ~far & ~held, "test": ~far & held, "far": far}[split]

    def configure(self, worlds: Scene, ids: np.ndarray, task: AddTask) -> None:
        """Give the food its size, mass, inertia and friction."""
        give_food(worlds, ids, task.size_m, task.mass_kg, task.friction, task.model)

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
        start = np.array([0.50, -0.05, 0.18]) + rng.uniform(-0.03, 0.03, size=3)
        self.robot.place(worlds, ids, start)

    def things(self, worlds: Scene, task: AddTask) -> np.ndarray:
        """The hand, and the food: where it is, how it moves, how it lies, which shape it has."""
        food, hand = worlds.body_pos("food"), worlds.site_pos("grip")
        away = np.clip((food - hand) / 0.1, -8.0, 8.0)
        place = (food - [0.5, 0.0, 0.05]) / 0.2
        speed = worlds.joint_vel("food")[:, :3]
        lies = worlds.body_mat("food")[:, :2]
        return np.concatenate([away, place, speed, lies, np.eye(3)[task.model]], axis=1)

    def terms(self, worlds: Scene, task: AddTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Reach the food, close on it, lift it, carry it to the pan, leave it inside."""
        food, hand = worlds.body_pos("food"), worlds.site_pos("grip")
        there = self._offset(worlds, task) < 0.8 * PAN_RADIUS_M  # above the pan or in it
        away = distance(food, hand)
        near = away < 0.03
        closed = 1.0 - self.robot.opening(worlds)
        height = food[:, 2] - BOARD_TOP_M - task.size_m[:, 2]
        lifted = np.clip(height / 0.05, 0.0, 1.0) * near
        under_way = np.maximum(lifted, food[:, 1] > BOARD_EDGE_M + 0.02)  # or left on the counter
        over = closeness(self._offset(worlds, task), 0.5) * under_way
        return {
            "reach": np.maximum(0.5 * closeness(away, 0.4) + 0.5 * closeness(away, 0.06), there),
            "grip": np.maximum(near * closed, there),
            "lift": np.maximum(lifted, there),
            "carry": np.maximum(over, there),
            "inside": self._inside(worlds, task).astype(float),
        }

    def success(self, worlds: Scene, task: AddTask) -> np.ndarray:
        """The food lies in the pan, slower than 0.15 m/s."""
        speed = np.sqrt((worlds.joint_vel("food")[:, :3] ** 2).sum(axis=1))
        return self._inside(worlds, task) & (speed < 0.15)

    def caption(self, worlds: Scene, task: AddTask) -> list[str]:
        """How heavy the food is, and how far from the pan's middle."""
        away = 100.0 * self._offset(worlds, task)
        facts = zip(task.model, 1000.0 * task.mass_kg, away, self._inside(worlds, task))
        names = list(SHAPES)
        return [
            f"{names[shape]} of {grams:.0f} g: "
            + ("in the pan" if inside else f"{cm:.0f} cm to go")
            for shape, grams, cm, inside in facts
        ]

    def hand_expert(self, worlds: Scene, task: AddTask) -> np.ndarray:
        """Go above the food, come down, close, carry it over the pan, open."""
        food, hand = worlds.body_pos("food"), worlds.site_pos("grip")
        action = np.zeros((worlds.num_worlds, 6))
        action[:, 3:5] = np.clip(-self.robot.target_angles(worlds) / STEP_RAD, -1.0, 1.0)
        beside = distance(food[:, :2], hand[:, :2])
        low = np.maximum(food[:, 2], self.floor_m)
        opening = self.robot.opening(worlds)
        closing = opening < 0.9
        at_food = (beside < 0.03) & (hand[:, 2] - low < np.where(closing, 0.03, 0.006))
        still = np.abs(self.robot.opening_speed(worlds)) < 0.5
        gripped = at_food & (opening < 0.6) & (still | (food[:, 2] > 0.06))
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
        action[:, :3] = self.robot.steer(worlds, goal)
        slowly = self.robot.steer(worlds, goal, gain=0.4)  # food that is carried gently is not lost
        action[:, :2] = np.where(gripped[:, None], slowly[:, :2], action[:, :2])
        release = inside | (gripped & over)
        action[:, 5] = np.where(at_food & ~release, 1.0, -1.0)
        return action

    @staticmethod
    def _offset(worlds: Scene, task: AddTask) -> np.ndarray:
        return distance(worlds.body_pos("food")[:, :2], task.pan_m)

    def _inside(self, worlds: Scene, task: AddTask) -> np.ndarray:
        low = worlds.body_pos("food")[:, 2] < PAN_HEIGHT_M + 0.005
        return (self._offset(worlds, task) < PAN_RADIUS_M) & low
