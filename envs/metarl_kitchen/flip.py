"""Flip a piece of tofu in the pan at the right moment: when the side below is golden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.robots.robot import NUM_USERDATA
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, varies
from metarl_kitchen.cells import draw, is_held_out
from metarl_kitchen.cooking import COLD, GOLDEN, cook, follow
from metarl_kitchen.furniture import vessel
from metarl_kitchen.pantry import TOFU
from metarl_kitchen.turning import PIECE, RADIUS_M, Turning

# Doneness of the two sides (FIRST lies below at first), for how long the first one has lain on
# the pan [s], heat of the pan [1].
FIRST, SECOND, LAIN, HEAT = range(NUM_USERDATA, NUM_USERDATA + 4)
STOVE_M = 0.085
PAN_WALL_M = 0.036
PAN_SUNK_M = 0.007  # the stove's top carries the piece: boxes lie steadily on a box
LAG_S = 0.6  # of the pan's heat: the stove has just been lit
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
class Flip(Turning[FlipTask]):
    """Turn a piece over in the pan when its first side is golden."""

    task_type = FlipTask
    weights = {"reach": 0.1, "golden": 2.0, "turn": 0.5, "lies": 1.0, "miss": -4.0}
    floor_m = STOVE_M
    sides = FIRST, SECOND

    def models(self) -> dict[str, Any]:
        """A stove, a pan on it, and in it a piece whose two sides have their own colours."""
        pan = vessel("pan", RADIUS_M, PAN_WALL_M, "iron", handle=True)
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

    def reset(self, worlds: Scene, ids: np.ndarray, task: FlipTask, rng: Streams) -> None:
        """Lay a raw piece into the cold pan, hold the hand above the stove."""
        worlds.mocap_pos("pan")[ids] = np.column_stack(
            [task.pan_m, np.full(len(ids), STOVE_M - PAN_SUNK_M)]
        )
        self.lay(worlds, ids, task, rng, task.pan_m, STOVE_M)
        self._paint(worlds, ids, TOFU.stops)

    def advance(self, worlds: Scene, task: FlipTask) -> None:
        """Heat the pan; cook the side that lies on it."""
        state, dt = worlds.userdata, self.control_dt_s
        state[:, HEAT] = follow(state[:, HEAT], np.ones(worlds.num_worlds), np.asarray(LAG_S), dt)
        heat = np.where(self._lies(worlds, task, task.pan_m, STOVE_M), state[:, HEAT], 0.0)
        on_first = self._up(worlds) > 0.0
        for side, below in ((FIRST, on_first), (SECOND, ~on_first)):
            state[:, side] = cook(state[:, side], heat * below, task.rate_1_s, dt)
        state[:, LAIN] += dt * (on_first & (heat > 0.0))
        self._paint(worlds, slice(None), TOFU.stops)

    def things(self, worlds: Scene, task: FlipTask) -> np.ndarray:
        """The piece, the pan, how done its upper side is, how long the first one has lain."""
        state = worlds.userdata
        seen = np.where(self._up(worlds) > 0.0, state[:, SECOND], state[:, FIRST])
        return self.see_piece(worlds, task, task.pan_m, 2.0 * seen, state[:, LAIN])

    def terms(self, worlds: Scene, task: FlipTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Reach the piece; have its first side golden; turn it over, neither too early nor late."""
        inside, up = self._inside(worlds, task.pan_m), self._up(worlds)
        turned = np.where(inside, 0.5 - 0.5 * up, 0.0)
        away = distance(self._end(worlds, task), worlds.site_pos("grip"))
        error = np.abs(worlds.userdata[:, FIRST] - GOLDEN)
        return {
            "reach": np.maximum(closeness(away, 0.2), turned),
            "golden": inside * closeness(error, GOLDEN),
            "turn": turned,
            "lies": (self._lies(worlds, task, task.pan_m, STOVE_M) & (up < 0.0)).astype(float),
            "miss": turned * error,
        }

    def success(self, worlds: Scene, task: FlipTask) -> np.ndarray:
        """It lies upside down in the pan, slower than 0.05 m/s, its first side golden."""
        golden = np.abs(worlds.userdata[:, FIRST] - GOLDEN) < SLACK
        lies = self._lies(worlds, task, task.pan_m, STOVE_M) & (self._up(worlds) < 0.0)
        return lies & (self._speed(worlds) < 0.05) & golden

    def caption(self, worlds: Scene, task: FlipTask) -> list[str]:
        """How done the first side is, as a share of golden, and whether it still lies below."""
        done = 100.0 * worlds.userdata[:, FIRST] / GOLDEN
        return [
            f"first side {percent:.0f}% of golden" + ("  ·  turned over" if up < 0.0 else "")
            for percent, up in zip(done, self._up(worlds))
        ]

    def hand_expert(self, worlds: Scene, task: FlipTask) -> np.ndarray:
        """Turn it over when its first side will be golden."""
        # it leaves the pan in 0.1 s
        done = task.rate_1_s * self._taken_s(worlds.userdata[:, LAIN] + 0.1)
        return self.turn_over(worlds, task, STOVE_M, done > GOLDEN)

    @staticmethod
    def _taken_s(lain_s: np.ndarray) -> np.ndarray:
        """The time at full heat that is worth as much as the first so many seconds [s], (N,)."""
        warm_s = np.maximum(lain_s + LAG_S * np.log(1.0 - COLD), 0.0)
        return warm_s - LAG_S * (1.0 - np.exp(-warm_s / LAG_S))
