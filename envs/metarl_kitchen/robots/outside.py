"""An arm from a stranger's MJCF file, with its own gripper or ours."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mujoco
import numpy as np

from metarl.errors import ConfigError
from metarl.robots.arm_file import ArmFile
from metarl.robots.gripper import Gripper
from metarl.robots.homing import Hold, find_home, hand_m, turned_forward
from metarl.robots.own_gripper import LONGEST_STEP_S, find_gripper
from metarl.robots.robot import Robot
from metarl_kitchen.robots.fingers import FINGERS, REACH_M, hand_mjcf, held_mjcf

PREFIX = "arm/"  # of every name that comes from the file
HOME_M = np.array([0.45, 0.0, 0.30])  # where the hand is at home, unless the file says
_NEAR_M = 0.1  # how far outside of the workspace the hand may be at home
_SPRING = 6.0  # pulls a spare joint home in hand space [N m/rad]
_log = logging.getLogger(__name__)


class MjcfRobot(Robot):
    """Any MJCF arm: the path of its file, a site on its hand, and a home posture.

    The gripper is the file's own, if joints move beyond the arm's; else ours is mounted on the
    site. The arm's own actuators, sensors and keyframes are left out, its bodies carry no
    weight (as an arm with gravity compensation), and only the gripper touches things. Nothing
    in the file is executed.

    Args:
        control: ``hand`` or ``joint``.
        path: The MJCF file; its only body in the world is the base.
        site: The site to which our hand is fixed, or any that is fixed to the file's own; its z
            points out of the hand. Empty: the only site of the file.
        home: Positions of the arm's joints [rad or m], from the base on, at which the hand
            points straight down in front of the base. Empty: those of the file's keyframe
            ``home`` if the hand does so there, else found by inverse kinematics.
    Raises:
        ConfigError: If there is no such file, site, or number of joints, or the file holds no
            arm, or the hand does not point down at home.
    """

    source = "an MJCF file"

    def __init__(
        self,
        control: str = "hand",
        *,
        path: str | Path,
        site: str = "",
        home: Sequence[float] = (),
    ):
        super().__init__(control)
        self.path, self.site = Path(path).expanduser(), site
        try:
            stamp = self.path.stat().st_mtime_ns
        except OSError:
            stamp = 0  # reading it says what is wrong
        self._arm = _study(self.path, stamp, site, tuple(home))
        self.name = self.path.stem
        self.joints = tuple(PREFIX + name for name in self._arm.joints)
        self.home = np.array(self._arm.home)
        self.gripper = self._arm.gripper
        if self._arm.own:
            self.longest_step_s = LONGEST_STEP_S
        hinge = np.array(self._arm.hinges)
        self.kp = np.where(hinge, np.geomspace(2500.0, 200.0, len(hinge)), 4000.0)
        self.step = np.where(hinge, 0.12, 0.03)

    def turned(self, yaw_rad: float) -> np.ndarray:
        """The home posture with the hand turned, if the last joint turns it, (J,)."""
        posture = self.home.copy()
        posture[-1] += self._arm.turning * yaw_rad
        return np.clip(posture, *np.transpose(self._arm.limits))

    def body(self, held: str = "") -> str:
        """Nothing yet: `finish` attaches the file's arm."""
        return ""

    def finish(self, mjcf: str, held: str = "") -> mujoco.MjSpec:
        """Attach the file's arm to the scene, and to the arm our hand or what its own holds."""
        scene = mujoco.MjSpec.from_string(mjcf)
        file = ArmFile(self.path, self.site)
        self._prepare(file, scene)
        looks = "".join(_ASSETS.findall(mjcf) + _DEFAULTS.findall(mjcf))
        turn = self._arm.turn_rad / 2.0
        place = f'quat="{np.cos(turn)} 0 0 {np.sin(turn)}"'
        if self._arm.own:
            place += ' pos="{} {} {}"'.format(*self._arm.place_m)
            hand = held_mjcf(held, place)
        else:
            hand = hand_mjcf(held, place)
        added = mujoco.MjSpec.from_string(_HAND.format(looks=looks, hand=hand))
        scene.attach(file.spec, prefix=PREFIX, frame=scene.worldbody.add_frame())
        scene.attach(added, prefix=_OURS, site=scene.site(PREFIX + file.site))
        for things in (scene.bodies, scene.joints, scene.sites, scene.geoms):
            for thing in things:
                thing.name = thing.name.removeprefix(_OURS)
        return scene

    def _prepare(self, file: ArmFile, scene: mujoco.MjSpec) -> None:
        """Leave of the file what the scene needs: bodies, joints, the gripper and its actuators."""
        arm, kept = file.spec, self._arm.actuators
        for name in _OPTIONS:  # the scene's count
            setattr(arm.option, name, getattr(scene.option, name))
        for things in (arm.sensors, arm.keys, arm.lights, arm.cameras):
            for thing in list(things):
                arm.delete(thing)
        for actuator in list(arm.actuators):
            if actuator.name not in kept:
                arm.delete(actuator)
        for body in arm.bodies:
            body.gravcomp = 1.0
        gripping = {name.removeprefix(PREFIX) for name in (*self.gripper.pads, *self.gripper.palm)}
        touch = scene.find_default("hand").geom
        for geom in arm.geoms:
            own = self._arm.own and geom.name in gripping
            geom.contype, geom.conaffinity = (touch.contype, touch.conaffinity) if own else (0, 0)
        spare = self.control == "hand" and len(self.joints) > 6
        for name, home, limits in zip(self._arm.joints, self.home, self._arm.limits):
            joint = arm.joint(name)
            joint.damping[0], joint.armature = max(joint.damping[0], 4.0), max(joint.armature, 0.1)
            joint.limited, joint.range = mujoco.mjtLimited.mjLIMITED_TRUE, limits
            if spare:
                joint.stiffness[0], joint.springref = _SPRING, home


@dataclass(frozen=True)
class _Arm:
    """What a file's arm was found to be; names as in the file, those of the gripper as attached."""

    joints: tuple[str, ...]
    hinges: tuple[bool, ...]
    limits: tuple[tuple[float, float], ...]
    home: tuple[float, ...]
    own: bool
    gripper: Gripper
    actuators: tuple[str, ...]
    place_m: tuple[float, float, float]
    turn_rad: float
    turning: float  # what the last joint does to the hand's yaw: 1, -1, or 0 if it is elsewhere


@functools.lru_cache(maxsize=32)
def _study(path: Path, stamp: int, site: str, home: tuple[float, ...]) -> _Arm:
    """Look a file through once, until it is changed."""
    file = ArmFile(path, site)
    own = find_gripper(file)
    if own is None:
        hold, gripper = Hold((0.0, 0.0, REACH_M)), FINGERS
    else:
        x, y = own.closing[:2]
        hold = Hold(tuple(own.place_m.tolist()), float(np.arctan2(-x, y)), two_ways=True)
        gripper = _attached(own.gripper)
    posture, hold = _home(file, hold, home)
    limits = file.limits(posture)
    return _Arm(
        joints=file.joints,
        hinges=tuple(file.is_hinge(name) for name in file.joints),
        limits=tuple((float(low), float(high)) for low, high in limits.T),
        home=tuple(posture.tolist()),
        own=own is not None,
        gripper=gripper,
        actuators=own.actuators if own else (),
        place_m=hold.place_m,
        turn_rad=float(hold.turn_rad or 0.0),
        turning=_turning(file, posture),
    )


def _attached(gripper: Gripper) -> Gripper:
    joints, pads, palm = (
        tuple(PREFIX + name for name in names)
        for names in (gripper.joints, gripper.pads, gripper.palm)
    )
    return replace(gripper, joints=joints, pads=pads, palm=palm)


def _home(file: ArmFile, hold: Hold, given: tuple[float, ...]) -> tuple[np.ndarray, Hold]:
    if given:
        home = np.array(given)
        return home, _checked(file, hold, home)
    key = file.keyframe()
    refused = ""
    if key is not None:
        try:
            return key, _checked(file, hold, key)
        except ConfigError as error:
            refused = str(error)
    home, hold = find_home(file, hold, HOME_M, Robot.workspace)
    if refused:
        _log.warning(
            "the keyframe 'home' is not used: %s; home=%s was found instead",
            refused,
            ":".join(f"{position:g}" for position in home),
        )
    return home, hold


def _checked(file: ArmFile, hold: Hold, home: np.ndarray) -> Hold:
    """Refuse a home that does not fit the arm, or from which its hand cannot work."""
    if len(home) != len(file.joints):
        raise ConfigError(
            f"home has {len(home)} numbers; {file.path} has joints {', '.join(file.joints)}"
        )
    for name, position, (low, high) in zip(file.joints, home, file.limits(home).T):
        if not low - 1e-6 <= position <= high + 1e-6:
            raise ConfigError(
                f"home of joint {name!r} in {file.path} is {position:g}; expected a number from"
                f" {low:g} to {high:g}"
            )
    hold = turned_forward(file, home, hold)
    hand, (low, high) = hand_m(file, home, hold), Robot.workspace
    if ((hand < low - _NEAR_M) | (hand > high + _NEAR_M)).any():
        raise ConfigError(
            f"at home, the hand of {file.path} is at {hand.round(2)} m; expected a place from"
            f" {low} to {high}, or less than {_NEAR_M:g} m beside it"
        )
    return hold


def _turning(file: ArmFile, home: np.ndarray) -> float:
    """Whether the last joint turns the hand about its own axis, and which way round."""
    data, turns = file.at(home), np.zeros((3, file.model.nv))
    mujoco.mj_jacSite(file.model, data, None, turns, file.model.site(file.site).id)
    along = float(turns[:, file.dofs(file.joints[-1:])[0]] @ data.site(file.site).xmat[2::3])
    return float(np.sign(along)) if abs(along) > 0.98 else 0.0


_OURS = "hand/"  # of the hand's names until it is attached
_ASSETS = re.compile("<asset>.*?</asset>", re.DOTALL)
_DEFAULTS = re.compile("<default>.*</default>", re.DOTALL)
_HAND = """<mujoco><compiler angle="radian"/>{looks}<worldbody>{hand}</worldbody></mujoco>"""
_OPTIONS = [name for name in dir(mujoco.MjSpec().option) if not name.startswith("_")]
