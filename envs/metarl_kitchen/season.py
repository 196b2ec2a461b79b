"""Season a pot: hold the shaker over it, tilt, shake, and stop in time."""

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
from metarl_kitchen.cooking import SHAKEN_G, shaken_g
from metarl_kitchen.furniture import vessel
from metarl_kitchen.kitchen import KitchenFamily, beside

IN_POT, SPILLED, RATE = NUM_USERDATA, NUM_USERDATA + 1, NUM_USERDATA + 2  # [g], [g], [g/step]
POT_RADIUS_M = 0.085
HOVER_M = 0.24
MIDDLE_M = np.array([0.5, 0.0])  # of the counter: observed as 0

POT_X, POT_Y, FAR_Y = (0.40, 0.60), (-0.20, 0.20), (0.21, 0.27)  # [m]
WANTED_G, FAR_G = (3.0, 8.0), (8.2, 9.5)
COARSENESS = (0.8, 1.2)

SHAKER = """
<geom type="cylinder" fromto=".035 0 0 -.035 0 0" size=".019" mass=".08" material="glass" class="hand"/>
<geom type="cylinder" fromto=".015 0 0 -.030 0 0" size=".0165" rgba=".98 .98 .97 1" class="show"/>
<geom type="cylinder" fromto="-.035 0 0 -.05 0 0" size=".0195" mass=".02" material="steel" class="hand"/>
<site name="mouth" pos="-.05 0 0" quat=".7071 0 -.7071 0" group="4"/>
"""


@dataclass(frozen=True)
class SeasonTask:
    """Where the pot stands and what it wants."""

    pot_m: np.ndarray = varies(
        "m", (POT_X[0], -FAR_Y[1]), (POT_X[1], FAR_Y[1]), hidden=True, doc="place of the pot"
    )
    wanted_g: np.ndarray = varies("g", WANTED_G[0], FAR_G[1], hidden=True, doc="salt wanted")
    coarseness: np.ndarray = varies(
        "1", *COARSENESS, hidden=True, doc="how readily salt leaves the shaker"
    )


@register("kitchen/season")
class Season(KitchenFamily[SeasonTask]):
    """Shake the wanted amount of salt into a pot."""

    task_type = SeasonTask
    weights = {"near": 0.5, "amount": 1.0, "spill": -0.25}
    floor_m = 0.17
    still = ("grip",)  # the fingers never let the shaker go

    def models(self) -> dict[str, Any]:
        """The arm holds the shaker; the pot stands on the counter."""
        pot = vessel("pot", POT_RADIUS_M, 0.10, "enamel")
        soup = (
            f'<geom name="soup" type="cylinder" size="{POT_RADIUS_M - 0.002} .03" pos="0 0 .038"'
            ' rgba=".85 .55 .22 1" class="show"/>'
        )
        things = pot.replace("</body>", soup + "</body>")
        return {"kitchen": self.scene(things, held=SHAKER, num_userdata=NUM_USERDATA + 3)}

    def sample(self, rng: Streams, n: int, split: Split) -> SeasonTask:
        """Draw pots; cells of y and of the amount are held out, far lies beyond them."""
        side = np.where(rng.uniform() < 0.5, -1.0, 1.0)
        y = draw(rng, split, *POT_Y, far=FAR_Y) * (side if split == "far" else 1.0)
        x = rng.uniform(*POT_X)
        wanted = draw(rng, "far" if split == "far" else "train", *WANTED_G, far=FAR_G, every=99)
        return SeasonTask(np.stack([x, y], axis=1), wanted, rng.uniform(*COARSENESS))

    def in_split(self, task: SeasonTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        y = task.pot_m[:, 1]
        far = np.abs(y) > POT_Y[1]
        held = is_held_out(y, *POT_Y)
        return {"train": ~far & ~held, "test": ~far & held, "far": far}[split]

    def reset(self, worlds: Scene, ids: np.ndarray, task: SeasonTask, rng: Streams) -> None:
        """Put the pot in its place and the hand near its home."""
        worlds.mocap_pos("pot")[ids] = np.column_stack([task.pot_m, np.zeros(len(ids))])
        start = np.array([0.50, 0.0, 0.26]) + rng.uniform(-0.03, 0.03, size=3)
        self.robot.place(worlds, ids, start, opening=self.holding)
        worlds.userdata[ids, IN_POT:] = 0.0

    def advance(self, worlds: Scene, task: SeasonTask) -> None:
        """Let salt fall: it needs the mouth to point down, and the shaker to move."""
        down = -worlds.site_mat("mouth")[:, 8]
        speed = worlds.sensor("hand_velocity")[:, 2]
        grams = shaken_g(down, speed, task.coarseness)
        over = self._offset(worlds, task) < POT_RADIUS_M
        worlds.userdata[:, IN_POT] += np.where(over, grams, 0.0)
        worlds.userdata[:, SPILLED] += np.where(over, 0.0, grams)
        worlds.userdata[:, RATE] = grams

    def things(self, worlds: Scene, task: SeasonTask) -> np.ndarray:
        """The mouth, and what has left the shaker (not where it fell)."""
        left = worlds.userdata[:, IN_POT] + worlds.userdata[:, SPILLED]
        mouth = (worlds.site_pos("mouth")[:, :2] - MIDDLE_M) / 0.2
        down = -worlds.site_mat("mouth")[:, 8]
        flow = [left / 5.0, worlds.userdata[:, RATE] / SHAKEN_G, down]
        seen = np.concatenate([mouth, *(column[:, None] for column in flow)], axis=1)
        return seen

    def terms(self, worlds: Scene, task: SeasonTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Be near the pot, have the wanted amount in it, spill nothing."""
        away = self._offset(worlds, task)
        spilled = np.where(away < POT_RADIUS_M, 0.0, worlds.userdata[:, RATE])
        return {
            "near": closeness(away, 0.45) - 1.0,
            "amount": closeness(worlds.userdata[:, IN_POT] - task.wanted_g, 4.0),
            "spill": spilled,
        }

    def success(self, worlds: Scene, task: SeasonTask) -> np.ndarray:
        """Within 15% (at least 0.75 g) of what is wanted, at most 1 g beside the pot."""
        error = np.abs(worlds.userdata[:, IN_POT] - task.wanted_g)
        enough = error < np.maximum(0.15 * task.wanted_g, 0.75)
        return enough & (worlds.userdata[:, SPILLED] < 1.0)

    def caption(self, worlds: Scene, task: SeasonTask) -> list[str]:
        """The salt in the pot, wanted, and beside it."""
        amounts = zip(worlds.userdata[:, IN_POT], task.wanted_g, worlds.userdata[:, SPILLED])
        return [
            f"salt {grams:.1f} of {wanted:.1f} g{beside(spilled, 'g')}"
            for grams, wanted, spilled in amounts
        ]

    def hand_expert(self, worlds: Scene, task: SeasonTask) -> np.ndarray:
        """Go over the pot, tilt, shake until the amount is in, tilt back."""
        action = np.zeros((worlds.num_worlds, 6))
        lead = worlds.site_pos("mouth")[:, :2] - worlds.site_pos("grip")[:, :2]
        goal = np.column_stack([task.pot_m - lead, np.full(worlds.num_worlds, HOVER_M)])
        action[:, :3] = self.robot.steer(worlds, goal)
        over = self._offset(worlds, task) < 0.6 * POT_RADIUS_M
        missing = task.wanted_g - worlds.userdata[:, IN_POT]
        pour = over & (missing > 0.15 + 4.0 * worlds.userdata[:, RATE])
        tilt = np.where(pour, 1.1, 0.4) - self.robot.target_angles(worlds)[:, 1]
        action[:, 4] = np.clip(tilt / STEP_RAD, -1.0, 1.0)
        rising = worlds.sensor("hand_velocity")[:, 2] > 0.0
        height = self.robot.target_m(worlds)[:, 2] - HOVER_M
        rise = (rising & (height < 0.03)) | (height < -0.03)
        shake = np.where(rise, 1.0, -1.0) * np.clip(missing / 2.0, 0.35, 1.0)
        action[:, 2] = np.where(pour, shake, action[:, 2])
        return action

    @staticmethod
    def _offset(worlds: Scene, task: SeasonTask) -> np.ndarray:
        return distance(worlds.site_pos("mouth")[:, :2], task.pot_m)
