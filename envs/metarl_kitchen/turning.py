"""What turning a piece over has in common, wherever it lies: the piece, its grip, how a hand does it."""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeVar

import numpy as np

from metarl.rewards import distance
from metarl.robots.robot import STEP_RAD
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl_kitchen.cooking import colours
from metarl_kitchen.kitchen import KitchenFamily

RADIUS_M = 0.10  # of the vessel
GRIP = 0.65  # where the fingers hold the piece, from its middle 0 to its end 1

# A slice of carrot on each side: held there, between two slightly curved faces, the piece swings.
# The slices' own friction and stiffness count on the fingers (priority).
_CARROT = (
    '<geom name="{}" type="ellipsoid" size=".0105 .004 .0105" mass=".001" rgba=".95 .48 .10 1"'
    ' class="thing" contype="0" conaffinity="2" priority="1" friction="1 .0002 .0001" solimp=".97 .99 .002"/>'
)
PIECE = f"""
<body name="piece" pos=".53 0 .2">
  <freejoint name="piece"/>
  <geom name="piece" type="box" size=".029 .017 .0105" mass=".05" rgba=".95 .90 .78 1" class="thing" friction="1 .005 .0001"/>
  {_CARROT.format("left")}
  {_CARROT.format("right")}
  <geom name="first" type="box" size=".029 .017 .003" class="show"/>
  <geom name="second" type="box" size=".029 .017 .003" class="show"/>
</body>"""


class Piece(Protocol):
    """What every task of turning says of its piece.

    Attributes:
        size_m: Half edges [m], (n, 3).
        mass_kg: Its mass [kg], (n,).
        friction: Its sliding friction [1], (n,).
    """

    @property
    def size_m(self) -> np.ndarray: ...
    @property
    def mass_kg(self) -> np.ndarray: ...
    @property
    def friction(self) -> np.ndarray: ...


Task = TypeVar("Task", bound=Piece)


class Turning(KitchenFamily[Task]):
    """A family that lays a piece into a vessel and has it turned over.

    Attributes:
        sides: The columns of userdata that say how far each side is, the one that lies below first.
    """

    horizon = 60
    film_camera = "close"
    still = ("tilt",)  # the hand points straight down
    sides: ClassVar[tuple[int, int]]

    def configure(self, worlds: Scene, ids: np.ndarray, task: Task) -> None:
        """Give the piece its size, mass, inertia and friction; all that is on it follows."""
        size, place = worlds.model_field("geom_size"), worlds.model_field("geom_pos")
        friction = worlds.model_field("geom_friction")
        length, width, thick = task.size_m.T
        piece, body = worlds.id("geom", "piece"), worlds.id("body", "piece")
        size[ids, piece] = task.size_m
        friction[ids, piece, 0] = task.friction
        for name, sign in (("left", 1.0), ("right", -1.0)):
            slice_ = worlds.id("geom", name)
            size[ids, slice_, 0] = size[ids, slice_, 2] = thick
            place[ids, slice_, :2] = np.stack([GRIP * length, sign * width], axis=1)
            friction[ids, slice_, 0] = task.friction
        for name, sign in (("first", -1.0), ("second", 1.0)):
            side = worlds.id("geom", name)
            size[ids, side] = task.size_m * [1.0, 1.0, 0.2] + 0.0003  # a skin on the piece
            place[ids, side, 2] = sign * 0.8 * thick
        square = task.size_m**2
        others = square.sum(axis=1, keepdims=True) - square
        worlds.model_field("body_mass")[ids, body] = task.mass_kg
        worlds.model_field("body_inertia")[ids, body] = task.mass_kg[:, None] * others / 3.0

    def lay(
        self, worlds: Scene, ids: np.ndarray, task: Task, rng: Streams, vessel_m: np.ndarray,
        surface_m: float,
    ) -> None:  # fmt: skip
        """Lay the piece into the vessel and hold the hand above it; nothing has happened to it.

        Args:
            worlds: The scene.
            ids: Worlds that begin.
            task: Theirs.
            rng: Their streams.
            vessel_m: The vessel's middle [m], (n, 2).
            surface_m: Height of what the piece lies on [m].
        """
        n = len(ids)
        place = vessel_m + [0.015, 0.0] + rng.uniform(-0.01, 0.01, size=2)
        turn, flat = rng.uniform(-0.25, 0.25) / 2.0, np.zeros(n)
        height = surface_m + task.size_m[:, 2]
        worlds.joint_pos("piece")[ids] = np.column_stack(
            [place, height, np.cos(turn), flat, flat, np.sin(turn)]
        )
        start = np.array([0.53, 0.0, 0.22]) + rng.uniform(-0.02, 0.02, size=3)
        self.robot.place(worlds, ids, start)
        worlds.userdata[ids, self.sides[0] :] = 0.0

    def see_piece(
        self, worlds: Scene, task: Task, vessel_m: np.ndarray, done: np.ndarray, lain_s: np.ndarray
    ) -> np.ndarray:
        """Its end from the hand, place, motion, axes, the vessel, its upper side, how long it lay.

        Args:
            worlds: The scene.
            task: Its tasks.
            vessel_m: The vessel's middle [m], (N, 2).
            done: How far the side that shows is, 1 when it is right, (N,).
            lain_s: For how long the first side has lain below [s], (N,).
        Returns:
            (N, 19).
        """
        mat = worlds.body_mat("piece")
        place = np.clip((worlds.body_pos("piece") - [0.53, 0.0, 0.15]) / 0.1, -8.0, 8.0)
        away = np.clip((self._end(worlds, task) - worlds.site_pos("grip")) / 0.1, -8.0, 8.0)
        speed = np.clip(worlds.joint_vel("piece")[:, :3], -8.0, 8.0)
        vessel = (vessel_m - [0.53, 0.0]) / 0.1
        sides = np.stack([done, lain_s], axis=1)
        axes = mat[:, [0, 3, 6, 2, 5, 8]]
        return np.concatenate([away, place, speed, axes, vessel, sides], axis=1)

    def turn_over(self, worlds: Scene, task: Task, surface_m: float, due: np.ndarray) -> np.ndarray:
        """Take the far end, wait, lift until the piece hangs, lay it down the other way.

        Args:
            worlds: The scene.
            task: Its tasks.
            surface_m: Height of what the piece lies on [m].
            due: Whether its first side has lain there for long enough, (N,) bool.
        Returns:
            Actions in hand space, (N, 6).
        """
        action = np.zeros((worlds.num_worlds, 6))
        hand, end, mat = worlds.site_pos("grip"), self._end(worlds, task), worlds.body_mat("piece")
        length, up = mat[:, [0, 3, 6]], mat[:, [2, 5, 8]]
        turned = np.arctan2(length[:, 2], up[:, 2])  # 0 as it lay, pi when flipped
        turned = np.where(turned < -1.0, turned + 2.0 * np.pi, turned)
        ahead = np.cos(turned)[:, None] * length - np.sin(turned)[:, None] * up
        opening, opens = self.robot.opening(worlds), self.robot.opening_speed(worlds)
        beside, above = distance(end[:, :2], hand[:, :2]), np.abs(hand[:, 2] - end[:, 2])
        quiet = np.abs(worlds.sensor("hand_velocity")).max(axis=1) < 0.1
        arrived = (beside < 0.005) & (above < 0.006) & quiet
        closing = arrived | ((beside < 0.012) & (above < 0.009) & (opening < 0.7))
        held = closing & (opening < 0.65) & (np.abs(opens) < 0.5)
        go = (held & due) | (turned > 0.3)
        over = (turned > 2.5) & (end[:, 2] < surface_m + 0.025)
        # over the end, down to it
        thick = task.size_m[:, 2]
        goal = end.copy()
        goal[:, 2] = surface_m + thick - 0.001 + np.where((beside < 0.008) | closing, 0.0, 0.045)
        goal += np.where(beside < 0.03, 0.4, 0.0)[:, None] * (goal - hand)
        # up, no faster than the tail comes round
        tail = (1.0 + GRIP) * task.size_m[:, 0]
        lift = surface_m + thick + tail * np.sin(np.clip(turned + 0.5, 0.0, 1.5))
        goal = np.where(go[:, None], np.column_stack([hand[:, :2], lift]), goal)
        # over the tail's lower edge, and down
        edge = worlds.body_pos("piece") - task.size_m[:, :1] * length + thick[:, None] * up
        then = np.minimum(turned + 0.5, np.pi)
        lean = edge + (tail * np.cos(then) + thick * np.sin(then))[:, None] * ahead
        lean[:, 2] = surface_m + np.maximum(tail * np.sin(then) - thick * np.cos(then), thick)
        goal = np.where((turned > 1.3)[:, None], lean, goal)
        # let go, and away
        away = np.column_stack([hand[:, :2], np.full(len(goal), surface_m + 0.08)])
        goal = np.where((over & (opening > 0.6))[:, None], away, goal)
        action[:, :3] = self.robot.steer(worlds, goal)
        waits = closing & (opening < 0.6) & ~go
        action[waits, :2] = 0.0
        angles = np.stack([-np.arctan2(ahead[:, 1], ahead[:, 0]), np.zeros(len(goal))], axis=1)
        turn = (angles - self.robot.target_angles(worlds)) / STEP_RAD
        action[:, 3:5] = np.clip(turn, -1.0, 1.0)
        action[waits | go | over, 3] = 0.0
        action[:, 5] = np.where(over, -1.0, np.where(closing | go, 1.0, -0.5))
        return action

    @staticmethod
    def _up(worlds: Scene) -> np.ndarray:
        """1 as the piece lay at first, -1 upside down."""
        return worlds.body_mat("piece")[:, 8]

    @staticmethod
    def _end(worlds: Scene, task: Task) -> np.ndarray:
        """Where the fingers hold the piece [m], (N, 3)."""
        length = worlds.body_mat("piece")[:, [0, 3, 6]]
        return worlds.body_pos("piece") + GRIP * task.size_m[:, :1] * length

    @staticmethod
    def _inside(worlds: Scene, vessel_m: np.ndarray) -> np.ndarray:
        return distance(worlds.body_pos("piece")[:, :2], vessel_m) < RADIUS_M

    def _lies(
        self, worlds: Scene, task: Task, vessel_m: np.ndarray, surface_m: float
    ) -> np.ndarray:
        height = worlds.body_pos("piece")[:, 2] - surface_m - task.size_m[:, 2]
        flat = np.abs(self._up(worlds)) > 0.97
        return self._inside(worlds, vessel_m) & flat & (np.abs(height) < 0.003)

    @staticmethod
    def _speed(worlds: Scene) -> np.ndarray:
        return np.sqrt((worlds.joint_vel("piece")[:, :3] ** 2).sum(axis=1))

    def _paint(self, worlds: Scene, ids: np.ndarray | slice, stops: np.ndarray) -> None:
        rgba = worlds.model_field("geom_rgba")
        for name, side in zip(("first", "second"), self.sides):
            rgba[ids, worlds.id("geom", name), :3] = colours(worlds.userdata[ids, side], stops)
