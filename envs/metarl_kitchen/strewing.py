"""What letting something fall into a pot has in common, however it leaves the hand: where it falls."""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeVar

import numpy as np

from metarl.rewards import closeness, distance
from metarl.robots.robot import NUM_USERDATA
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split
from metarl_kitchen.cells import is_held_out
from metarl_kitchen.kitchen import KitchenFamily, beside

IN_POT, SPILLED, RATE = NUM_USERDATA, NUM_USERDATA + 1, NUM_USERDATA + 2  # [g], [g], [g/step]
HOVER_M = 0.24

POT_X, POT_Y, FAR_Y = (0.40, 0.60), (-0.20, 0.20), (0.21, 0.27)  # [m]
WANTED_G, FAR_G = (3.0, 8.0), (8.2, 9.5)
COARSENESS = (0.8, 1.2)


class Wanted(Protocol):
    """What every task of strewing says.

    Attributes:
        pot_m: Place of the pot [m], (n, 2).
        wanted_g: How much it wants [g], (n,).
    """

    @property
    def pot_m(self) -> np.ndarray: ...
    @property
    def wanted_g(self) -> np.ndarray: ...


Task = TypeVar("Task", bound=Wanted)


class Strewing(KitchenFamily[Task]):
    """A family that lets something fall from a tool's mouth into a pot, the wanted amount of it.

    Attributes:
        pot_radius_m: Of the pot [m].
        start_m: Where the hand begins [m].
        what: What falls.
    """

    weights = {"near": 0.5, "amount": 1.0, "spill": -0.25}
    floor_m = 0.17
    still = ("grip",)  # the fingers never let the tool go
    pot_radius_m: ClassVar[float]
    start_m: ClassVar[tuple[float, float, float]]
    what: ClassVar[str]

    def in_split(self, task: Task, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool: by the pot's y."""
        y = task.pot_m[:, 1]
        far = np.abs(y) > POT_Y[1]
        held = is_held_out(y, *POT_Y)
        return {"train": ~far & ~held, "test": ~far & held, "far": far}[split]

    def reset(self, worlds: Scene, ids: np.ndarray, task: Task, rng: Streams) -> None:
        """Put the pot in its place and the hand near its home."""
        worlds.mocap_pos("pot")[ids] = np.column_stack([task.pot_m, np.zeros(len(ids))])
        start = np.array(self.start_m) + rng.uniform(-0.03, 0.03, size=3)
        self.robot.place(worlds, ids, start, opening=self.holding)
        worlds.userdata[ids, IN_POT:] = 0.0

    def fall(self, worlds: Scene, task: Task, grams: np.ndarray) -> None:
        """Let grams of this control step, (N,), fall where the mouth is."""
        over = self._offset(worlds, task) < self.pot_radius_m
        worlds.userdata[:, IN_POT] += np.where(over, grams, 0.0)
        worlds.userdata[:, SPILLED] += np.where(over, 0.0, grams)
        worlds.userdata[:, RATE] = grams

    def terms(self, worlds: Scene, task: Task, action: np.ndarray) -> dict[str, np.ndarray]:
        """Be near the pot, have the wanted amount in it, spill nothing."""
        away = self._offset(worlds, task)
        spilled = np.where(away < self.pot_radius_m, 0.0, worlds.userdata[:, RATE])
        return {
            "near": closeness(away, 0.45) - 1.0,
            "amount": closeness(worlds.userdata[:, IN_POT] - task.wanted_g, 4.0),
            "spill": spilled,
        }

    def caption(self, worlds: Scene, task: Task) -> list[str]:
        """What is in the pot, what is wanted, and what fell beside it."""
        amounts = zip(worlds.userdata[:, IN_POT], task.wanted_g, worlds.userdata[:, SPILLED])
        return [
            f"{self.what} {grams:.1f} of {wanted:.1f} g{beside(spilled, 'g')}"
            for grams, wanted, spilled in amounts
        ]

    @staticmethod
    def _left(worlds: Scene) -> np.ndarray:
        """What has left the tool, wherever it fell [g], (N,)."""
        return worlds.userdata[:, IN_POT] + worlds.userdata[:, SPILLED]

    @staticmethod
    def _offset(worlds: Scene, task: Task) -> np.ndarray:
        return distance(worlds.site_pos("mouth")[:, :2], task.pot_m)
