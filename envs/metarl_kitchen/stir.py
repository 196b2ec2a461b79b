"""Stir a hot pan: move every piece of food, as briskly as it wants, and leave no heap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.robots.robot import NUM_USERDATA, STEP_M, STEP_RAD
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, varies
from metarl_kitchen.cells import draw, is_held_out
from metarl_kitchen.cooking import BURNT, colours, cook
from metarl_kitchen.furniture import vessel
from metarl_kitchen.kitchen import KitchenFamily
from metarl_kitchen.pantry import CAP, EGG_WHITE, TOMATO

PIECES = {"tomato": TOMATO, "mushroom": CAP, "dumpling": EGG_WHITE}
NUM = len(PIECES)
_COLUMNS = NUM_USERDATA + NUM * np.arange(7)
MOVED = slice(_COLUMNS[0], _COLUMNS[1])  # how far each piece was moved [m]
MOVING = slice(_COLUMNS[1], _COLUMNS[2])  # for how long it moved [s]
SIDE = slice(_COLUMNS[2], _COLUMNS[3])  # how brown the side is on which it lies [1]
DARKEST = slice(_COLUMNS[3], _COLUMNS[4])  # how brown its brownest side is [1]
LAST = slice(_COLUMNS[4], _COLUMNS[6])  # where the pieces were a control step ago [m]
NUM_COLUMNS = int(_COLUMNS[6])

PAN_RADIUS_M, PAN_HEIGHT_M = 0.14, 0.035
HOB_M = 0.02
BOTTOM_M = HOB_M + 0.008  # of the pan's inside
SPATULA_M = 0.135  # from the hand to the tip
STIR_M, OVER_M = BOTTOM_M + SPATULA_M + 0.004, BOTTOM_M + SPATULA_M + 0.040  # of the hand
BLADE_M = 0.016  # from its middle to the food that it pushes, with a little air
LANDING_M = 0.004  # how far behind that place the spatula comes down
STROKE_M, STROKE_S = 0.026, 0.15  # how far the expert pushes a piece
ENOUGH_M = 0.0155  # and from where on it leaves one alone that it has left
ERROR = 0.25  # of its speed that the expert lets pass
FINE, ROUGH = 0.7, 0.95  # the share of it for which it stays, and that for which it comes back
ORIGIN = np.zeros(2)
GRAVITY_M_S2 = 9.81
BROWN_1_S = 0.36  # browning of a side that lies in a pan of full heat
TURN_M = 0.012  # a piece that is moved so far lies on a fresh side
HEAP_M = 0.035  # mean distance from their middle below which pieces are a heap
REST_M_S = 0.03  # a piece that is slower rests
LEAST_M = 0.015  # each piece must be moved so far
FACTOR, CLOSE_M_S = 1.3, 0.025  # by what factor, or how much, a piece's speed may miss

PAN_X, PAN_Y = (0.44, 0.56), (-0.14, 0.14)  # [m]
RADIUS_M = (0.013, 0.018)
VIGOUR_M_S, FAR_M_S = (0.06, 0.28), (0.285, 0.32)
LOG_VIGOUR, LOG_FAR = ((float(np.log(a)), float(np.log(b))) for a, b in (VIGOUR_M_S, FAR_M_S))
HEAT = (0.7, 1.0)
MASS_KG = (0.02, 0.08)
FRICTION = (0.25, 0.6)

SPATULA = f"""
<geom type="capsule" fromto="0 0 -.045 0 0 {SPATULA_M - 0.05}" size=".008" mass=".03" material="wood" class="hand"/>
<geom type="box" size=".007 .011 .029" pos="0 0 {SPATULA_M - 0.029}" mass=".02" material="wood" class="hand"/>
<site name="tip" pos="0 0 {SPATULA_M}" group="4"/>
"""
HOB = f"""
<geom type="box" size=".175 .175 .007" pos="0 0 {0.007 - HOB_M}" material="hob" class="show"/>
<geom type="cylinder" size=".155 .003" pos="0 0 -.003" material="glow" class="show"/>"""
# Stiff contacts: a spatula that presses food against the wall must not squeeze it through.
PIECE = """
<body name="{name}">
  <joint name="{name}_x" type="slide" axis="1 0 0" frictionloss=".1" damping=".5"/>
  <joint name="{name}_y" type="slide" axis="0 1 0" frictionloss=".1" damping=".5"/>
  <geom name="{name}" type="sphere" size="{size}" mass=".05" class="thing" condim="1" priority="1" solimp=".95 .998 .001"/>
</body>"""


@dataclass(frozen=True)
class StirTask:
    """Which food lies in which pan, and how briskly it wants to be stirred."""

    pan_m: np.ndarray = varies(
        "m", (PAN_X[0], PAN_Y[0]), (PAN_X[1], PAN_Y[1]), hidden=False, doc="place of the pan"
    )
    radius_m: np.ndarray = varies(
        "m", (RADIUS_M[0],) * NUM, (RADIUS_M[1],) * NUM, hidden=False, doc="radius of each piece"
    )
    vigour_m_s: np.ndarray = varies(
        "m/s", VIGOUR_M_S[0], FAR_M_S[1], hidden=True, doc="how fast the food wants to be moved"
    )
    heat: np.ndarray = varies("1", *HEAT, hidden=True, doc="heat of the pan, a share of full heat")
    mass_kg: np.ndarray = varies(
        "kg", (MASS_KG[0],) * NUM, (MASS_KG[1],) * NUM, hidden=True, doc="mass of each piece"
    )
    friction: np.ndarray = varies("1", *FRICTION, hidden=True, doc="friction of food on the pan")


@register("kitchen/stir")
class Stir(KitchenFamily[StirTask]):
    """Move all food in a pan, as briskly as it wants: slower it sticks, faster it breaks."""

    task_type = StirTask
    horizon = 60
    weights = {"near": 0.5, "moved": 1.5, "burn": -1.0, "heap": -0.5}
    floor_m = STIR_M
    still = ("tilt", "grip")  # the fingers never let the spatula go
    holding = 0.2

    def models(self) -> dict[str, Any]:
        """The arm holds a spatula; a pan with food stands on a hob."""
        pan = vessel("pan", PAN_RADIUS_M, PAN_HEIGHT_M, "iron", handle=True)
        things = pan.replace("</body>", HOB + "</body>")
        things += "".join(PIECE.format(name=name, size=RADIUS_M[1]) for name in PIECES)
        return {"kitchen": self.scene(things, held=SPATULA, num_userdata=NUM_COLUMNS)}

    def sample(self, rng: Streams, n: int, split: Split) -> StirTask:
        """Draw pans and food; cells of the vigour (of its logarithm) are held out, far lies beyond it."""
        return StirTask(
            pan_m=rng.uniform([PAN_X[0], PAN_Y[0]], [PAN_X[1], PAN_Y[1]], size=2),
            radius_m=rng.uniform(*RADIUS_M, size=NUM),
            vigour_m_s=np.exp(draw(rng, split, *LOG_VIGOUR, far=LOG_FAR)),
            heat=rng.uniform(*HEAT),
            mass_kg=rng.uniform(*MASS_KG, size=NUM),
            friction=rng.uniform(*FRICTION),
        )

    def in_split(self, task: StirTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        far = task.vigour_m_s > VIGOUR_M_S[1]
        held = is_held_out(np.log(task.vigour_m_s), *LOG_VIGOUR)
        return {"train": ~far & ~held, "test": ~far & held, "far": far}[split]

    def configure(self, worlds: Scene, ids: np.ndarray, task: StirTask) -> None:
        """Give each piece its size, mass, inertia, and friction on the pan."""
        inertia = 0.4 * task.mass_kg * task.radius_m**2
        slides = GRAVITY_M_S2 * task.friction[:, None] * task.mass_kg
        for k, name in enumerate(PIECES):
            body, geom = worlds.id("body", name), worlds.id("geom", name)
            worlds.model_field("geom_size")[ids, geom, 0] = task.radius_m[:, k]
            worlds.model_field("body_pos")[ids, body, 2] = BOTTOM_M + task.radius_m[:, k] + 5e-4
            worlds.model_field("body_mass")[ids, body] = task.mass_kg[:, k]
            worlds.model_field("body_inertia")[ids, body] = inertia[:, k : k + 1]
            for axis in "xy":
                dof = int(worlds.model.joint(f"{name}_{axis}").dofadr[0])
                worlds.model_field("dof_frictionloss")[ids, dof] = slides[:, k]

    def reset(self, worlds: Scene, ids: np.ndarray, task: StirTask, rng: Streams) -> None:
        """Put the pan in its place, food around its middle, and the hand above it."""
        n = len(ids)
        worlds.mocap_pos("pan")[ids] = np.column_stack([task.pan_m, np.full(n, HOB_M)])
        turn = rng.uniform(0.0, 2.0 * np.pi)[:, None] + rng.uniform(-0.35, 0.35, size=NUM)
        turn += 2.0 * np.pi / NUM * np.arange(NUM)
        out = rng.uniform(0.035, 0.08, size=NUM)
        food = task.pan_m[:, None] + out[..., None] * np.stack([np.cos(turn), np.sin(turn)], -1)
        self._food(worlds)[ids] = food.reshape(n, -1)
        worlds.userdata[ids, NUM_USERDATA:] = 0.0
        worlds.userdata[ids, LAST] = food.reshape(n, -1)
        self._colour(worlds)
        start = np.array([0.50, 0.0, 0.26]) + rng.uniform(-0.03, 0.03, size=3)
        self.robot.place(worlds, ids, start, opening=self.holding)

    def advance(self, worlds: Scene, task: StirTask) -> None:
        """Count how far and how long each piece was moved; brown the sides that lie on the pan."""
        state, food = worlds.userdata, self._food(worlds)
        moved = distance(food.reshape(-1, NUM, 2), state[:, LAST].reshape(-1, NUM, 2))
        state[:, MOVED] += moved
        state[:, MOVING] += self.control_dt_s * (moved > REST_M_S * self.control_dt_s)
        fresh = state[:, SIDE] * np.exp(-moved / TURN_M)
        state[:, SIDE] = cook(fresh, task.heat[:, None], BROWN_1_S, self.control_dt_s)
        state[:, DARKEST] = np.maximum(state[:, DARKEST], state[:, SIDE])
        state[:, LAST] = food
        self._colour(worlds)

    def things(self, worlds: Scene, task: StirTask) -> np.ndarray:
        """The hand, and each piece: its place and motion, how far and fast it was moved, how brown."""
        food, tip = self._pieces(worlds), worlds.site_pos("tip")
        own = worlds.userdata
        flat = (worlds.num_worlds, 2 * NUM)
        blocks = [
            np.clip((tip - self.robot.centre_m + [0.0, 0.0, 0.1]) / 0.2, -5.0, 5.0),
            np.clip((food - tip[:, None, :2]) / 0.1, -8.0, 8.0).reshape(flat),
            ((food - task.pan_m[:, None]) / PAN_RADIUS_M).reshape(flat),
            np.clip(self._speed(worlds) / 0.3, -5.0, 5.0),
            np.clip(own[:, MOVED] / 0.1, 0.0, 8.0),
            np.clip(_vigour(worlds) / 0.3, 0.0, 5.0),
            own[:, SIDE],
            own[:, DARKEST],
        ]
        return np.concatenate(blocks, axis=1)

    def terms(self, worlds: Scene, task: StirTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Be at the pan; move each piece as fast as it wants, let none brown, leave no heap."""
        error = _vigour(worlds) / task.vigour_m_s[:, None] - 1.0
        begun = np.minimum(worlds.userdata[:, MOVED] / LEAST_M, 1.0)
        away = distance(worlds.site_pos("tip")[:, :2], task.pan_m)
        return {
            "near": closeness(away, 0.45) - 1.0,
            "moved": (begun * closeness(error, 1.0)).mean(axis=1),
            "burn": worlds.userdata[:, SIDE].mean(axis=1),
            "heap": 1.0 - np.minimum(self._spread(worlds) / (1.5 * HEAP_M), 1.0),
        }

    def success(self, worlds: Scene, task: StirTask) -> np.ndarray:
        """Each piece was moved, about as fast as it wants; none is burnt, and they are no heap."""
        state, wanted = worlds.userdata, task.vigour_m_s[:, None]
        speed = _vigour(worlds)
        right = (speed > wanted / FACTOR) & (speed < wanted * FACTOR)
        right |= np.abs(speed - wanted) < CLOSE_M_S
        right &= state[:, MOVED] > LEAST_M
        food = self._pieces(worlds)
        inside = distance(food, task.pan_m[:, None]) < PAN_RADIUS_M
        fine = right & inside & (state[:, DARKEST] < BURNT)
        return fine.all(axis=1) & (self._spread(worlds) > HEAP_M)

    def caption(self, worlds: Scene, task: StirTask) -> list[str]:
        """How fast each piece was moved and is wanted to be, and how brown the brownest is."""
        speed, wanted = 100.0 * _vigour(worlds), 100.0 * task.vigour_m_s
        brown = 100.0 * worlds.userdata[:, DARKEST].max(axis=1)
        return [
            f"moved at {', '.join(f'{x:.0f}' for x in pieces)} of {cm_s:.0f} cm/s wanted"
            f"  ·  browned {percent:.0f}%"
            for pieces, cm_s, percent in zip(speed, wanted, brown)
        ]

    def hand_expert(self, worlds: Scene, task: StirTask) -> np.ndarray:
        """Come down behind a piece, push it at the wanted speed, rise, and go to the next.

        What it does changes little with what it sees, so that it can be imitated: pieces have their
        turn in a fixed order, and each is pushed to the same side, outwards and around.
        """
        rows = np.arange(worlds.num_worlds)
        tip, height = worlds.site_pos("tip")[:, :2] - task.pan_m, worlds.site_pos("grip")[:, 2]
        wanted, moved = task.vigour_m_s[:, None], worlds.userdata[:, MOVED]
        slow = 1.0 - _vigour(worlds) / wanted
        food = self._pieces(worlds) - task.pan_m[:, None]
        off = tip[:, None] - food
        apart = distance(off, ORIGIN)
        # Far apart, so that whoever imitates it can tell them: what is enough to leave a piece, and
        # what is too little to leave it alone.
        at = (height < STIR_M + 0.03)[:, None] & (apart < 0.05)
        enough = np.where(at, np.maximum(STROKE_M, STROKE_S * wanted), ENOUGH_M)
        lacks = moved < enough
        allowed = np.maximum(ERROR, CLOSE_M_S / wanted)
        wrong = np.abs(slow) > allowed * np.where(at, FINE, ROUGH)
        piece = np.where(lacks, 2, wrong).argmax(axis=1)  # the first of those that lack most
        busy = (lacks | wrong)[rows, piece]
        start, along = self._stroke(worlds, task, piece)
        gap = (apart - task.radius_m).min(axis=1)
        way = start - tip
        ahead, aside = (way * along).sum(axis=1), np.abs(_cross(way, along))
        lowness = np.clip((STIR_M + 0.03 - height) / 0.012, 0.0, 1.0)
        pushing = lowness * np.clip((0.03 - aside) / 0.008, 0.0, 1.0)
        pushing *= (np.abs(ahead) < 0.03) & busy
        landing = way - LANDING_M * along
        left = distance(landing, ORIGIN)
        # a funnel: the nearer the place behind the piece, the lower, but never upon food
        above = np.clip((left - 0.02) / 0.05, 0.0, 1.0)
        above = np.maximum(above, np.clip((0.008 - gap) / 0.006, 0.0, 1.0))
        above = np.where(busy, above * (1.0 - pushing), 1.0)
        goal = worlds.site_pos("grip").copy()
        goal[:, 2] = STIR_M + above * (OVER_M - STIR_M)
        # low between food: first up and off the nearest piece, then on
        nearest = off[rows, apart.argmin(axis=1)]
        back = 0.025 * nearest / (distance(nearest, ORIGIN) + 1e-3)[:, None]
        free = np.clip((height - STIR_M - 0.003) / 0.02, 0.0, 1.0)
        free = np.maximum(free, np.clip((0.05 - left) / 0.02, 0.0, 1.0))[:, None]
        goal[:, :2] += free * 1.6 * landing + (1.0 - free) * back
        action = np.zeros((worlds.num_worlds, 6))
        action[:, :3] = self.robot.steer(worlds, goal, gain=0.75)
        # on the pan the target moves at the wanted speed, whatever the lag of the arm behind it
        slow = np.where(moved > 0.004, slow, 0.0)[rows, piece]
        pace = task.vigour_m_s * np.clip(1.15 + 2.5 * slow, 0.5, 2.0)
        speed = (worlds.sensor("hand_velocity")[:, :2] * along).sum(axis=1)
        push = np.maximum(1.45 * pace - 0.5 * speed, 0.0) * self.control_dt_s
        push += 0.35 * np.clip(ahead - 0.005, 0.0, 0.02)
        push = (push - 0.2 * ahead)[:, None] * along + 0.2 * way
        share = pushing[:, None]
        action[:, :2] = share * push / STEP_M + (1.0 - share) * action[:, :2]
        action[:, 3:5] = np.clip(-self.robot.target_angles(worlds) / STEP_RAD, -1.0, 1.0)
        return action

    def _stroke(
        self, worlds: Scene, task: StirTask, piece: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where the blade starts to push a piece, and whither.

        Args:
            piece: Which one, (N,).
        Returns:
            Place in the pan [m] and direction, (N, 2) each.
        """
        rows = np.arange(worlds.num_worlds)
        food = self._pieces(worlds) - task.pan_m[:, None]
        own, radius = food[rows, piece], task.radius_m[rows, piece]
        left = np.stack([-own[:, 1], own[:, 0]], axis=-1)
        along = left + own  # as much outwards as around
        along /= np.maximum(distance(along, ORIGIN), 0.01)[:, None]
        start = own - along * (radius + BLADE_M)[:, None]
        reach = distance(start, ORIGIN)[:, None]
        start *= np.minimum((PAN_RADIUS_M - 0.022) / np.maximum(reach, 1e-3), 1.0)
        return start, along

    @staticmethod
    def _food(worlds: Scene) -> np.ndarray:
        first = int(worlds.model.joint(f"{next(iter(PIECES))}_x").qposadr[0])
        return worlds.qpos[:, first : first + 2 * NUM]

    @staticmethod
    def _speed(worlds: Scene) -> np.ndarray:
        first = int(worlds.model.joint(f"{next(iter(PIECES))}_x").dofadr[0])
        return worlds.qvel[:, first : first + 2 * NUM]

    def _pieces(self, worlds: Scene) -> np.ndarray:
        return self._food(worlds).reshape(-1, NUM, 2)

    def _spread(self, worlds: Scene) -> np.ndarray:
        food = self._pieces(worlds)
        return distance(food, food.mean(axis=1, keepdims=True)).mean(axis=1)

    @staticmethod
    def _colour(worlds: Scene) -> None:
        rgba = worlds.model_field("geom_rgba")
        for k, (name, tint) in enumerate(PIECES.items()):
            shown = colours(worlds.userdata[:, DARKEST][:, k], tint.stops)
            rgba[:, worlds.id("geom", name), :3] = shown


def _vigour(worlds: Scene) -> np.ndarray:
    """How fast each piece was moved while it moved [m/s], (N, NUM)."""
    return worlds.userdata[:, MOVED] / np.maximum(worlds.userdata[:, MOVING], Stir.control_dt_s)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
