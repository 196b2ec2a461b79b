"""Serve a dish: take the food from the pan and lay it gently where the guest wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.robots.robot import NUM_USERDATA, STEP_M, STEP_RAD
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, label, varies
from metarl_kitchen.cells import draw, is_held_out
from metarl_kitchen.food import BOX, CYLINDER, ELLIPSOID, give_food
from metarl_kitchen.furniture import TIME_STEP_S, vessel
from metarl_kitchen.kitchen import KitchenFamily

FORCE, PEAK = NUM_USERDATA, NUM_USERDATA + 1  # on the food: in this step, in the episode [N]
PAN_RADIUS_M, PAN_HEIGHT_M = 0.08, 0.03  # wide and low, for the fingers to reach in
PLATE_RADIUS_M, RIM_M = 0.082, 0.012
FLOOR_M = 0.008  # of pan and plate
CARRY_M = 0.065  # height at which the hand carries
TOLERANCE_M, LAID_M = 0.015, 0.004
GRASP_M = 0.004  # how far below the food's middle the hand takes it
GRIP_N = 16.0  # force of a finger whose target is a whole opening away

PAN_X, PAN_Y = (0.44, 0.56), (-0.16, -0.10)  # [m]
FOOD_M = 0.015  # the food's largest offset in the pan, in x and in y
PLATE_X, PLATE_Y = (0.42, 0.58), (0.08, 0.15)  # [m]
SPOT_M, FAR_SPOT_M = (-0.035, 0.035), (0.037, 0.045)  # from the plate's centre
SIZE_M = ((0.012, 0.012, 0.011), (0.026, 0.020, 0.016))  # half extents
MASS_KG = (0.08, 0.15)
FRICTION = (0.5, 1.0)
STRENGTH = (0.8, 1.2)
STANDS_N = (11.0, 15.0)  # held and laid down well it feels 6 to 10 N, dropped from 4 cm 9 to 16

HOB = """
<geom type="box" size=".14 .15 .001" pos=".50 -.16 -.0005" material="hob" class="show"/>"""
SPOT = f"""
<body name="spot" mocap="true">
  <geom type="cylinder" size=".024 .0003" pos="0 0 {FLOOR_M + 0.0003}" rgba=".72 .16 .08 1" class="show"/>
</body>"""
# The largest size: physics filters contacts by bounding spheres, which configure() leaves alone.
FOOD = """
<body name="food" pos=".5 -.16 .03">
  <freejoint name="food"/>
  <geom name="food" type="{kind}" size="{size}" mass=".1" rgba="{colour}" class="thing" condim="6" friction="1 .01 .003"/>
  <site name="skin" size=".06" group="4"/>
</body>"""
# All normal forces on the food, at each physics step of the last control step.
TOUCH = '<sensor><touch name="touch" site="skin" nsample="{substeps}"/></sensor>'
SHAPES = {
    "fillet": ("box", ".026 .020 .016", ".94 .56 .40 1"),  # salmon
    "patty": ("cylinder", ".020 .016", ".45 .25 .13 1"),
    "dumpling": ("ellipsoid", ".026 .020 .016", ".95 .86 .66 1"),
}
FILLET, PATTY, DUMPLING = BOX, CYLINDER, ELLIPSOID


@dataclass(frozen=True)
class ServeTask:
    """What lies in the pan, what it stands, and where on the plate it is wanted."""

    pan_m: np.ndarray = varies(
        "m", (PAN_X[0], PAN_Y[0]), (PAN_X[1], PAN_Y[1]), hidden=False, doc="place of the pan"
    )
    food_m: np.ndarray = varies(
        "m", (-FOOD_M,) * 2, (FOOD_M,) * 2, hidden=False, doc="offset of the food in the pan"
    )
    plate_m: np.ndarray = varies(
        "m", (PLATE_X[0], PLATE_Y[0]), (PLATE_X[1], PLATE_Y[1]), hidden=False, doc="place of plate"
    )
    spot_m: np.ndarray = varies(
        "m",
        (SPOT_M[0], -FAR_SPOT_M[1]),
        (SPOT_M[1], FAR_SPOT_M[1]),
        hidden=True,
        doc="where the food is wanted, from the plate's centre",
    )
    size_m: np.ndarray = varies("m", *SIZE_M, hidden=False, doc="half extents of the food")
    mass_kg: np.ndarray = varies("kg", *MASS_KG, hidden=True, doc="mass of the food")
    friction: np.ndarray = varies("1", *FRICTION, hidden=True, doc="friction, oiled or dry")
    stands_n: np.ndarray = varies("N", *STANDS_N, hidden=True, doc="force at which the food breaks")
    strength: np.ndarray = varies(
        "1", *STRENGTH, hidden=True, doc="the gripper's force, a share of the usual"
    )
    model: np.ndarray = label("row of SHAPES")


@register("kitchen/serve")
class Serve(KitchenFamily[ServeTask]):
    """Lay fragile food from the pan onto the plate."""

    task_type = ServeTask
    horizon = 60
    weights = {"reach": 0.2, "lift": 0.3, "carry": 1.0, "lay": 2.0, "served": 2.0, "strain": -0.5}
    floor_m = 0.012
    still = ("tilt",)  # the hand points straight down

    @property
    def substeps(self) -> int:
        """Physics steps of a control step."""
        return round(self.control_dt_s / min(TIME_STEP_S, self.robot.longest_step_s))

    def models(self) -> dict[str, Any]:
        """A pan with one piece of food, and a plate with a spot of sauce: one model a shape."""
        pan = vessel("pan", PAN_RADIUS_M, PAN_HEIGHT_M, "iron", handle=True)
        things = HOB + pan + vessel("plate", PLATE_RADIUS_M, RIM_M, "shell", sides=16) + SPOT
        return {
            name: self.scene(
                things + FOOD.format(kind=kind, size=size, colour=colour),
                num_userdata=NUM_USERDATA + 2,
                extra=TOUCH.format(substeps=self.substeps),
            )
            for name, (kind, size, colour) in SHAPES.items()
        }

    def sample(self, rng: Streams, n: int, split: Split) -> ServeTask:
        """Draw dishes; cells of the spot's y are held out, far lies beyond, nearer the rim."""
        side = np.where(rng.uniform() < 0.5, -1.0, 1.0)
        y = draw(rng, split, *SPOT_M, far=FAR_SPOT_M) * (side if split == "far" else 1.0)
        spot = np.stack([rng.uniform(*SPOT_M), y], axis=1)
        pan = rng.uniform([PAN_X[0], PAN_Y[0]], [PAN_X[1], PAN_Y[1]], size=2)
        food = rng.uniform(-FOOD_M, FOOD_M, size=2)
        plate = rng.uniform([PLATE_X[0], PLATE_Y[0]], [PLATE_X[1], PLATE_Y[1]], size=2)
        shape = rng.integers(len(SHAPES))
        size = rng.uniform(*SIZE_M, size=3)
        size[:, 0] = np.where(shape == PATTY, size[:, 1], size[:, 0])  # a patty is round
        ranges = (MASS_KG, FRICTION, STANDS_N, STRENGTH)
        mass, friction, stands, strength = (rng.uniform(*r) for r in ranges)
        return ServeTask(pan, food, plate, spot, size, mass, friction, stands, strength, shape)

    def in_split(self, task: ServeTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        y = task.spot_m[:, 1]
        far, held = np.abs(y) > SPOT_M[1], is_held_out(y, *SPOT_M)
        return {"train": ~far & ~held, "test": ~far & held, "far": far}[split]

    def configure(self, worlds: Scene, ids: np.ndarray, task: ServeTask) -> None:
        """Give the food its size, mass, inertia and friction, and the gripper its strength."""
        give_food(worlds, ids, task.size_m, task.mass_kg, task.friction, task.model)
        self.robot.set_grip_strength(worlds, ids, task.strength)

    def reset(self, worlds: Scene, ids: np.ndarray, task: ServeTask, rng: Streams) -> None:
        """Lay the food into the pan, put the plate down, hold the hand between them."""
        flat = np.zeros(len(ids))
        worlds.mocap_pos("pan")[ids] = np.column_stack([task.pan_m, flat])
        worlds.mocap_pos("plate")[ids] = np.column_stack([task.plate_m, flat])
        worlds.mocap_pos("spot")[ids] = np.column_stack([task.plate_m + task.spot_m, flat])
        turn = rng.uniform(-0.3, 0.3) / 2.0
        height = FLOOR_M + task.size_m[:, 2] + 0.0005
        worlds.joint_pos("food")[ids] = np.column_stack(
            [task.pan_m + task.food_m, height, np.cos(turn), flat, flat, np.sin(turn)]
        )
        start = np.array([0.50, -0.05, 0.18]) + rng.uniform(-0.03, 0.03, size=3)
        self.robot.place(worlds, ids, start)
        worlds.userdata[ids, FORCE:] = 0.0

    def advance(self, worlds: Scene, task: ServeTask) -> None:
        """Note how hard the food was squeezed or hit; too hard, and it is broken for good."""
        force = worlds.history()[:, -self.substeps :].max(axis=1)
        worlds.userdata[:, FORCE] = force
        worlds.userdata[:, PEAK] = np.maximum(worlds.userdata[:, PEAK], force)

    def things(self, worlds: Scene, task: ServeTask) -> np.ndarray:
        """The hand, and the food: where it is, how it moves and lies, its shape, what it feels."""
        food, hand = worlds.body_pos("food"), worlds.site_pos("grip")
        away = np.clip((food - hand) / 0.1, -8.0, 8.0)
        to_plate = np.clip((task.plate_m - food[:, :2]) / 0.1, -8.0, 8.0)
        speed = worlds.joint_vel("food")[:, :3]
        lies = worlds.body_mat("food")[:, :2]
        force = np.minimum(worlds.userdata[:, FORCE : FORCE + 1] / 8.0, 5.0)
        height = food[:, 2:] / 0.1 - 0.5
        shape = np.eye(3)[task.model]
        return np.concatenate([away, to_plate, height, speed, lies, force, shape], axis=1)

    def terms(self, worlds: Scene, task: ServeTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Reach the food, lift it, carry it to its spot, lay it down, leave it; break nothing."""
        food, hand = worlds.body_pos("food"), worlds.site_pos("grip")
        whole = worlds.userdata[:, PEAK] < task.stands_n
        off, height = self._offset(worlds, task), self._height(worlds, task)
        over = distance(food[:, :2], task.plate_m) < PLATE_RADIUS_M
        away = distance(food, hand)
        reach = 0.5 * closeness(away, 0.4) + 0.5 * closeness(away, 0.06)
        lifted = np.maximum(np.clip(height / 0.03, 0.0, 1.0) * (away < 0.03), over)
        return {
            "reach": whole * np.maximum(reach, over & (height < LAID_M)),
            "lift": whole * lifted,
            "carry": whole * lifted * closeness(off, 0.5),
            "lay": whole * over * closeness(off, 0.08) * closeness(height, 0.08),
            "served": self.success(worlds, task).astype(float),
            "strain": np.clip((worlds.userdata[:, PEAK] / task.stands_n - 0.7) / 0.3, 0.0, 1.0),
        }

    def success(self, worlds: Scene, task: ServeTask) -> np.ndarray:
        """It lies flat within 1.5 cm of its spot, whole, at rest, the hand 4 cm away."""
        speed = np.sqrt((worlds.joint_vel("food")[:, :3] ** 2).sum(axis=1))
        away = distance(worlds.body_pos("food"), worlds.site_pos("grip"))
        there = self._offset(worlds, task) < TOLERANCE_M
        laid = there & (np.abs(self._height(worlds, task)) < LAID_M)
        whole = worlds.userdata[:, PEAK] < task.stands_n
        return laid & whole & (speed < 0.05) & (away > 0.04)

    def caption(self, worlds: Scene, task: ServeTask) -> list[str]:
        """How far the food is from its spot, and the force on it that it felt and stands."""
        away = 1000.0 * self._offset(worlds, task)
        felt = zip(task.model, away, worlds.userdata[:, PEAK], task.stands_n)
        names = list(SHAPES)
        return [
            f"{names[shape]} {mm:.0f} mm from its spot  ·  felt {peak:.0f} N, "
            + (f"stands {stands:.0f} N" if peak < stands else f"broke at {stands:.0f} N")
            for shape, mm, peak, stands in felt
        ]

    def hand_expert(self, worlds: Scene, task: ServeTask) -> np.ndarray:
        """Go above the food, come down, close gently, carry it, lay it down, open, rise."""
        food, hand = worlds.body_pos("food"), worlds.site_pos("grip")
        opening = self.robot.opening(worlds)
        force = worlds.userdata[:, FORCE]
        half = self._half_width(worlds, task) / self.robot.gripper.half_opening_m
        off, height = self._offset(worlds, task), self._height(worlds, task)
        beside = distance(food[:, :2], hand[:, :2])
        beyond = hand[:, 2] - food[:, 2] + GRASP_M
        newton = 2.0 + 1.1 * task.mass_kg * 9.81 / task.friction  # twice what holds it, and more
        newton = np.minimum(newton, 0.45 * task.stands_n - 1.8)

        at_food = (beside < 0.012) & (beyond < np.where(height > LAID_M, 0.024, 0.015))
        laid = (off < 0.012) & (height < LAID_M)
        touched = at_food & (force > 0.5 + 10.5 * task.mass_kg)
        still = np.abs(self.robot.opening_speed(worlds)) < 0.25
        firm = (force > 1.6 * newton) & still
        gripped = at_food & (firm | ((height > LAID_M) & (opening < half + 0.1)))

        astride = (beside < 0.008) & ((opening > half + 0.12) | (beyond < 0.015))
        down = hand[:, 2] - beyond - np.clip(beyond, 0.0, 0.006)
        goal = np.column_stack([food[:, :2], np.where(astride, down, CARRY_M)])
        clear = opening > np.minimum(half + 0.15, 0.95)
        rise = np.column_stack([hand[:, :2], np.where(clear, 0.15, hand[:, 2])])
        goal = np.where(laid[:, None], rise, goal)

        action = np.zeros((worlds.num_worlds, 6))
        action[:, :3] = self.robot.steer(worlds, goal)
        action[:, 2] = np.where(touched & ~laid, 0.0, action[:, 2])  # press nothing down
        carry = self._carry(worlds, task)
        action[:, :3] = np.where((gripped & ~laid)[:, None], carry, action[:, :3])
        lies = worlds.body_mat("food")
        angles = np.column_stack([np.arctan2(-lies[:, 3], lies[:, 0]), np.zeros(len(lies))])
        turn = np.clip(angles, -0.5, 0.5) - self.robot.target_angles(worlds)
        action[:, 3:5] = np.clip(turn / STEP_RAD, -1.0, 1.0)
        action[:, 3] = np.where(gripped, 0.0, action[:, 3])
        wanted = np.where(at_food, half - newton / (GRIP_N * task.strength), half + 0.18)
        action[:, 5] = np.where(laid, -1.0, np.clip(1.0 - 2.0 * wanted, -1.0, 1.0))
        return action

    def _carry(self, worlds: Scene, task: ServeTask) -> np.ndarray:
        """Actions that carry held food to its spot and down, without a jolt, (N, 3)."""
        food, hand = worlds.body_pos("food"), worlds.site_pos("grip")
        off, height = self._offset(worlds, task), self._height(worlds, task)
        free = (height > 0.02) | (off < 0.05)  # of the pan's wall
        shift = np.where(free[:, None], task.plate_m + task.spot_m - food[:, :2], 0.0)
        cone = np.clip(1.2 * (off - 0.006), 0.0, 0.034)  # lower, the nearer to its spot
        rise = cone - height - 0.008 * (off < 0.008)
        step = 1.6 * np.column_stack([shift, rise]) + hand - self.robot.target_m(worlds)
        gone = distance(food[:, :2], task.pan_m + task.food_m)
        fastest = 0.42 if self.robot.control == "hand" else 0.35
        speed = np.minimum(np.minimum(0.2 + 5.0 * gone, 0.06 + 8.0 * off), fastest)
        length = np.maximum(np.sqrt((step[:, :2] ** 2).sum(axis=1)), 1e-6)
        step[:, :2] *= np.minimum(speed * self.control_dt_s / length, 1.0)[:, None]
        climb = np.where(rise < 0.0, np.clip(0.03 + 4.0 * height, 0.03, 0.3), 0.1 + 8.0 * height)
        step[:, 2] = np.clip(step[:, 2], -climb * self.control_dt_s, climb * self.control_dt_s)
        return np.clip(step / STEP_M, -1.0, 1.0)

    def _half_width(self, worlds: Scene, task: ServeTask) -> np.ndarray:
        """How far the food reaches towards the fingers [m], (N,)."""
        fingers = worlds.site_mat("grip").reshape(-1, 3, 3)[:, :, 1]
        axes = worlds.body_mat("food").reshape(-1, 3, 3)
        reach = np.abs(np.einsum("ni,nij->nj", fingers, axes)) * task.size_m
        round_ = np.sqrt((reach * reach).sum(axis=1))
        return np.where(task.model == FILLET, reach.sum(axis=1), round_)

    @staticmethod
    def _offset(worlds: Scene, task: ServeTask) -> np.ndarray:
        """How far the food is from its spot [m], (N,)."""
        return distance(worlds.body_pos("food")[:, :2], task.plate_m + task.spot_m)

    @staticmethod
    def _height(worlds: Scene, task: ServeTask) -> np.ndarray:
        """How far the food is above where it lies flat in pan or plate [m], (N,)."""
        return worlds.body_pos("food")[:, 2] - FLOOR_M - task.size_m[:, 2]
