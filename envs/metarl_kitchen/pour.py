"""Pour a liquid: tilt the jug over a pot, let the wanted amount run in, and stop in time."""

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
from metarl_kitchen.cooking import follow
from metarl_kitchen.furniture import vessel
from metarl_kitchen.kitchen import KitchenFamily, beside
from metarl_kitchen.season import MIDDLE_M

IN_POT, SPILLED, RATE = NUM_USERDATA, NUM_USERDATA + 1, NUM_USERDATA + 2  # [ml], [ml], [ml/s]
POT_HEIGHT_M = 0.07  # the fullest jug fits into the narrowest pot
JUG_RADIUS_M, JUG_HEIGHT_M = 0.055, 0.08
JUG_ML = np.pi * JUG_RADIUS_M**2 * JUG_HEIGHT_M * 1e6
LIP_M = JUG_RADIUS_M + 0.004  # from the middle of the rim to where liquid leaves it
FLOW_ML_S = 800.0  # rate of water for each radian beyond the brim
MOST_ML_S = 400.0
LAG_S = 0.04  # time constant with which the rate of water follows the tilt
HOVER_M = 0.24

POT_X, POT_Y = (0.39, 0.53), (-0.18, 0.18)  # [m]
POT_RADIUS_M = (0.055, 0.075)
WANTED_ML, FAR_ML = (50.0, 220.0), (225.0, 260.0)
VISCOSITY = (1.0, 2.2)
FILL_ML = (520.0, 585.0)

LIQUID = ".86 .60 .13 1"
GLAZE = ".30 .46 .62 1"
STREAM_M, SOUP_M = 0.40, 0.08  # lengths; what reaches below the counter's top is not seen
HIDDEN_M = -0.5  # height at which a thing is inside the counter
THINGS = f"""
<body name="soup" mocap="true">
  <geom name="soup" type="cylinder" size="{POT_RADIUS_M[1]} {SOUP_M / 2}" pos="0 0 {-SOUP_M / 2}" rgba="{LIQUID}" class="show"/>
</body>
<body name="stream" mocap="true">
  <geom type="cylinder" size=".005 {STREAM_M / 2}" pos="0 0 {-STREAM_M / 2}" rgba="{LIQUID}" class="show"/>
</body>
<body name="surface" mocap="true">
  <geom type="cylinder" size="{JUG_RADIUS_M - 0.002} .001" rgba="{LIQUID}" class="show"/>
</body>"""


def jug(sides: int = 12) -> str:
    """A jug that hangs from the hand by its handle: it stands upright when the hand points down.

    Args:
        sides: Number of boxes that make its wall.
    """
    x, top, bottom = -JUG_RADIUS_M - 0.030, -0.05, JUG_HEIGHT_M - 0.05  # in the hand, z down
    wall = ""
    for k in range(sides):
        angle = 2 * np.pi * k / sides
        out, half = JUG_RADIUS_M + 0.0015, (JUG_RADIUS_M + 0.003) * np.tan(np.pi / sides)
        wall += (
            f'<geom type="box" size=".0015 {half:.5f} {JUG_HEIGHT_M / 2}" rgba="{GLAZE}"'
            f' pos="{x + out * np.cos(angle):.5f} {out * np.sin(angle):.5f}'
            f' {(top + bottom) / 2:.5f}" euler="0 0 {angle:.5f}" class="show"/>'
        )
    return f"""
    <geom type="cylinder" fromto="{x} 0 {top} {x} 0 {bottom}" size="{JUG_RADIUS_M + 0.003}" mass=".6" group="4" class="hand"/>
    <geom type="cylinder" fromto="{x} 0 {bottom - 0.003} {x} 0 {bottom}" size="{JUG_RADIUS_M + 0.002}" rgba="{GLAZE}" class="show"/>
    <geom type="capsule" fromto="0 0 -.03 0 0 .022" size=".009" rgba="{GLAZE}" class="show"/>
    <geom type="capsule" fromto="0 0 -.03 -.028 0 -.036" size=".007" rgba="{GLAZE}" class="show"/>
    <geom type="capsule" fromto="0 0 .022 -.028 0 .022" size=".007" rgba="{GLAZE}" class="show"/>
    {wall}
    <site name="rim" pos="{x} 0 {top}" quat="0 1 0 0" group="4"/>"""


@dataclass(frozen=True)
class PourTask:
    """Where the pot stands, how much it wants, and what is in the jug."""

    pot_m: np.ndarray = varies(
        "m", (POT_X[0], POT_Y[0]), (POT_X[1], POT_Y[1]), hidden=False, doc="place of the pot"
    )
    wanted_ml: np.ndarray = varies("ml", WANTED_ML[0], FAR_ML[1], hidden=True, doc="liquid wanted")
    viscosity: np.ndarray = varies(
        "1", *VISCOSITY, hidden=True, doc="how much slower than water the liquid runs"
    )
    fill_ml: np.ndarray = varies("ml", *FILL_ML, hidden=False, doc="liquid in the jug at first")
    radius_m: np.ndarray = varies("m", *POT_RADIUS_M, hidden=False, doc="inner radius of the pot")


@register("kitchen/pour")
class Pour(KitchenFamily[PourTask]):
    """Pour the wanted amount of a liquid into a pot."""

    task_type = PourTask
    horizon = 60
    weights = {"near": 0.5, "amount": 1.0, "spill": -0.5}
    floor_m = 0.20
    still = ("grip",)  # the fingers never let the jug go
    holding = 0.25

    def models(self) -> dict[str, Any]:
        """The arm holds the jug; the pot stands on the counter."""
        things = vessel("pot", POT_RADIUS_M[1], POT_HEIGHT_M, "enamel") + THINGS
        return {"kitchen": self.scene(things, held=jug(), num_userdata=NUM_USERDATA + 3)}

    def sample(self, rng: Streams, n: int, split: Split) -> PourTask:
        """Draw pots and jugs; cells of the amount are held out, far lies beyond its range."""
        pot = rng.uniform([POT_X[0], POT_Y[0]], [POT_X[1], POT_Y[1]], size=2)
        wanted = draw(rng, split, *WANTED_ML, far=FAR_ML)
        viscosity, fill = rng.uniform(*VISCOSITY), rng.uniform(*FILL_ML)
        return PourTask(pot, wanted, viscosity, fill, rng.uniform(*POT_RADIUS_M))

    def in_split(self, task: PourTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        far = task.wanted_ml > WANTED_ML[1]
        held = is_held_out(task.wanted_ml, *WANTED_ML)
        return {"train": ~far & ~held, "test": ~far & held, "far": far}[split]

    def configure(self, worlds: Scene, ids: np.ndarray, task: PourTask) -> None:
        """Give each pot its radius."""
        model, pot = worlds.model, worlds.id("body", "pot")
        bottom, rows = int(model.body_geomadr[pot]), ids[:, None]
        wall = bottom + np.arange(1, model.body_geomnum[pot])
        scale = task.radius_m[:, None] / POT_RADIUS_M[1]
        place, size = worlds.model_field("geom_pos"), worlds.model_field("geom_size")
        place[rows, wall, :2] = scale[:, :, None] * model.geom_pos[wall, :2]
        size[rows, wall, 1] = scale * model.geom_size[wall, 1]
        size[ids, bottom, 0] = task.radius_m + 0.004
        size[ids, worlds.id("geom", "soup"), 0] = task.radius_m

    def reset(self, worlds: Scene, ids: np.ndarray, task: PourTask, rng: Streams) -> None:
        """Put the empty pot in its place and the jug, upright, near the middle."""
        hidden = np.full(len(ids), HIDDEN_M)
        worlds.mocap_pos("pot")[ids] = np.column_stack([task.pot_m, np.zeros(len(ids))])
        for name in ("soup", "stream", "surface"):
            worlds.mocap_pos(name)[ids] = np.column_stack([task.pot_m, hidden])
        start = np.array([0.52, 0.0, 0.27]) + rng.uniform(-0.03, 0.03, size=3)
        self.robot.place(worlds, ids, start, opening=self.holding)
        worlds.userdata[ids, IN_POT:] = 0.0

    def advance(self, worlds: Scene, task: PourTask) -> None:
        """Let liquid run over the rim and fall straight down, into the pot or beside it."""
        state, held = worlds.userdata, self._held_ml(worlds, task)
        steady = np.clip(FLOW_ML_S * self._beyond(worlds, task), 0.0, MOST_ML_S) / task.viscosity
        rate = follow(state[:, RATE], steady, LAG_S * task.viscosity, self.control_dt_s)
        rate = np.minimum(rate, held / self.control_dt_s)
        inside = self._offset(worlds, task) < task.radius_m
        state[:, IN_POT] += np.where(inside, rate * self.control_dt_s, 0.0)
        state[:, SPILLED] += np.where(inside, 0.0, rate * self.control_dt_s)
        state[:, RATE] = rate
        self._show(worlds, task)

    def _show(self, worlds: Scene, task: PourTask) -> None:
        """Move what is only seen: the liquid in the pot, in the jug, and between them."""
        state = worlds.userdata
        depth = 1e-6 * state[:, IN_POT] / (np.pi * task.radius_m**2)
        worlds.mocap_pos("soup")[:, 2] = 0.0079 + depth
        stream, flows = worlds.mocap_pos("stream"), state[:, RATE] > 2.0
        stream[:] = lip(worlds)
        stream[:, 2] = np.where(flows, stream[:, 2], HIDDEN_M)
        down = JUG_HEIGHT_M * (1.0 - self._held_ml(worlds, task) / JUG_ML)
        up = worlds.site_mat("rim")[:, 2::3]
        worlds.mocap_pos("surface")[:] = worlds.site_pos("rim") - down[:, None] * up

    def things(self, worlds: Scene, task: PourTask) -> np.ndarray:
        """The lip, what has left the jug (not where it fell), and how far it is tilted.

        As when seasoning: nothing runs below a tilt of 0.5.
        """
        left = task.fill_ml - self._held_ml(worlds, task)
        place = (lip(worlds)[:, :2] - MIDDLE_M) / 0.2
        beyond = self._beyond(worlds, task)
        flow = np.stack([left / 150.0, worlds.userdata[:, RATE] / MOST_ML_S, 0.5 + beyond], axis=1)
        return np.concatenate([place, flow], axis=1)

    def terms(self, worlds: Scene, task: PourTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Be over the pot, have the wanted amount in it, spill nothing."""
        offset = self._offset(worlds, task)
        spilled = np.where(offset < task.radius_m, 0.0, worlds.userdata[:, RATE])
        return {
            "near": closeness(offset, 0.45) - 1.0,
            "amount": closeness(worlds.userdata[:, IN_POT] / task.wanted_ml - 1.0, 1.0),
            "spill": spilled / 100.0,
        }

    def success(self, worlds: Scene, task: PourTask) -> np.ndarray:
        """Within 10% (at least 10 ml) of what is wanted, at most 10 ml beside it, none running."""
        error = np.abs(worlds.userdata[:, IN_POT] - task.wanted_ml)
        enough = error < np.maximum(0.1 * task.wanted_ml, 10.0)
        return enough & (worlds.userdata[:, SPILLED] < 10.0) & (worlds.userdata[:, RATE] < 2.0)

    def caption(self, worlds: Scene, task: PourTask) -> list[str]:
        """The liquid in the pot, wanted, and beside it."""
        amounts = zip(worlds.userdata[:, IN_POT], task.wanted_ml, worlds.userdata[:, SPILLED])
        return [
            f"{ml:.0f} of {wanted:.0f} ml{beside(spilled, 'ml')}" for ml, wanted, spilled in amounts
        ]

    def hand_expert(self, worlds: Scene, task: PourTask) -> np.ndarray:
        """Go over the pot, tilt until it runs, less and less as the amount fills, tilt back."""
        action = np.zeros((worlds.num_worlds, 6))
        ahead = lip(worlds)[:, :2] - worlds.site_pos("grip")[:, :2]
        goal = np.column_stack([task.pot_m - ahead, np.full(worlds.num_worlds, HOVER_M)])
        action[:, :3] = self.robot.steer(worlds, goal)
        missing = task.wanted_ml - worlds.userdata[:, IN_POT]
        missing -= (0.05 + LAG_S * task.viscosity) * worlds.userdata[:, RATE]  # what still runs
        over = self._offset(worlds, task) < 0.5 * task.radius_m
        rate = np.clip(missing / 0.25, 100.0, 250.0)
        wish = np.minimum(rate * task.viscosity / FLOW_ML_S, 0.4)
        brim, short = brim_rad(self._held_ml(worlds, task)), missing > 5.0
        yaw, tilt = self.robot.target_angles(worlds).T
        ready = np.where(short, brim - 0.12, 0.0) - tilt
        # by what is wanted and by what is measured: some hands sag, others are slow
        pour = 0.4 * (brim + wish - tilt) + 0.8 * (wish - self._beyond(worlds, task))
        turn = np.where(over & short, pour, ready)
        action[:, 3:5] = np.clip(np.column_stack([-yaw, turn]) / STEP_RAD, -1.0, 1.0)
        return action

    @staticmethod
    def _held_ml(worlds: Scene, task: PourTask) -> np.ndarray:
        return task.fill_ml - worlds.userdata[:, IN_POT] - worlds.userdata[:, SPILLED]

    def _beyond(self, worlds: Scene, task: PourTask) -> np.ndarray:
        """How far the jug is tilted beyond the angle at which its liquid reaches the lip [rad]."""
        tilt = np.arccos(np.clip(worlds.site_mat("rim")[:, 8], -1.0, 1.0))
        return tilt - brim_rad(self._held_ml(worlds, task))

    @staticmethod
    def _offset(worlds: Scene, task: PourTask) -> np.ndarray:
        return distance(lip(worlds)[:, :2], task.pot_m)


def brim_rad(held_ml: np.ndarray) -> np.ndarray:
    """The tilt at which a jug's liquid reaches its lip [rad], (N,).

    The jug counts as a box of its height and width: the surface, always level, runs from the lip
    to the wall behind while the jug is more than half full, then to the bottom.
    """
    share = np.clip(held_ml / JUG_ML, 0.02, 1.0)
    slope = np.where(share > 0.5, 1.0 - share, 0.25 / share)
    return np.arctan(slope * JUG_HEIGHT_M / JUG_RADIUS_M)


def lip(worlds: Scene) -> np.ndarray:
    """The lowest place of the jug's rim, its middle when upright [m], (N, 3)."""
    up = worlds.site_mat("rim")[:, 2::3]
    out = up * up[:, 2:] - [0.0, 0.0, 1.0]  # straight down, as far as the rim's plane allows
    steep = np.sqrt(up[:, 0] ** 2 + up[:, 1] ** 2)
    return worlds.site_pos("rim") + out * (LIP_M / np.maximum(steep, 0.3))[:, None]
