"""Season a pot: hold the shaker over it, tilt, shake, and stop in time."""

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
from metarl_kitchen.cooking import SHAKEN_G, shaken_g
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

POT_RADIUS_M = 0.085
MIDDLE_M = np.array([0.5, 0.0])  # of the counter: observed as 0

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
class Season(Strewing[SeasonTask]):
    """Shake the wanted amount of salt into a pot."""

    task_type = SeasonTask
    pot_radius_m, start_m, what = POT_RADIUS_M, (0.50, 0.0, 0.26), "salt"

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

    def advance(self, worlds: Scene, task: SeasonTask) -> None:
        """Let salt fall: it needs the mouth to point down, and the shaker to move."""
        down = -worlds.site_mat("mouth")[:, 8]
        speed = worlds.sensor("hand_velocity")[:, 2]
        self.fall(worlds, task, shaken_g(down, speed, task.coarseness))

    def things(self, worlds: Scene, task: SeasonTask) -> np.ndarray:
        """The mouth, and what has left the shaker (not where it fell)."""
        mouth = (worlds.site_pos("mouth")[:, :2] - MIDDLE_M) / 0.2
        down = -worlds.site_mat("mouth")[:, 8]
        flow = [self._left(worlds) / 5.0, worlds.userdata[:, RATE] / SHAKEN_G, down]
        seen = np.concatenate([mouth, *(column[:, None] for column in flow)], axis=1)
        return seen

    def success(self, worlds: Scene, task: SeasonTask) -> np.ndarray:
        """Within 15% (at least 0.75 g) of what is wanted, at most 1 g beside the pot."""
        error = np.abs(worlds.userdata[:, IN_POT] - task.wanted_g)
        enough = error < np.maximum(0.15 * task.wanted_g, 0.75)
        return enough & (worlds.userdata[:, SPILLED] < 1.0)

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
