"""Heat a stove: take its knob and turn it to the heat that a dish needs."""

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
from metarl_kitchen.furniture import KNOB_M, OFF_YAW_RAD, knob
from metarl_kitchen.kitchen import KitchenFamily

OVER_M = 0.12
NEAR_RAD, HOLD_STEPS = 0.12, 4  # a twentieth of the dial, for 0.2 s
HELD = NUM_USERDATA  # control steps since the knob came near [1]

KNOB_X, KNOB_Y = (0.42, 0.58), (-0.16, 0.16)  # [m]
TARGET_RAD, FAR_RAD = (0.4, 2.1), (2.15, 2.4)
STIFFNESS = (0.0, 0.25)  # [N m / rad]

STOVE = f"""
<body name="stove" mocap="true">
  <geom type="box" size=".15 .15 .006" pos="0 .24 .006" material="hob" class="show"/>
  <geom name="burner" type="cylinder" size=".10 .002" pos="0 .24 .0125" material="glow" class="show"/>
  <geom type="cylinder" size=".095 .004" pos="0 .24 .018" material="iron" class="show"/>
  {knob('stiffness=".1"')}
</body>"""


@dataclass(frozen=True)
class HeatTask:
    """Where the knob is, how it turns, and how far it must."""

    knob_m: np.ndarray = varies(
        "m", (KNOB_X[0], KNOB_Y[0]), (KNOB_X[1], KNOB_Y[1]), hidden=False, doc="place of the knob"
    )
    target_rad: np.ndarray = varies(
        "rad", TARGET_RAD[0], FAR_RAD[1], hidden=True, doc="the heat that is wanted"
    )
    stiffness: np.ndarray = varies(
        "N m/rad", *STIFFNESS, hidden=True, doc="the spring that turns the knob back"
    )


@register("kitchen/heat")
class Heat(KitchenFamily[HeatTask]):
    """Turn the stove's knob to the heat that a dish needs."""

    task_type = HeatTask
    weights = {"reach": 0.5, "turn": 1.0, "rest": 0.3}
    floor_m = KNOB_M - 0.005

    def models(self) -> dict[str, Any]:
        """A stove with one knob; a spring turns it back when it is let go."""
        return {"kitchen": self.scene(STOVE, num_userdata=NUM_USERDATA + 1)}

    def sample(self, rng: Streams, n: int, split: Split) -> HeatTask:
        """Draw stoves; cells of the target are held out, far lies beyond its range."""
        knob = rng.uniform([KNOB_X[0], KNOB_Y[0]], [KNOB_X[1], KNOB_Y[1]], size=2)
        target = draw(rng, split, *TARGET_RAD, far=FAR_RAD)
        return HeatTask(knob, target, rng.uniform(*STIFFNESS))

    def in_split(self, task: HeatTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        far = task.target_rad > TARGET_RAD[1]
        held = is_held_out(task.target_rad, *TARGET_RAD)
        return {"train": ~far & ~held, "test": ~far & held, "far": far}[split]

    def configure(self, worlds: Scene, ids: np.ndarray, task: HeatTask) -> None:
        """Give each knob its spring."""
        joint = worlds.id("joint", "knob")
        worlds.model_field("jnt_stiffness")[ids, joint] = task.stiffness

    def reset(self, worlds: Scene, ids: np.ndarray, task: HeatTask, rng: Streams) -> None:
        """Put the stove in its place, off, and the hand above the counter."""
        worlds.mocap_pos("stove")[ids] = np.column_stack([task.knob_m, np.zeros(len(ids))])
        start = np.array([0.50, 0.0, 0.20]) + rng.uniform(-0.03, 0.03, size=3)
        self.robot.place(worlds, ids, start, yaw_rad=OFF_YAW_RAD)
        worlds.userdata[ids, HELD] = 0.0

    def advance(self, worlds: Scene, task: HeatTask) -> None:
        """Count for how long the knob has been near the wanted angle."""
        near = self._error(worlds, task) < NEAR_RAD
        worlds.userdata[:, HELD] = np.where(near, worlds.userdata[:, HELD] + 1.0, 0.0)

    def things(self, worlds: Scene, task: HeatTask) -> np.ndarray:
        """The hand, and the knob: where it is, how far it is turned, how it fits the hand."""
        angle, speed = worlds.joint_pos("knob"), worlds.joint_vel("knob")
        offset = np.clip((self._handle(worlds) - worlds.site_pos("grip")) / 0.1, -8.0, 8.0)
        misfit = self.robot.angles(worlds)[:, :1] - OFF_YAW_RAD - angle
        knob = np.concatenate([offset, angle - 1.2, speed / 3.0, misfit], axis=1)
        return knob

    def terms(self, worlds: Scene, task: HeatTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Hold the knob; have it at the wanted angle, and at rest there."""
        away = distance(self._handle(worlds), worlds.site_pos("grip"))
        error = self._error(worlds, task)
        return {
            "reach": closeness(away, 0.3) - 1.0,
            "turn": closeness(error, 1.0) - error / 2.5,
            "rest": np.where(
                error < 0.3, closeness(worlds.joint_vel("knob")[:, 0], 2.0) - 1.0, 0.0
            ),
        }

    def success(self, worlds: Scene, task: HeatTask) -> np.ndarray:
        """Within 0.12 rad of the wanted angle (a twentieth of the dial) for the last 0.2 s."""
        return worlds.userdata[:, HELD] >= HOLD_STEPS

    def caption(self, worlds: Scene, task: HeatTask) -> list[str]:
        """The knob's angle, and the wanted one."""
        angles = np.degrees(np.stack([worlds.joint_pos("knob")[:, 0], task.target_rad], axis=1))
        return [f"knob at {angle:.0f}° of {wanted:.0f}° wanted" for angle, wanted in angles]

    def hand_expert(self, worlds: Scene, task: HeatTask) -> np.ndarray:
        """Go above the knob, come down astride its ridge, close, turn."""
        action = np.zeros((worlds.num_worlds, 6))
        goal, hand = self._handle(worlds).copy(), worlds.site_pos("grip")
        beside = distance(goal[:, :2], hand[:, :2])
        goal[:, 2] = np.where(beside < 0.008, KNOB_M, OVER_M)
        action[:, :3] = self.robot.steer(
            worlds,
            goal + np.where(beside < 0.03, 0.5, 0.0)[:, None] * np.r_[1, 1, 0] * (goal - hand),
        )
        held = hand[:, 2] < KNOB_M + 0.012
        missing = task.target_rad - worlds.joint_pos("knob")[:, 0]
        action[:, 3] = np.where(held, np.clip(0.6 * missing / STEP_RAD, -1.0, 1.0), 0.0)
        action[:, 5] = np.where(held, 1.0, -1.0)
        return action

    @staticmethod
    def _handle(worlds: Scene) -> np.ndarray:
        return worlds.body_pos("knob") + [0.0, 0.0, KNOB_M]

    @staticmethod
    def _error(worlds: Scene, task: HeatTask) -> np.ndarray:
        return np.abs(worlds.joint_pos("knob")[:, 0] - task.target_rad)
