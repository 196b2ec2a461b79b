"""Sprinkle from any pourer: tilt it over a pot, and stop in time; nothing needs to be shaken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metarl.registry import register
from metarl.robots.robot import NUM_USERDATA, STEP_RAD
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, varies
from metarl_kitchen.cells import draw
from metarl_kitchen.cooking import SHAKEN_G, follow
from metarl_kitchen.furniture import vessel
from metarl_kitchen.strewing import (
    COARSENESS,
    FAR_G,
    FAR_Y,
    HOVER_M,
    IN_POT,
    POT_X,
    POT_Y,
    RATE,
    SPILLED,
    WANTED_G,
    Strewing,
)

POT_RADIUS_M = 0.07
# From the hand to the mouth, towards the arm; of the shaker of `season` it is 0.05.
SPOUT_M = (0.05, 0.14)
DROP_M = (0.0, 0.05)  # how far the mouth lies above the fingertips
BRIM_RAD = (0.25, 0.75)  # the tilt at which a full pourer begins to run
EMPTIES_RAD_G = 0.02  # by how much later it runs for every gram that is gone
FLOW_G_RAD = 1.5  # that leave in a control step for each radian beyond the brim, coarseness 1
LAG_S = 0.06

POURER = """
<geom type="cylinder" fromto=".035 0 0 -.02 0 0" size=".019" mass=".1" material="glass" class="hand"/>
<geom type="cylinder" fromto=".015 0 0 -.015 0 0" size=".0165" rgba=".93 .80 .55 1" class="show"/>
<geom name="spout" type="capsule" fromto="-.02 0 0 -.05 0 0" size=".007" material="steel" class="show"/>
<site name="mouth" pos="-.05 0 0" quat=".7071 0 -.7071 0" group="4"/>
"""


@dataclass(frozen=True)
class SprinkleTask:
    """Where the pot stands, what it wants, and what the pourer is like."""

    pot_m: np.ndarray = varies(
        "m", (POT_X[0], -FAR_Y[1]), (POT_X[1], FAR_Y[1]), hidden=True, doc="place of the pot"
    )
    wanted_g: np.ndarray = varies("g", WANTED_G[0], FAR_G[1], hidden=True, doc="sugar wanted")
    coarseness: np.ndarray = varies(
        "1", *COARSENESS, hidden=True, doc="how readily sugar leaves the pourer"
    )
    spout_m: np.ndarray = varies(
        "m", (SPOUT_M[0], DROP_M[0]), (SPOUT_M[1], DROP_M[1]), hidden=False,
        doc="how far from the hand its mouth is, towards the arm, and how far above",
    )  # fmt: skip
    brim_rad: np.ndarray = varies(
        "rad", *BRIM_RAD, hidden=False, doc="tilt at which the full pourer begins to run"
    )


@register("kitchen/sprinkle")
class Sprinkle(Strewing[SprinkleTask]):
    """Let the wanted amount of sugar run into a pot, from pourers of many shapes."""

    task_type = SprinkleTask
    horizon = 60
    pot_radius_m, start_m, what = POT_RADIUS_M, (0.51, 0.0, 0.27), "sugar"

    def models(self) -> dict[str, Any]:
        """The arm holds the pourer; the pot stands on the counter."""
        things = vessel("pot", POT_RADIUS_M, 0.10, "enamel")
        return {"kitchen": self.scene(things, held=POURER, num_userdata=NUM_USERDATA + 3)}

    def sample(self, rng: Streams, n: int, split: Split) -> SprinkleTask:
        """Draw pots and pourers; cells of y are held out, far lies beyond, and wants more."""
        side = np.where(rng.uniform() < 0.5, -1.0, 1.0)
        y = draw(rng, split, *POT_Y, far=FAR_Y) * (side if split == "far" else 1.0)
        x = rng.uniform(*POT_X)
        wanted = rng.uniform(*(FAR_G if split == "far" else WANTED_G))
        spout = rng.uniform([SPOUT_M[0], DROP_M[0]], [SPOUT_M[1], DROP_M[1]], size=2)
        coarseness = rng.uniform(*COARSENESS)
        return SprinkleTask(
            np.stack([x, y], axis=1), wanted, coarseness, spout, rng.uniform(*BRIM_RAD)
        )

    def configure(self, worlds: Scene, ids: np.ndarray, task: SprinkleTask) -> None:
        """Give each pourer its spout."""
        ahead, above = task.spout_m.T
        mouth = np.column_stack([-ahead, np.zeros(len(ids)), -above])  # in the hand, z down
        worlds.model_field("site_pos")[ids, worlds.id("site", "mouth")] = mouth
        spout, root = worlds.id("geom", "spout"), np.array([-0.02, 0.0, 0.0])
        way = mouth - root
        length = np.sqrt((way**2).sum(axis=1))
        worlds.model_field("geom_pos")[ids, spout] = root + way / 2.0
        worlds.model_field("geom_size")[ids, spout, 1] = length / 2.0
        half = np.arctan2(way[:, 0], way[:, 2]) / 2.0  # turned from z about y
        flat = np.zeros(len(ids))
        worlds.model_field("geom_quat")[ids, spout] = np.column_stack(
            [np.cos(half), flat, np.sin(half), flat]
        )

    def advance(self, worlds: Scene, task: SprinkleTask) -> None:
        """Let sugar run and fall, the more, the further the pourer is tilted beyond its brim."""
        steady = FLOW_G_RAD * task.coarseness * np.maximum(self._beyond(worlds, task), 0.0)
        now = worlds.userdata[:, RATE]
        self.fall(worlds, task, follow(now, np.minimum(steady, SHAKEN_G), LAG_S, self.control_dt_s))

    def things(self, worlds: Scene, task: SprinkleTask) -> np.ndarray:
        """The mouth, what has left the pourer (not where it fell), how far it is tilted.

        As when seasoning: nothing runs below a tilt of 0.5.
        """
        mouth = (worlds.site_pos("mouth")[:, :2] - [0.5, 0.0]) / 0.2
        flow = [
            self._left(worlds) / 5.0,
            worlds.userdata[:, RATE] / SHAKEN_G,
            0.5 + self._beyond(worlds, task),
        ]
        return np.concatenate([mouth, *(column[:, None] for column in flow)], axis=1)

    def success(self, worlds: Scene, task: SprinkleTask) -> np.ndarray:
        """Within 10% (at least 0.4 g) of what is wanted, at most 0.4 g beside it, none running."""
        error = np.abs(worlds.userdata[:, IN_POT] - task.wanted_g)
        enough = error < np.maximum(0.1 * task.wanted_g, 0.4)
        spilled, rate = worlds.userdata[:, SPILLED], worlds.userdata[:, RATE]
        return enough & (spilled < 0.4) & (rate < 0.02)

    def hand_expert(self, worlds: Scene, task: SprinkleTask) -> np.ndarray:
        """Go over the pot, tilt until it runs, less and less as the amount fills, tilt back."""
        action = np.zeros((worlds.num_worlds, 6))
        ahead = worlds.site_pos("mouth")[:, :2] - worlds.site_pos("grip")[:, :2]
        goal = np.column_stack([task.pot_m - ahead, np.full(worlds.num_worlds, HOVER_M)])
        action[:, :3] = self.robot.steer(worlds, goal)
        rate = worlds.userdata[:, RATE]
        missing = task.wanted_g - worlds.userdata[:, IN_POT]
        missing -= (1.0 + LAG_S / self.control_dt_s) * rate  # what still runs
        over, short = self._offset(worlds, task) < 0.5 * POT_RADIUS_M, missing > 0.15
        wish = np.clip(missing / 5.0, 0.2, 0.6) / (FLOW_G_RAD * task.coarseness)
        brim = self._brim(worlds, task)
        yaw, tilt = self.robot.target_angles(worlds).T
        ready = np.where(short, brim - 0.12, 0.0) - tilt
        pour = 0.4 * (brim + wish - tilt) + 0.8 * (wish - self._beyond(worlds, task))
        turn = np.where(over & short, pour, ready)
        action[:, 3:5] = np.clip(np.column_stack([-yaw, turn]) / STEP_RAD, -1.0, 1.0)
        return action

    def _brim(self, worlds: Scene, task: SprinkleTask) -> np.ndarray:
        return task.brim_rad + EMPTIES_RAD_G * self._left(worlds)

    def _beyond(self, worlds: Scene, task: SprinkleTask) -> np.ndarray:
        """How far it is tilted beyond the angle at which it runs [rad]."""
        tilt = np.arcsin(np.clip(-worlds.site_mat("mouth")[:, 8], -1.0, 1.0))
        return tilt - self._brim(worlds, task)
