"""Flip a piece of tofu in the pan at the right moment: when the side below is golden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.robots.robot import NUM_USERDATA, STEP_RAD
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, varies
from metarl_kitchen.cells import draw, is_held_out
from metarl_kitchen.cooking import COLD, GOLDEN, colours, cook, follow
from metarl_kitchen.furniture import vessel
from metarl_kitchen.kitchen import KitchenFamily
from metarl_kitchen.pantry import TOFU

# Doneness of the two sides (FIRST lies below at first), for how long the first one has lain on
# the pan [s], heat of the pan [1].
FIRST, SECOND, LAIN, HEAT = range(NUM_USERDATA, NUM_USERDATA + 4)
STOVE_M = 0.085
PAN_RADIUS_M, PAN_WALL_M = 0.10, 0.036
PAN_SUNK_M = 0.007  # the stove's top carries the piece: boxes lie steadily on a box
LAG_S = 0.6  # of the pan's heat: the stove has just been lit
GRIP = 0.65  # where the fingers hold the piece, from its middle 0 to its end 1
SLACK = 0.06  # how far from golden a cook still serves it [1]

PAN_X, PAN_Y = (0.50, 0.57), (-0.12, 0.12)  # [m]
SIZE_M = (0.025, 0.014, 0.0090), (0.029, 0.017, 0.0105)  # half edges
MASS_KG = (0.03, 0.07)
FRICTION = (0.6, 1.1)
RATE_1_S, FAR_1_S = (0.32, 1.05), (0.29, 0.31)

STOVE = f"""
<camera name="close" pos="1.01 -.37 .43" xyaxes="0.6178 0.7863 -0.0000 -0.3752 0.2948 0.8788"/>
<geom name="stove" type="box" size=".15 .30 {STOVE_M / 2}" pos=".54 0 {STOVE_M / 2}" material="steel" class="fixed"/>
<geom type="box" size=".14 .29 .001" pos=".54 0 {STOVE_M - 0.0006}" material="hob" class="show"/>"""
GLOW = f"""
<geom type="cylinder" size=".118 .0004" pos="0 0 {PAN_SUNK_M + 0.0004}" material="glow" class="show"/>"""
# A slice of carrot on each side: held there, between two slightly curved faces, the piece swings.
# The slices' own friction and stiffness count on the fingers (priority).
CARROT = (
    '<geom name="{}" type="ellipsoid" size=".0105 .004 .0105" mass=".001" rgba=".95 .48 .10 1"'
    ' class="thing" contype="0" conaffinity="2" priority="1" friction="1 .0002 .0001" solimp=".97 .99 .002"/>'
)
PIECE = f"""
<body name="piece" pos=".53 0 .2">
  <freejoint name="piece"/>
  <geom name="piece" type="box" size=".029 .017 .0105" mass=".05" rgba=".95 .90 .78 1" class="thing" friction="1 .005 .0001"/>
  {CARROT.format("left")}
  {CARROT.format("right")}
  <geom name="first" type="box" size=".029 .017 .003" class="show"/>
  <geom name="second" type="box" size=".029 .017 .003" class="show"/>
</body>"""


@dataclass(frozen=True)
class FlipTask:
    """What lies in the pan, and how fast it cooks there."""

    pan_m: np.ndarray = varies(
        "m", (PAN_X[0], PAN_Y[0]), (PAN_X[1], PAN_Y[1]), hidden=False, doc="place of the pan"
    )
    size_m: np.ndarray = varies("m", *SIZE_M, hidden=False, doc="half edges of the piece")
    mass_kg: np.ndarray = varies("kg", *MASS_KG, hidden=True, doc="mass of the piece")
    friction: np.ndarray = varies("1", *FRICTION, hidden=True, doc="sliding friction of the piece")
    rate_1_s: np.ndarray = varies(
        "1/s", FAR_1_S[0], RATE_1_S[1], hidden=True, doc="doneness gained in a second at full heat"
    )


@register("kitchen/flip")
class Flip(KitchenFamily[FlipTask]):
    """Turn a piece over in the pan when its first side is golden."""

    task_type = FlipTask
    horizon = 60
    film_camera = "close"
    weights = {"reach": 0.1, "golden": 2.0, "turn": 0.5, "lies": 1.0, "miss": -4.0}
    floor_m = STOVE_M
    still = ("tilt",)  # the hand points straight down

    def models(self) -> dict[str, Any]:
        """A stove, a pan on it, and in it a piece whose two sides have their own colours."""
        pan = vessel("pan", PAN_RADIUS_M, PAN_WALL_M, "iron", handle=True)
        pan = pan.replace('class="fixed"', 'class="show"', 1)  # its bottom
        things = STOVE + pan.replace("</body>", GLOW + "</body>") + PIECE
        return {"kitchen": self.scene(things, num_userdata=NUM_USERDATA + 4)}

    def sample(self, rng: Streams, n: int, split: Split) -> FlipTask:
        """Draw pieces; cells of the rate's logarithm are held out, far is slower."""
        pan = rng.uniform([PAN_X[0], PAN_Y[0]], [PAN_X[1], PAN_Y[1]], size=2)
        size = rng.uniform(*SIZE_M, size=3)
        (low, high), (far_low, far_high) = np.log(RATE_1_S), np.log(FAR_1_S)
        rate = np.exp(draw(rng, split, low, high, far=(far_low, far_high)))
        return FlipTask(pan, size, rng.uniform(*MASS_KG), rng.uniform(*FRICTION), rate)

    def in_split(self, task: FlipTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        far = task.rate_1_s < RATE_1_S[0]
        held = is_held_out(np.log(task.rate_1_s), *np.log(RATE_1_S))
        return {"train": ~far & ~held, "test": ~far & held, "far": far}[split]

    def configure(self, worlds: Scene, ids: np.ndarray, task: FlipTask) -> None:
        """Give the piece its size, mass, inertia and friction; all that is on it follows."""
        size, place = worlds.model_field("geom_size"), worlds.model_field("geom_pos")
        friction = worlds.model_field("geom_friction")
        length, width, thick = task.size_m.T
        piece, body = worlds.id("geom", "piece"), worlds.id("body", "piece")
        size[ids, piece] = task.size_m
        friction[ids, piece, 0] = task.friction
        for name, sign in (("left", 1.0), ("right", -1.0)):
            slice_ = worlds.id("geom", name)
            size[ids, slice_, 0] = size[ids, slice_, 2] = thick
            place[ids, slice_, :2] = np.stack([GRIP * length, sign * width], axis=1)
            friction[ids, slice_, 0] = task.friction
        for name, sign in (("first", -1.0), ("second", 1.0)):
            side = worlds.id("geom", name)
            size[ids, side] = task.size_m * [1.0, 1.0, 0.2] + 0.0003  # a skin on the piece
            place[ids, side, 2] = sign * 0.8 * thick
        square = task.size_m**2
        others = square.sum(axis=1, keepdims=True) - square
        worlds.model_field("body_mass")[ids, body] = task.mass_kg
        worlds.model_field("body_inertia")[ids, body] = task.mass_kg[:, None] * others / 3.0

    def reset(self, worlds: Scene, ids: np.ndarray, task: FlipTask, rng: Streams) -> None:
        """Lay a raw piece into the cold pan, hold the hand above the stove."""
        n = len(ids)
        worlds.mocap_pos("pan")[ids] = np.column_stack(
            [task.pan_m, np.full(n, STOVE_M - PAN_SUNK_M)]
        )
        place = task.pan_m + [0.015, 0.0] + rng.uniform(-0.01, 0.01, size=2)
        turn, flat = rng.uniform(-0.25, 0.25) / 2.0, np.zeros(n)
        height = STOVE_M + task.size_m[:, 2]
        worlds.joint_pos("piece")[ids] = np.column_stack(
            [place, height, np.cos(turn), flat, flat, np.sin(turn)]
        )
        start = np.array([0.53, 0.0, 0.22]) + rng.uniform(-0.02, 0.02, size=3)
        self.robot.place(worlds, ids, start)
        worlds.userdata[ids, FIRST:] = 0.0
        self._paint(worlds, ids)

    def advance(self, worlds: Scene, task: FlipTask) -> None:
        """Heat the pan; cook the side that lies on it."""
        state, dt = worlds.userdata, self.control_dt_s
        state[:, HEAT] = follow(state[:, HEAT], np.ones(worlds.num_worlds), np.asarray(LAG_S), dt)
        heat = np.where(self._lies(worlds, task), state[:, HEAT], 0.0)
        on_first = self._up(worlds) > 0.0
        for side, below in ((FIRST, on_first), (SECOND, ~on_first)):
            state[:, side] = cook(state[:, side], heat * below, task.rate_1_s, dt)
        state[:, LAIN] += dt * (on_first & (heat > 0.0))
        self._paint(worlds, slice(None))

    def things(self, worlds: Scene, task: FlipTask) -> np.ndarray:
        """The piece, the pan, how done its upper side is, how long the first one has lain."""
        state, mat = worlds.userdata, worlds.body_mat("piece")
        place = np.clip((worlds.body_pos("piece") - [0.53, 0.0, 0.15]) / 0.1, -8.0, 8.0)
        away = np.clip((self._end(worlds, task) - worlds.site_pos("grip")) / 0.1, -8.0, 8.0)
        speed = np.clip(worlds.joint_vel("piece")[:, :3], -8.0, 8.0)
        pan = (task.pan_m - [0.53, 0.0]) / 0.1
        seen = np.where(mat[:, 8] > 0.0, state[:, SECOND], state[:, FIRST])
        cooked = np.stack([2.0 * seen, state[:, LAIN]], axis=1)
        axes = mat[:, [0, 3, 6, 2, 5, 8]]
        return np.concatenate([away, place, speed, axes, pan, cooked], axis=1)

    def terms(self, worlds: Scene, task: FlipTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Reach the piece; have its first side golden; turn it over, neither too early nor late."""
        inside, up = self._inside(worlds, task), self._up(worlds)
        turned = np.where(inside, 0.5 - 0.5 * up, 0.0)
        away = distance(self._end(worlds, task), worlds.site_pos("grip"))
        error = np.abs(worlds.userdata[:, FIRST] - GOLDEN)
        return {
            "reach": np.maximum(closeness(away, 0.2), turned),
            "golden": inside * closeness(error, GOLDEN),
            "turn": turned,
            "lies": (self._lies(worlds, task) & (up < 0.0)).astype(float),
            "miss": turned * error,
        }

    def success(self, worlds: Scene, task: FlipTask) -> np.ndarray:
        """It lies upside down in the pan, slower than 0.05 m/s, its first side golden."""
        speed = np.sqrt((worlds.joint_vel("piece")[:, :3] ** 2).sum(axis=1))
        golden = np.abs(worlds.userdata[:, FIRST] - GOLDEN) < SLACK
        return self._lies(worlds, task) & (self._up(worlds) < 0.0) & (speed < 0.05) & golden

    def caption(self, worlds: Scene, task: FlipTask) -> list[str]:
        """How done the first side is, as a share of golden, and whether it still lies below."""
        done = 100.0 * worlds.userdata[:, FIRST] / GOLDEN
        return [
            f"first side {percent:.0f}% of golden" + ("  ·  turned over" if up < 0.0 else "")
            for percent, up in zip(done, self._up(worlds))
        ]

    def hand_expert(self, worlds: Scene, task: FlipTask) -> np.ndarray:
        """Take the far end, wait, lift until the piece hangs, lay it down the other way."""
        action = np.zeros((worlds.num_worlds, 6))
        hand, end, mat = worlds.site_pos("grip"), self._end(worlds, task), worlds.body_mat("piece")
        length, up = mat[:, [0, 3, 6]], mat[:, [2, 5, 8]]
        turned = np.arctan2(length[:, 2], up[:, 2])  # 0 as it lay, pi when flipped
        turned = np.where(turned < -1.0, turned + 2.0 * np.pi, turned)
        ahead = np.cos(turned)[:, None] * length - np.sin(turned)[:, None] * up
        opening, opens = self.robot.opening(worlds), self.robot.opening_speed(worlds)
        beside, above = distance(end[:, :2], hand[:, :2]), np.abs(hand[:, 2] - end[:, 2])
        quiet = np.abs(worlds.sensor("hand_velocity")).max(axis=1) < 0.1
        arrived = (beside < 0.005) & (above < 0.006) & quiet
        closing = arrived | ((beside < 0.012) & (above < 0.009) & (opening < 0.7))
        held = closing & (opening < 0.65) & (np.abs(opens) < 0.5)
        # it leaves the pan in 0.1 s
        done = task.rate_1_s * self._taken_s(worlds.userdata[:, LAIN] + 0.1)
        go = (held & (done > GOLDEN)) | (turned > 0.3)
        over = (turned > 2.5) & (end[:, 2] < STOVE_M + 0.025)
        # over the end, down to it
        thick = task.size_m[:, 2]
        goal = end.copy()
        goal[:, 2] = STOVE_M + thick - 0.001 + np.where((beside < 0.008) | closing, 0.0, 0.045)
        goal += np.where(beside < 0.03, 0.4, 0.0)[:, None] * (goal - hand)
        # up, no faster than the tail comes round
        tail = (1.0 + GRIP) * task.size_m[:, 0]
        lift = STOVE_M + thick + tail * np.sin(np.clip(turned + 0.5, 0.0, 1.5))
        goal = np.where(go[:, None], np.column_stack([hand[:, :2], lift]), goal)
        # over the tail's lower edge, and down
        edge = worlds.body_pos("piece") - task.size_m[:, :1] * length + thick[:, None] * up
        then = np.minimum(turned + 0.5, np.pi)
        lean = edge + (tail * np.cos(then) + thick * np.sin(then))[:, None] * ahead
        lean[:, 2] = STOVE_M + np.maximum(tail * np.sin(then) - thick * np.cos(then), thick)
        goal = np.where((turned > 1.3)[:, None], lean, goal)
        # let go, and away
        away = np.column_stack([hand[:, :2], np.full(len(goal), STOVE_M + 0.08)])
        goal = np.where((over & (opening > 0.6))[:, None], away, goal)
        action[:, :3] = self.robot.steer(worlds, goal)
        waits = closing & (opening < 0.6) & ~go
        action[waits, :2] = 0.0
        angles = np.stack([-np.arctan2(ahead[:, 1], ahead[:, 0]), np.zeros(len(goal))], axis=1)
        turn = (angles - self.robot.target_angles(worlds)) / STEP_RAD
        action[:, 3:5] = np.clip(turn, -1.0, 1.0)
        action[waits | go | over, 3] = 0.0
        action[:, 5] = np.where(over, -1.0, np.where(closing | go, 1.0, -0.5))
        return action

    @staticmethod
    def _taken_s(lain_s: np.ndarray) -> np.ndarray:
        """The time at full heat that is worth as much as the first so many seconds [s], (N,)."""
        warm_s = np.maximum(lain_s + LAG_S * np.log(1.0 - COLD), 0.0)
        return warm_s - LAG_S * (1.0 - np.exp(-warm_s / LAG_S))

    @staticmethod
    def _up(worlds: Scene) -> np.ndarray:
        """1 as the piece lay at first, -1 upside down."""
        return worlds.body_mat("piece")[:, 8]

    @staticmethod
    def _end(worlds: Scene, task: FlipTask) -> np.ndarray:
        """Where the fingers hold the piece [m], (N, 3)."""
        length = worlds.body_mat("piece")[:, [0, 3, 6]]
        return worlds.body_pos("piece") + GRIP * task.size_m[:, :1] * length

    @staticmethod
    def _inside(worlds: Scene, task: FlipTask) -> np.ndarray:
        return distance(worlds.body_pos("piece")[:, :2], task.pan_m) < PAN_RADIUS_M

    def _lies(self, worlds: Scene, task: FlipTask) -> np.ndarray:
        height = worlds.body_pos("piece")[:, 2] - STOVE_M - task.size_m[:, 2]
        flat = np.abs(self._up(worlds)) > 0.97
        return self._inside(worlds, task) & flat & (np.abs(height) < 0.003)

    @staticmethod
    def _paint(worlds: Scene, ids: np.ndarray | slice) -> None:
        rgba = worlds.model_field("geom_rgba")
        for name, side in (("first", FIRST), ("second", SECOND)):
            rgba[ids, worlds.id("geom", name), :3] = colours(worlds.userdata[ids, side], TOFU.stops)
