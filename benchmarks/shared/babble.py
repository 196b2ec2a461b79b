"""A skill that is none: the hand goes wherever it is told, one place after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from metarl_kitchen.kitchen import KitchenFamily

from metarl.errors import ConfigError, unknown
from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.robots.robot import NUM_USERDATA, STEP_RAD
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, varies

GOAL, TIMER = slice(NUM_USERDATA, NUM_USERDATA + 6), NUM_USERDATA + 6
STEPS = 12  # control steps until the next place, at an even pace
LONGEST = 16  # at a varied one
# Place [m], yaw and tilt [rad], opening.
LOW = np.array([0.36, -0.27, 0.00, -1.4, -0.2, 0.0])  # the place's height is set
HIGH = np.array([0.64, 0.27, 0.42, 1.4, 1.3, 1.0])
PACES = ("even", "varied")


@dataclass(frozen=True)
class BabbleTask:
    """Where it begins."""

    first: np.ndarray = varies(
        "1", 0.0, 1.0, hidden=False, doc="decides the first place, and so all others"
    )


@register("babble/reach")
class Babble(KitchenFamily[BabbleTask]):
    """Bring the hand to a place, turned and opened as told, then to the next.

    Args:
        lowest: How low places lie, at least [cm].
        pace: ``even``, or ``varied``: one place is left at once, and another only after a while.
        robot: As of every kitchen family.
        control: Likewise.
    """

    task_type = BabbleTask
    weights = {"near": 1.0}

    def __init__(
        self,
        *,
        robot: str = "panda",
        control: str = "hand",
        lowest: str = "7",
        pace: str = "even",
    ):
        super().__init__(robot=robot, control=control)
        if pace not in PACES:
            raise ConfigError(unknown("pace", pace, PACES))
        self._varied = pace == "varied"
        self._low = LOW + np.eye(6)[2] * float(lowest) / 100.0

    def models(self) -> dict[str, Any]:
        """The arm alone."""
        return {"kitchen": self.scene("", num_userdata=NUM_USERDATA + 7)}

    def sample(self, rng: Streams, n: int, split: Split) -> BabbleTask:
        """Draw beginnings; those of test lie between two thirds and 1."""
        low, high = {"train": (0.0, 0.66), "test": (0.67, 0.9), "far": (0.91, 1.0)}[split]
        return BabbleTask(rng.uniform(low, high))

    def in_split(self, task: BabbleTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        low, high = {"train": (0.0, 0.665), "test": (0.665, 0.905), "far": (0.905, 2.0)}[split]
        return (task.first >= low) & (task.first < high)

    def reset(self, worlds: Scene, ids: np.ndarray, task: BabbleTask, rng: Streams) -> None:
        """Put the hand near its home, and choose the first place."""
        start = np.array([0.50, 0.0, 0.24]) + rng.uniform(-0.03, 0.03, size=3)
        self.robot.place(worlds, ids, start)
        worlds.userdata[ids, GOAL] = _next(task.first[:, None] + np.arange(6) * 0.137)
        worlds.userdata[ids, TIMER] = 0.0

    def advance(self, worlds: Scene, task: BabbleTask) -> None:
        """Choose another place when it is time."""
        worlds.userdata[:, TIMER] += 1.0
        goal = worlds.userdata[:, GOAL]
        due = worlds.userdata[:, TIMER] >= self._stays(goal)
        worlds.userdata[:, GOAL] = np.where(due[:, None], _next(goal), goal)
        worlds.userdata[:, TIMER] = np.where(due, 0.0, worlds.userdata[:, TIMER])

    def things(self, worlds: Scene, task: BabbleTask) -> np.ndarray:
        """The place, the turn and the opening that are wanted now, each -1 to 1."""
        return 2.0 * worlds.userdata[:, GOAL] - 1.0

    def terms(self, worlds: Scene, task: BabbleTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Be near."""
        return {"near": closeness(self._away(worlds), 0.2)}

    def success(self, worlds: Scene, task: BabbleTask) -> np.ndarray:
        """Within 3 cm."""
        return (self._away(worlds) < 0.03) & (worlds.userdata[:, TIMER] > 8)

    def hand_expert(self, worlds: Scene, task: BabbleTask) -> np.ndarray:
        """Go there."""
        goal = self._wanted(worlds)
        action = np.zeros((worlds.num_worlds, 6))
        action[:, :3] = self.robot.steer(worlds, goal[:, :3])
        turn = goal[:, 3:5] - self.robot.target_angles(worlds)
        action[:, 3:5] = np.clip(turn / STEP_RAD, -1.0, 1.0)
        action[:, 5] = np.clip(4.0 * (self.robot.opening(worlds) - goal[:, 5]), -1.0, 1.0)
        return action

    def _stays(self, goal: np.ndarray) -> np.ndarray | int:
        """For how many control steps a place is wanted, more often for few than for many."""
        return 1 + np.floor(LONGEST * _next(goal[:, 0]) ** 2) if self._varied else STEPS

    def _away(self, worlds: Scene) -> np.ndarray:
        return distance(self._wanted(worlds)[:, :3], worlds.site_pos("grip"))

    def _wanted(self, worlds: Scene) -> np.ndarray:
        return self._low + worlds.userdata[:, GOAL] * (HIGH - self._low)


def _next(share: np.ndarray) -> np.ndarray:
    """The next of a sequence that looks drawn, each in [0, 1)."""
    return (share * 97.31 + 0.2718) % 1.0
