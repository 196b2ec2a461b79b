"""What every kitchen family shares: the arm, its actions, its camera."""

from __future__ import annotations

from typing import ClassVar, TypeVar

import numpy as np

from metarl.family import TaskFamily
from metarl.sim.scene import Scene
from metarl_kitchen.arm import NUM_ACTIONS, WORKSPACE, drive_hand

Task = TypeVar("Task")


class KitchenFamily(TaskFamily[Task]):
    """A skill of the arm: six actions (dx, dy, dz, yaw, tilt, grip).

    Attributes:
        floor_m: Lowest place of the hand's target [m].
    """

    horizon = 50
    control_dt_s = 0.05
    film_camera = "film"
    cameras = ("film", "top")
    floor_m: ClassVar[float] = float(WORKSPACE[0, 2])

    def action_dim(self, num_actuators: int) -> int:
        """Six, whatever the number of actuators."""
        return NUM_ACTIONS

    def act(self, worlds: Scene, task: Task, action: np.ndarray) -> None:
        """Move the hand's targets."""
        drive_hand(worlds, action, floor_m=self.floor_m)
