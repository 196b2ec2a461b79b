"""Arms with a gripper behind one interface: hand space for all, joint space for each its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import mujoco
import numpy as np

from metarl.errors import ConfigError
from metarl.sim.scene import Scene

Control = Literal["hand", "joint"]
CONTROLS: tuple[Control, ...] = ("hand", "joint")

# Hand-space targets: metres or radians that a full action adds in one control step.
STEP_M = 0.03
STEP_RAD = 0.15
LEASH_M = 0.06  # how far a target may run ahead of the hand
LEASH_RAD = 0.3  # likewise for a joint
YAW_RAD = (-1.5, 1.5)
TILT_RAD = (-0.3, 1.4)
NUM_HAND_ACTIONS = 6  # dx, dy, dz, yaw, tilt, grip

# Columns of userdata that the arm uses: the wanted yaw and tilt; a family's own come behind.
YAW, TILT, NUM_USERDATA = 0, 1, 2


@dataclass(frozen=True)
class Gripper:
    """Two fingers that open and close together.

    Args:
        mjcf: Its actuators as MJCF.
        num_actuators: How many those are; all get the same target.
        opened: Their target when open.
        closed: Their target when closed.
        joints: Joints that are set when an episode starts; the first tells the opening.
        joint_opened: That joint's value when open.
        joint_closed: Its value when closed.
        open_m: Distance of each finger from the middle when open [m].
    """

    mjcf: str
    num_actuators: int
    opened: float
    closed: float
    joints: tuple[str, ...]
    joint_opened: float
    joint_closed: float
    open_m: float


class Robot:
    """An arm with a gripper that a family puts into its scene.

    Its model brings a site ``grip`` between the fingertips, z pointing out of the hand and, in
    the home posture, straight down with x forward; a body ``held`` there that carries a tool;
    and a sensor ``hand_velocity``. Site actuators hold the hand in hand space, position
    actuators the joints in joint space.

    Attributes:
        name: How families and users call it.
        source: Where its kinematics come from.
        joints: Names of the arm's joints, from the base on.
        home: Their home posture [rad or m], (J,).
        gripper: Its gripper.
        kp: Stiffness of each joint's actuator in joint space [N m/rad or N/m], (J,).
        step: What a full action adds to a joint's target in joint space [rad or m], (J,).
    """

    name: str
    source: ClassVar[str]
    joints: tuple[str, ...]
    home: np.ndarray
    gripper: Gripper
    kp: np.ndarray
    step: np.ndarray
    workspace = np.array([[0.28, -0.36, 0.01], [0.70, 0.36, 0.40]])  # low, high [m]
    centre_m = np.array([0.50, 0.0, 0.15])

    def body(self, held: str = "") -> str:
        """Write the arm as MJCF that stands in a worldbody.

        Args:
            held: MJCF that is fixed to the hand (a tool); its origin lies between the
                fingertips, z pointing out of the hand.
        """
        raise NotImplementedError

    def finish(self, mjcf: str, held: str = "") -> str | mujoco.MjSpec:
        """Add what `body` could not write as text; by default nothing is missing."""
        return mjcf

    def actuators(self, control: Control = "hand") -> str:
        """Write the actuators as MJCF, those of the gripper last.

        Args:
            control: ``hand`` or ``joint``.
        """
        if control not in CONTROLS:
            raise ConfigError(f"unknown control {control!r}; valid: {', '.join(CONTROLS)}")
        if control == "hand":
            return _HAND_ACTUATORS + self.gripper.mjcf
        servos = "".join(
            f'<position name="{name}" joint="{name}" kp="{kp:g}" dampratio="1" inheritrange="1"/>\n'
            for name, kp in zip(self.joints, self.kp)
        )
        return servos + self.gripper.mjcf

    def num_actions(self, control: Control) -> int:
        """Six in hand space, one a joint and the grip in joint space."""
        return NUM_HAND_ACTIONS if control == "hand" else len(self.joints) + 1

    # On a scene -------------------------------------------------------------------------

    def place(
        self,
        worlds: Scene,
        ids: np.ndarray,
        place_m: np.ndarray,
        *,
        yaw_rad: float = 0.0,
        opening: float = 1.0,
        control: Control = "hand",
    ) -> None:
        """Start worlds in the home posture with the hand's target at a place.

        Args:
            worlds: The scene.
            ids: Which worlds, (n,).
            place_m: First target of the hand [m], (n, 3), near the home posture's hand; joint
                space starts at home.
            yaw_rad: First yaw, of posture and target.
            opening: First opening of the gripper, 0 closed to 1 open.
            control: As the actuators were written.
        """
        grip = self.gripper
        for name, angle in zip(self.joints, self.home):
            worlds.joint_pos(name)[ids, 0] = angle
        if yaw_rad:
            worlds.joint_pos(self.yaw_joint)[ids, 0] += yaw_rad
        for name in grip.joints:
            worlds.joint_pos(name)[ids, 0] = _between(grip.joint_closed, grip.joint_opened, opening)
        if control == "hand":
            worlds.ctrl[ids, :3] = place_m
            worlds.ctrl[ids, 3:6] = [0.0, 0.0, yaw_rad]
        else:
            for i, name in enumerate(self.joints):
                worlds.ctrl[ids, i] = worlds.joint_pos(name)[ids, 0]
        self.open(worlds, ids, opening, control=control)
        worlds.userdata[ids, YAW], worlds.userdata[ids, TILT] = yaw_rad, 0.0

    @property
    def yaw_joint(self) -> str:
        """The joint that turns the hand about its own axis, positive as yaw."""
        return self.joints[-1]

    def open(
        self, worlds: Scene, ids: np.ndarray | slice, opening: object, *, control: Control = "hand"
    ) -> None:
        """Set the gripper's target: 0 closed to 1 open, a number or (n,)."""
        first = NUM_HAND_ACTIONS if control == "hand" else len(self.joints)
        target = _between(self.gripper.closed, self.gripper.opened, np.asarray(opening, float))
        for i in range(self.gripper.num_actuators):
            worlds.ctrl[ids, first + i] = target

    def drive(self, worlds: Scene, action: np.ndarray, *, floor_m: float | None = None) -> None:
        """Move the hand's targets by an action in [-1, 1].

        Args:
            worlds: The scene, its actuators in hand space.
            action: (dx, dy, dz, yaw, tilt, grip), (N, 6); grip +1 closes.
            floor_m: Lowest place of the hand's target [m]; omitted, the workspace's.
        """
        ctrl, state = worlds.ctrl, worlds.userdata
        hand = worlds.site_pos("grip")
        target = ctrl[:, :3] + STEP_M * action[:, :3]
        target = np.clip(target, hand - LEASH_M, hand + LEASH_M)
        low = self.workspace[0].copy()
        low[2] = low[2] if floor_m is None else floor_m
        ctrl[:, :3] = np.clip(target, low, self.workspace[1])
        state[:, YAW] = np.clip(state[:, YAW] + STEP_RAD * action[:, 3], *YAW_RAD)
        state[:, TILT] = np.clip(state[:, TILT] + STEP_RAD * action[:, 4], *TILT_RAD)
        ctrl[:, 3:6] = rotation_vector(state[:, YAW], state[:, TILT])
        self.open(worlds, slice(None), 0.5 * (1.0 - action[:, 5]))

    def drive_joints(self, worlds: Scene, action: np.ndarray) -> None:
        """Move the joints' targets by an action in [-1, 1], (N, J + 1); grip +1 closes."""
        count = len(self.joints)
        now = self.posture(worlds)
        target = worlds.ctrl[:, :count] + self.step * action[:, :count]
        leash = LEASH_RAD / STEP_RAD * self.step
        target = np.clip(target, now - leash, now + leash)
        worlds.ctrl[:, :count] = np.clip(target, *self._limits(worlds))
        self.open(worlds, slice(None), 0.5 * (1.0 - action[:, count]), control="joint")
        angles = hand_angles(worlds.site_mat("grip"))
        worlds.userdata[:, YAW], worlds.userdata[:, TILT] = angles

    def posture(self, worlds: Scene) -> np.ndarray:
        """The joints' positions [rad or m], (N, J)."""
        return np.concatenate([worlds.joint_pos(name) for name in self.joints], axis=1)

    def opening_m(self, worlds: Scene) -> np.ndarray:
        """How far each finger is from the middle [m], (N,)."""
        grip = self.gripper
        part = worlds.joint_pos(grip.joints[0])[:, 0] - grip.joint_closed
        return part / (grip.joint_opened - grip.joint_closed) * grip.open_m

    def opening_m_s(self, worlds: Scene) -> np.ndarray:
        """How fast each finger moves away from the middle [m/s], (N,)."""
        grip = self.gripper
        scale = grip.open_m / (grip.joint_opened - grip.joint_closed)
        return worlds.joint_vel(grip.joints[0])[:, 0] * scale

    def observe(self, worlds: Scene, control: Control = "hand") -> np.ndarray:
        """The ``robot`` block, scaled to about 1.

        Returns:
            Place, velocity, yaw, tilt and opening of the hand, (N, 9); in joint space the
            joints' positions and targets behind them, (N, 9 + 2 J).
        """
        hand = (worlds.site_pos("grip") - self.centre_m) / 0.2
        velocity = worlds.sensor("hand_velocity")
        angles = worlds.userdata[:, :NUM_USERDATA]
        opening = (self.opening_m(worlds) / self.gripper.open_m * 2.0 - 1.0)[:, None]
        blocks = [hand, velocity, angles, opening]
        if control == "joint":
            now = self.posture(worlds)
            ahead = (worlds.ctrl[:, : len(self.joints)] - now) / (2.0 * self.step)
            blocks += [(now - self.home) / (10.0 * self.step), ahead]
        return np.concatenate(blocks, axis=1)

    def joint_action(self, worlds: Scene, action: np.ndarray) -> np.ndarray:
        """The joint-space action that moves the hand as a hand-space action would.

        Damped least squares on the arm's Jacobian: for scripted experts.

        Args:
            worlds: The scene, its actuators in joint space.
            action: (dx, dy, dz, yaw, tilt, grip), (N, 6).
        Returns:
            Shape (N, J + 1).
        """
        jacobian = self.jacobian(worlds)
        yaw, tilt = worlds.userdata[:, YAW], worlds.userdata[:, TILT]
        turned = rotation_matrix(yaw + STEP_RAD * action[:, 3], tilt + STEP_RAD * action[:, 4])
        now = worlds.site_mat("grip").reshape(-1, 3, 3)
        error = np.concatenate([STEP_M * action[:, :3], _between_rotations(now, turned)], axis=1)
        gram = jacobian @ jacobian.transpose(0, 2, 1) + 1e-4 * np.eye(6)
        moved = (jacobian.transpose(0, 2, 1) @ np.linalg.solve(gram, error[:, :, None]))[:, :, 0]
        wanted = self.posture(worlds) + 1.5 * moved
        delta = (wanted - worlds.ctrl[:, : len(self.joints)]) / self.step
        scale = np.maximum(np.abs(delta).max(axis=1, keepdims=True), 1.0)
        return np.concatenate([delta / scale, action[:, 5:6]], axis=1)

    def jacobian(self, worlds: Scene) -> np.ndarray:
        """How the hand moves and turns with each joint, in world axes, (N, 6, J)."""
        moves, turns = worlds.site_jacobian("grip")
        columns = [int(worlds.model.joint(name).dofadr[0]) for name in self.joints]
        return np.concatenate([moves, turns], axis=1)[:, :, columns]

    def _limits(self, worlds: Scene) -> tuple[np.ndarray, np.ndarray]:
        ids = [worlds.id("joint", name) for name in self.joints]
        low, high = worlds.model.jnt_range[ids].T
        return low, high


_HAND_ACTUATORS = """
    <position name="x" site="grip" refsite="origin" gear="1 0 0 0 0 0" kp="3000" kv="300" ctrlrange="-1 1" forcerange="-200 200"/>
    <position name="y" site="grip" refsite="origin" gear="0 1 0 0 0 0" kp="3000" kv="300" ctrlrange="-1 1" forcerange="-200 200"/>
    <position name="z" site="grip" refsite="origin" gear="0 0 1 0 0 0" kp="3000" kv="300" ctrlrange="-1 1" forcerange="-200 200"/>
    <position name="rx" site="grip" refsite="down" gear="0 0 0 1 0 0" kp="100" kv="10" ctrlrange="-3.2 3.2"/>
    <position name="ry" site="grip" refsite="down" gear="0 0 0 0 1 0" kp="100" kv="10" ctrlrange="-3.2 3.2"/>
    <position name="rz" site="grip" refsite="down" gear="0 0 0 0 0 1" kp="100" kv="10" ctrlrange="-3.2 3.2"/>
"""


def steer(worlds: Scene, goal_m: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """Actions (dx, dy, dz) that bring the hand to a place, for scripted experts, (N, 3)."""
    joint_space = worlds.model.actuator(0).name != "x"
    target = worlds.site_pos("grip") if joint_space else worlds.ctrl[:, :3]
    return np.clip(gain * (goal_m - target) / STEP_M, -1.0, 1.0)


def rotation_vector(yaw: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """Compose a yaw about the hand's approach axis with a tilt about its own y axis.

    Args:
        yaw: [rad], shape (N,).
        tilt: [rad], shape (N,); positive turns the fingertips away from the base.
    Returns:
        Axis times angle relative to a hand that points straight down, (N, 3).
    """
    cy, sy, ct, st = np.cos(yaw / 2), np.sin(yaw / 2), np.cos(tilt / 2), np.sin(tilt / 2)
    axis = np.stack([-sy * st, cy * st, sy * ct], axis=1)
    norm = np.sqrt((axis * axis).sum(axis=1))
    angle = 2.0 * np.arctan2(norm, cy * ct)
    return axis * (angle / np.maximum(norm, 1e-9))[:, None]


_DOWN = np.diag([1.0, -1.0, -1.0])  # the hand's axes in the world when it points straight down


def rotation_matrix(yaw: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """The hand's axes in the world for a yaw and a tilt [rad], (N, 3, 3)."""
    cy, sy, ct, st = np.cos(yaw), np.sin(yaw), np.cos(tilt), np.sin(tilt)
    zero = np.zeros_like(cy)
    rows = [cy * ct, -sy, cy * st, sy * ct, cy, sy * st, -st, zero, ct]
    return _DOWN @ np.stack(rows, axis=1).reshape(-1, 3, 3)


def hand_angles(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Yaw and tilt [rad] of a hand whose axes are given row by row, (N, 9) -> (N,), (N,)."""
    own = _DOWN @ matrix.reshape(-1, 3, 3)
    return np.arctan2(-own[:, 0, 1], own[:, 1, 1]), np.arctan2(-own[:, 2, 0], own[:, 2, 2])


def _between(low: float, high: float, part: object) -> np.ndarray:
    return low + (high - low) * np.asarray(part, float)


def _between_rotations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation vector that turns frames a into b, in world axes, (N, 3, 3) -> (N, 3)."""
    return 0.5 * sum(np.cross(a[:, :, k], b[:, :, k]) for k in range(3))  # small angles
