"""Soak a slice of bread in beaten egg: turn it over when its first side has had enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.robots.robot import NUM_USERDATA
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, label, varies
from metarl_kitchen.cells import draw, is_held_out
from metarl_kitchen.cooking import GOLDEN
from metarl_kitchen.furniture import vessel
from metarl_kitchen.pantry import Tint
from metarl_kitchen.turning import PIECE, RADIUS_M, Turning

# How far the two sides have soaked (FIRST lies below at first; `GOLDEN` is enough), for how long the
# first one has lain in the egg [s].
FIRST, SECOND, LAIN = range(NUM_USERDATA, NUM_USERDATA + 3)
SUNK_M = 0.007  # what the vessel stands on carries the piece: boxes lie steadily on a box
SLACK_S = 0.1
BREAD = Tint((0.96, 0.90, 0.76), (0.93, 0.70, 0.22), (0.80, 0.52, 0.10))

DISH_X, DISH_Y = (0.49, 0.57), (-0.12, 0.12)  # [m]
SIZE_M = (0.024, 0.013, 0.0085), (0.029, 0.017, 0.0105)  # half edges, at most those of `PIECE`
MASS_KG = (0.02, 0.07)
FRICTION = (0.6, 1.1)
SOAK_S, FAR_S = (1.0, 2.05), (2.07, 2.15)


class Dish(NamedTuple):
    """What the egg is in, and what that stands on.

    Args:
        vessel: ``plate`` or ``pan``.
        stand: Name of what it stands on.
        surface_m: How high that is [m].
    """

    vessel: str
    stand: str
    surface_m: float


DISHES = (
    Dish("plate", "board", 0.03),
    Dish("pan", "board", 0.05),
    Dish("pan", "trivet", 0.07),
    Dish("plate", "stove", 0.10),
)
_WALLS = {"plate": (0.016, "shell", False), "pan": (0.036, "iron", True)}
_LOOKS = {"board": "wood", "trivet": "joint", "stove": "steel"}
_EGG = f"""
<geom type="cylinder" size="{RADIUS_M} .0015" pos="0 0 {SUNK_M + 0.0015}" rgba=".98 .80 .25 .55" class="show"/>"""
_CAMERA = """
<camera name="close" pos="1.01 -.37 .40" xyaxes="0.6178 0.7863 -0.0000 -0.3752 0.2948 0.8788"/>"""


@dataclass(frozen=True)
class SoakTask:
    """Which slice lies in which dish, and how long each of its sides must lie there."""

    dish_m: np.ndarray = varies(
        "m", (DISH_X[0], DISH_Y[0]), (DISH_X[1], DISH_Y[1]), hidden=False, doc="place of the dish"
    )
    size_m: np.ndarray = varies("m", *SIZE_M, hidden=False, doc="half edges of the slice")
    mass_kg: np.ndarray = varies("kg", *MASS_KG, hidden=True, doc="mass of the slice")
    friction: np.ndarray = varies("1", *FRICTION, hidden=True, doc="sliding friction of the slice")
    soak_s: np.ndarray = varies(
        "s", SOAK_S[0], FAR_S[1], hidden=True, doc="how long a side takes to soak"
    )
    model: np.ndarray = label("row of DISHES")


@register("kitchen/soak")
class Soak(Turning[SoakTask]):
    """Turn a slice of bread over in beaten egg when its first side has soaked."""

    task_type = SoakTask
    weights = {"reach": 0.1, "soaked": 2.0, "turn": 0.5, "lies": 1.0, "miss": -2.0}
    sides = FIRST, SECOND

    def models(self) -> dict[str, Any]:
        """A slice in a plate or a pan, on a board, a trivet or a cold stove: one model a dish."""
        return {
            f"{dish.vessel}-{dish.stand}": self.scene(
                _CAMERA + _stand(dish) + _vessel(dish) + PIECE, num_userdata=NUM_USERDATA + 3
            )
            for dish in DISHES
        }

    def sample(self, rng: Streams, n: int, split: Split) -> SoakTask:
        """Draw slices and dishes; cells of the time are held out, far takes longer."""
        dish = rng.uniform([DISH_X[0], DISH_Y[0]], [DISH_X[1], DISH_Y[1]], size=2)
        size = rng.uniform(*SIZE_M, size=3)
        soak = draw(rng, split, *SOAK_S, far=FAR_S)
        mass, friction = rng.uniform(*MASS_KG), rng.uniform(*FRICTION)
        return SoakTask(dish, size, mass, friction, soak, rng.integers(len(DISHES)))

    def in_split(self, task: SoakTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        far = task.soak_s > SOAK_S[1]
        held = is_held_out(task.soak_s, *SOAK_S)
        return {"train": ~far & ~held, "test": ~far & held, "far": far}[split]

    def reset(self, worlds: Scene, ids: np.ndarray, task: SoakTask, rng: Streams) -> None:
        """Lay a dry slice into the egg, hold the hand above it."""
        dish = _dish(task)
        worlds.mocap_pos(dish.vessel)[ids] = np.column_stack(
            [task.dish_m, np.full(len(ids), dish.surface_m - SUNK_M)]
        )
        self.lay(worlds, ids, task, rng, task.dish_m, dish.surface_m)
        self._paint(worlds, ids, BREAD.stops)

    def lowest_m(self, task: SoakTask) -> float:
        """No deeper than the dish."""
        return _dish(task).surface_m

    def advance(self, worlds: Scene, task: SoakTask) -> None:
        """Let the side that lies in the egg soak."""
        state, dt = worlds.userdata, self.control_dt_s
        lies, on_first = self._lies_in(worlds, task), self._up(worlds) > 0.0
        for side, below in ((FIRST, on_first), (SECOND, ~on_first)):
            more = np.where(lies & below, dt * GOLDEN / task.soak_s, 0.0)
            state[:, side] = np.minimum(state[:, side] + more, 1.0)
        state[:, LAIN] += dt * (lies & on_first)
        self._paint(worlds, slice(None), BREAD.stops)

    def things(self, worlds: Scene, task: SoakTask) -> np.ndarray:
        """The slice, the dish, how far its upper side has soaked, how long the first one has lain."""
        state = worlds.userdata
        seen = np.where(self._up(worlds) > 0.0, state[:, SECOND], state[:, FIRST])
        return self.see_piece(worlds, task, task.dish_m, seen / GOLDEN, state[:, LAIN])

    def terms(self, worlds: Scene, task: SoakTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Reach the slice; let its first side soak; turn it over, neither too early nor late."""
        inside, up = self._inside(worlds, task.dish_m), self._up(worlds)
        turned = np.where(inside, 0.5 - 0.5 * up, 0.0)
        away = distance(self._end(worlds, task), worlds.site_pos("grip"))
        error = np.abs(worlds.userdata[:, LAIN] / task.soak_s - 1.0)
        return {
            "reach": np.maximum(closeness(away, 0.2), turned),
            "soaked": inside * closeness(error, 1.0),
            "turn": turned,
            "lies": (self._lies_in(worlds, task) & (up < 0.0)).astype(float),
            "miss": turned * error,
        }

    def success(self, worlds: Scene, task: SoakTask) -> np.ndarray:
        """It lies upside down, slower than 0.05 m/s; its first side soaked within 0.1 s of enough."""
        soaked = np.abs(worlds.userdata[:, LAIN] - task.soak_s) < SLACK_S
        lies = self._lies_in(worlds, task) & (self._up(worlds) < 0.0)
        return lies & (self._speed(worlds) < 0.05) & soaked

    def caption(self, worlds: Scene, task: SoakTask) -> list[str]:
        """How far the first side has soaked, and whether it still lies below."""
        share = 100.0 * worlds.userdata[:, LAIN] / task.soak_s
        return [
            f"first side soaked {percent:.0f}%" + ("  ·  turned over" if up < 0.0 else "")
            for percent, up in zip(share, self._up(worlds))
        ]

    def hand_expert(self, worlds: Scene, task: SoakTask) -> np.ndarray:
        """Turn it over when its first side will have soaked."""
        due = worlds.userdata[:, LAIN] + 0.1 > task.soak_s  # it leaves the egg in 0.1 s
        return self.turn_over(worlds, task, _dish(task).surface_m, due)

    def _lies_in(self, worlds: Scene, task: SoakTask) -> np.ndarray:
        return self._lies(worlds, task, task.dish_m, _dish(task).surface_m)


def _dish(task: SoakTask) -> Dish:
    """The dish of a scene's tasks, which share one."""
    return DISHES[int(task.model[0])]


def _stand(dish: Dish) -> str:
    half = dish.surface_m / 2
    return f"""
<geom name="{dish.stand}" type="box" size=".15 .30 {half}" pos=".54 0 {half}" material="{_LOOKS[dish.stand]}" class="fixed"/>"""


def _vessel(dish: Dish) -> str:
    wall_m, material, handle = _WALLS[dish.vessel]
    text = vessel(dish.vessel, RADIUS_M, wall_m, material, handle=handle)
    text = text.replace('class="fixed"', 'class="show"', 1)  # its bottom
    return text.replace("</body>", _EGG + "</body>")
