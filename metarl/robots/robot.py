"""Arms with a gripper behind one interface: hand space for all, joint space for each its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import mujoco
import numpy as np

from metarl.errors import ConfigError, unknown
from metarl.robots.gripper import Gripper, between
from metarl.robots.kinematics import joint_motion
from metarl.robots.rotations import (
    between_rotations,
    hand_angles,
    rotation_about,
    rotation_matrix,
    rotation_vector,
)
from metarl.sim.scene import Scene

CONTROLS = ("hand", "joint")

# Hand-space targets: metres or radians that a full action adds in one control step.
STEP_M = 0.03
STEP_RAD = 0.15
HAND_LAG_S = 0.1  # time constant with which the hand follows its target in hand space
LEASH_M = 0.06  # how far a target may run ahead of the hand
LEASH_RAD = 0.3  # likewise for a joint
YAW_RAD = (-1.5, 1.5)
TILT_RAD = (-0.3, 1.4)
NUM_HAND_ACTIONS = 6  # dx, dy, dz, yaw, tilt, grip
_LOW_RAD, _HIGH_RAD = np.transpose([YAW_RAD, TILT_RAD])  # (2,) each

# Columns of userdata that the arm uses: the wanted yaw and tilt; a family's own come behind.
YAW, TILT, NUM_USERDATA = 0, 1, 2


class Robot(ABC):
    """An arm with a gripper that a family puts into its scene.

    Its model brings a site ``grip`` between the fingertips, z pointing out of the hand and, in
    the home posture, straight down with x forward; a body ``held`` there that carries a tool;
    and a sensor ``hand_velocity``. Site actuators hold the hand in hand space, position
    actuators the joints in joint space.

    Args:
        control: ``hand`` (dx, dy, dz, yaw, tilt, grip) or ``joint`` (one a joint, and the grip).
    Attributes:
        name: How families and users call it.
        source: Where its kinematics come from.
        joints: Names of the arm's joints, from the base on.
        home: Their home posture [rad or m], (J,).
        gripper: Its gripper.
        kp: Stiffness of each joint's actuator in joint space [N m/rad or N/m], (J,).
        step: What a full action adds to a joint's target in joint space [rad or m], (J,).
        workspace: Lowest and highest place of the hand's target in hand space [m], (2, 3).
        centre_m: The place that is observed as 0.
        longest_step_s: The longest physics step that it stands [s].
    Raises:
        ConfigError: If there is no such control.
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
    longest_step_s = np.inf

    def __init__(self, control: str = "hand"):
        if control not in CONTROLS:
            raise ConfigError(unknown("control", control, CONTROLS))
        self.control = control

    # The model --------------------------------------------------------------------------

    @abstractmethod
    def body(self, held: str = "") -> str:
        """Write the arm as MJCF that stands in a worldbody.

        Args:
            held: MJCF that is fixed to the hand (a tool); its origin lies between the
                fingertips, z pointing out of the hand.
        """

    def finish(self, mjcf: str, held: str = "") -> str | mujoco.MjSpec:
        """Add to a whole scene what `body` could not write as text; by default nothing."""
        return mjcf

    def actuators(self) -> str:
        """Write the actuators as MJCF, those of the gripper last."""
        if self.control == "hand":
            return _HAND_ACTUATORS + self.gripper.mjcf
        servos = "".join(
            f'<position name="{name}" joint="{name}" kp="{kp:g}" dampratio="1" inheritrange="1"/>\n'
            for name, kp in zip(self.joints, self.kp)
        )
        return servos + self.gripper.mjcf

    @property
    def num_actions(self) -> int:
        """Six in hand space, one a joint and the grip in joint space."""
        return NUM_HAND_ACTIONS if self.control == "hand" else len(self.joints) + 1

    @property
    def yaw_joint(self) -> str:
        """The joint that turns the hand about its own axis, positive as yaw."""
        return self.joints[-1]

    # On a scene -------------------------------------------------------------------------

    def place(
        self,
        worlds: Scene,
        ids: np.ndarray,
        place_m: np.ndarray,
        *,
        yaw_rad: float = 0.0,
        opening: float = 1.0,
    ) -> None:
        """Start worlds in the home posture with the hand's target at a place.

        Args:
            worlds: The scene.
            ids: Which worlds, (n,).
            place_m: First target of the hand [m], (n, 3), near the home posture's hand; in
                joint space to first order.
            yaw_rad: First yaw, of posture and target.
            opening: First opening of the gripper, 0 closed to 1 open.
        """
        grip = self.gripper
        for name, angle in zip(self.joints, self.turned(yaw_rad)):
            worlds.joint_pos(name)[ids, 0] = angle
        for name, position in zip(grip.joints, grip.posture(opening)):
            worlds.joint_pos(name)[ids, 0] = position
        if self.control == "hand":
            worlds.ctrl[ids, :3] = place_m
            worlds.ctrl[ids, 3:6] = [0.0, 0.0, yaw_rad]
        else:
            start = self.posture(worlds)[ids] + self._towards(worlds.model, place_m)
            low, high = self._limits(worlds)
            worlds.ctrl[ids, : len(self.joints)] = np.clip(start, low, high)
        self.open(worlds, opening, ids)
        worlds.userdata[ids, YAW], worlds.userdata[ids, TILT] = yaw_rad, 0.0

    def turned(self, yaw_rad: float) -> np.ndarray:
        """The home posture with the hand turned about its approach axis, (J,)."""
        posture = self.home.copy()
        posture[self.joints.index(self.yaw_joint)] += yaw_rad
        return posture

    def _towards(self, model: mujoco.MjModel, place_m: np.ndarray) -> np.ndarray:
        """Joint motions from home that bring the hand to places, to first order, (n, J)."""
        data, jacobian = mujoco.MjData(model), np.zeros((3, model.nv))
        for name, angle in zip(self.joints, self.home):
            data.joint(name).qpos[0] = angle
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        grip = model.site("grip").id
        mujoco.mj_jacSite(model, data, jacobian, None, grip)
        own = jacobian[:, [int(model.joint(name).dofadr[0]) for name in self.joints]]
        return (place_m - data.site_xpos[grip]) @ np.linalg.pinv(own).T

    def open(
        self, worlds: Scene, opening: float | np.ndarray, ids: np.ndarray | slice = slice(None)
    ) -> None:
        """Set the gripper's target: 0 closed to 1 open, a number or (n,)."""
        ends, target = None, opening
        for actuator, own in zip(self._grip_actuators, self.gripper.targets):
            if own != ends:  # most grippers: one target for all
                ends, target = own, between(*own, opening)
            worlds.ctrl[ids, actuator] = target

    def set_grip_strength(self, worlds: Scene, ids: np.ndarray, share: np.ndarray) -> None:
        """Let grippers press harder or softer for the same target, for `configure`.

        Args:
            worlds: The scene.
            ids: Which worlds, (n,).
            share: Of the usual force, (n,).
        """
        for name in ("actuator_gainprm", "actuator_biasprm"):
            usual, own = getattr(worlds.model, name), worlds.model_field(name)
            for actuator in self._grip_actuators:
                own[ids, actuator] = share[:, None] * usual[actuator]

    @property
    def _grip_actuators(self) -> range:
        first = NUM_HAND_ACTIONS if self.control == "hand" else len(self.joints)
        return range(first, first + len(self.gripper.targets))

    def drive(
        self,
        worlds: Scene,
        action: np.ndarray,
        *,
        floor_m: float | None = None,
        opening: float | None = None,
    ) -> None:
        """Move the targets of hand or joints, and the gripper's, by an action in [-1, 1].

        Args:
            worlds: The scene.
            action: Shape (N, A), the grip last; +1 closes.
            floor_m: Lowest place of the hand's target in hand space [m]; None: the workspace's.
            opening: The gripper's target, 0 closed to 1 open; None: the action's.
        """
        if self.control == "hand":
            self._drive_hand(worlds, action, floor_m)
        else:
            self._drive_joints(worlds, action)
        self.open(worlds, 0.5 * (1.0 - action[:, -1]) if opening is None else opening)

    def _drive_hand(self, worlds: Scene, action: np.ndarray, floor_m: float | None) -> None:
        ctrl, angles = worlds.ctrl, worlds.userdata[:, :NUM_USERDATA]
        hand = worlds.site_pos("grip")
        target = ctrl[:, :3] + STEP_M * action[:, :3]
        # np.clip would cost a single world several times as much
        target = np.minimum(np.maximum(target, hand - LEASH_M), hand + LEASH_M)
        low = self.workspace[0].copy()
        low[2] = low[2] if floor_m is None else floor_m
        ctrl[:, :3] = np.minimum(np.maximum(target, low), self.workspace[1])
        turned = angles + STEP_RAD * action[:, 3:5]
        angles[:] = np.minimum(np.maximum(turned, _LOW_RAD), _HIGH_RAD)
        ctrl[:, 3:6] = rotation_vector(angles[:, YAW], angles[:, TILT])

    def _drive_joints(self, worlds: Scene, action: np.ndarray) -> None:
        count = len(self.joints)
        now, target = self.posture(worlds), self.targets(worlds)
        wanted = target + self.step * action[:, :count]
        leash = LEASH_RAD / STEP_RAD * self.step
        wanted = np.clip(np.clip(wanted, now - leash, now + leash), *self._limits(worlds))
        target[:] = wanted

    def targets(self, worlds: Scene) -> np.ndarray:
        """Where the joints are wanted in joint space [rad or m], (N, J), writable."""
        return worlds.ctrl[:, : len(self.joints)]

    def posture(self, worlds: Scene) -> np.ndarray:
        """The joints' positions [rad or m], (N, J)."""
        return np.concatenate([worlds.joint_pos(name) for name in self.joints], axis=1)

    def angles(self, worlds: Scene) -> np.ndarray:
        """Yaw and tilt of the hand [rad], (N, 2): wanted ones in hand space, else measured."""
        if self.control == "hand":
            return worlds.userdata[:, :NUM_USERDATA]
        return np.stack(hand_angles(worlds.site_mat("grip")), axis=1)

    def opening(self, worlds: Scene) -> np.ndarray:
        """How far the gripper is open, 0 closed to 1 open, (N,)."""
        grip = self.gripper
        part = worlds.joint_pos(grip.joints[0])[:, 0] - grip.closed
        return part / (grip.opened - grip.closed)

    def opening_speed(self, worlds: Scene) -> np.ndarray:
        """How fast the gripper opens [1/s], (N,)."""
        grip = self.gripper
        return worlds.joint_vel(grip.joints[0])[:, 0] / (grip.opened - grip.closed)

    def observe(self, worlds: Scene) -> np.ndarray:
        """The ``robot`` block, scaled to about 1.

        Returns:
            Place (3) and velocity (3) of the hand, yaw, tilt, opening: (N, 9); in joint space
            the joints' positions and how far their targets are ahead, (N, 9 + 2 J).
        """
        hand = (worlds.site_pos("grip") - self.centre_m) / 0.2
        velocity = worlds.sensor("hand_velocity")
        blocks = [hand, velocity, self.angles(worlds), self.opening(worlds)[:, None] * 2.0 - 1.0]
        if self.control == "joint":
            now = self.posture(worlds)
            ahead = (self.targets(worlds) - now) / (2.0 * self.step)
            blocks += [(now - self.home) / (10.0 * self.step), ahead]
        return np.concatenate(blocks, axis=1)

    def columns(self) -> tuple[str, ...]:
        """The names of what `observe` gives."""
        axes = ("x", "y", "z")
        hand = [*axes, *(f"{axis} velocity" for axis in axes), "yaw", "tilt", "opening"]
        if self.control == "joint":
            hand += [*self.joints, *(f"{joint} ahead" for joint in self.joints)]
        return tuple(hand)

    # For scripted experts ---------------------------------------------------------------

    def target_m(self, worlds: Scene) -> np.ndarray:
        """Where the hand is wanted [m], (N, 3)."""
        if self.control == "hand":
            return worlds.ctrl[:, :3]
        return worlds.site_pos("grip") + self._ahead(worlds)[:, :3]

    def target_angles(self, worlds: Scene) -> np.ndarray:
        """Which yaw and tilt of the hand are wanted [rad], (N, 2)."""
        if self.control == "hand":
            return worlds.userdata[:, :NUM_USERDATA]
        return np.stack(hand_angles(self._target_matrix(worlds)), axis=1)

    def _ahead(self, worlds: Scene) -> np.ndarray:
        """How far the joints' targets lead the hand, to first order: [m] and [rad], (N, 6)."""
        lead = self.targets(worlds) - self.posture(worlds)
        return (self.jacobian(worlds) @ lead[:, :, None])[:, :, 0]

    def _target_matrix(self, worlds: Scene) -> np.ndarray:
        turn = self._ahead(worlds)[:, 3:]
        now = worlds.site_mat("grip").reshape(-1, 3, 3)
        return rotation_about(turn) @ now

    def steer(self, worlds: Scene, goal_m: np.ndarray, gain: float = 1.0) -> np.ndarray:
        """Actions (dx, dy, dz) that bring the hand to a place, (N, 3)."""
        return np.clip(gain * (goal_m - self.target_m(worlds)) / STEP_M, -1.0, 1.0)

    def follow(self, worlds: Scene, action: np.ndarray) -> np.ndarray:
        """Turn a hand-space action into one of the robot's control, (N, 6) -> (N, A).

        In joint space by damped least squares on the arm's Jacobian.
        """
        if self.control == "hand":
            return action
        jacobian = self.jacobian(worlds)
        yaw, tilt = self.target_angles(worlds).T
        turned = rotation_matrix(
            np.clip(yaw + STEP_RAD * action[:, 3], *YAW_RAD),
            np.clip(tilt + STEP_RAD * action[:, 4], *TILT_RAD),
        )
        turn = between_rotations(self._target_matrix(worlds), turned)
        motion = np.concatenate([STEP_M * action[:, :3], turn], axis=1)
        now, limits = self.targets(worlds), self._limits(worlds)
        delta = joint_motion(jacobian, motion, now, self.home, *limits) / self.step
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
