"""What every kitchen family shares: the robot, its actions, its camera."""

from __future__ import annotations

import math
from typing import Any, ClassVar, TypeVar

import numpy as np

from metarl.errors import ConfigError, FamilyError
from metarl.family import TaskFamily
from metarl.registry import robot_class, robot_names
from metarl.robots.robot import Robot
from metarl.sim.scene import Scene
from metarl_kitchen.furniture import TIME_STEP_S, kitchen_mjcf
from metarl_kitchen.robots.outside import MjcfRobot

Task = TypeVar("Task")

# Hand-space actions that a family may hold still: their number, and their column of `robot`.
_IDLE = {"tilt": (4, 7), "grip": (5, 8)}


class KitchenFamily(TaskFamily[Task]):
    """A skill of a robot with a gripper.

    In hand space every robot takes the same six actions (dx, dy, dz, yaw, tilt, grip); in joint
    space one for each of its joints, and the grip.

    Args:
        robot: Name of a registered robot, or the path of an MJCF file.
        control: ``hand`` or ``joint``.
        site: Of a robot from a file: a site on its hand; by default the only one.
        home: Likewise: the joints' positions at home [rad or m], separated by ``:``; by default
            those of its keyframe ``home``, or found by inverse kinematics.
    Attributes:
        floor_m: Lowest place of the hand's target in hand space [m].
        still: What the hand does not do here, of ``tilt`` and ``grip``.
        holding: Opening of a grip that is still, 0 closed to 1 open.
    Raises:
        UnknownNameError: If no robot has the name.
        ConfigError: If the control is unknown, or site or home do not fit the file.
    """

    horizon = 50
    control_dt_s = 0.05
    film_camera = "film"
    cameras = ("front", "film", "top")
    floor_m: ClassVar[float] = float(Robot.workspace[0, 2])
    still: ClassVar[tuple[str, ...]] = ()
    holding: ClassVar[float] = 0.5

    def __init__(
        self, *, robot: str = "panda", control: str = "hand", site: str = "", home: str = ""
    ):
        self.robot = make_robot(robot, control, site, home)
        hand = control == "hand"
        self._still = tuple(name for name in self.still if hand or name == "grip")
        still = {_IDLE[name][1] for name in self._still}
        self._moving = tuple(k for k in range(len(self.robot.columns())) if k not in still)
        idle = {"tilt": 4, "grip": self.robot.num_actions - 1}
        self.idle_actions = tuple(idle[name] for name in self._still)

    def scene(
        self,
        things: str,
        *,
        held: str = "",
        num_userdata: int,
        extra: str = "",
        time_step_s: float = TIME_STEP_S,
        listed: bool = False,
    ) -> Any:
        """Build a whole scene: the room, the robot, and a family's own things.

        Args:
            things: Bodies of the family.
            held: What is fixed to the hand.
            num_userdata: Columns of state beyond physics.
            extra: More sections (equalities, assets), as MJCF.
            time_step_s: Length of a physics step [s], unless the robot needs a shorter one.
            listed: Only the pairs of geoms that `extra` lists may touch.
        """
        time_step_s = min(time_step_s, self.robot.longest_step_s)
        text = kitchen_mjcf(
            self.robot, things, held=held, num_userdata=num_userdata, extra=extra,
            time_step_s=time_step_s, listed=listed,
        )  # fmt: skip
        return self.robot.finish(text, held)

    def action_dim(self, num_actuators: int) -> int:
        """Those of the robot, whatever the number of actuators."""
        return self.robot.num_actions

    def act(self, worlds: Scene, task: Task, action: np.ndarray) -> None:
        """Move the targets of hand or joints; what is still stays."""
        if "tilt" in self._still:
            action = action.copy()
            action[:, _IDLE["tilt"][0]] = 0.0
        opening = self.holding if "grip" in self._still else None
        self.robot.drive(worlds, action, floor_m=self.lowest_m(task), opening=opening)

    def lowest_m(self, task: Task) -> float:
        """Lowest place of the hand's target in hand space [m], for a scene's tasks: `floor_m`."""
        return self.floor_m

    def observe(self, worlds: Scene, task: Task) -> dict[str, np.ndarray]:
        """The robot, and the things that a family sees."""
        return {"robot": self.observe_robot(worlds), "object": self.things(worlds, task)}

    def things(self, worlds: Scene, task: Task) -> np.ndarray:
        """The ``object`` block, (N, D)."""
        raise FamilyError(f"{type(self).__name__} does not define things()")

    def observe_robot(self, worlds: Scene) -> np.ndarray:
        """The ``robot`` block without what is still."""
        whole = self.robot.observe(worlds)
        return whole.take(self._moving, axis=1) if self._still else whole

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Of the robot: what moves."""
        names = self.robot.columns()
        return {"robot": tuple(names[column] for column in self._moving)}

    def expert(self, worlds: Scene, task: Task) -> np.ndarray:
        """Do with any robot what `hand_expert` does with its hand, (N, A)."""
        return self.robot.follow(worlds, self.hand_expert(worlds, task))

    def hand_expert(self, worlds: Scene, task: Task) -> np.ndarray:
        """Return scripted actions in hand space, (N, 6); it may look at hidden fields."""
        raise FamilyError(f"{type(self).__name__} does not define hand_expert()")

    @classmethod
    def has_expert(cls) -> bool:
        """Whether the family scripts an expert."""
        return cls.hand_expert is not KitchenFamily.hand_expert


def make_robot(robot: str, control: str = "hand", site: str = "", home: str = "") -> Robot:
    """Build a registered robot, or one from an MJCF file; see `KitchenFamily`."""
    if _is_path(robot):
        return MjcfRobot(control, path=robot, site=site, home=_positions(home))
    if site or home:
        raise ConfigError(f"site and home belong to a robot from an MJCF file, not to {robot!r}")
    return robot_class(robot)(control)


def _is_path(robot: str) -> bool:
    return robot not in robot_names() and any(mark in robot for mark in "./\\~")


def _positions(home: str) -> list[float]:
    if not home:
        return []
    try:
        found = [float(part) for part in home.split(":")]
    except ValueError:
        found = [math.nan]
    if not all(math.isfinite(position) for position in found):
        raise ConfigError(
            f"home is {home!r}; expected the joints' positions [rad or m], as in 0:-1.5:1.5"
        )
    return found


def beside(amount: float, unit: str) -> str:
    """What a caption says of what fell beside a pot: nothing, if that is nothing."""
    return f"  ·  {amount:.1f} {unit} beside it" if amount >= 0.05 else ""
