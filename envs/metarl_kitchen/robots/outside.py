"""An arm from a stranger's MJCF file, with our fingers on its flange."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import mujoco
import numpy as np

from metarl.errors import ConfigError
from metarl.robots.robot import Robot
from metarl_kitchen.robots.fingers import FINGERS, hand_mjcf

PREFIX = "arm/"  # of every name that comes from the file


class MjcfRobot(Robot):
    """Any MJCF arm: the path, the site of its flange, and a home posture.

    The file's actuators, sensors and keyframes are left out, its bodies carry no weight (as
    an arm with gravity compensation), and only the fingers touch things. Nothing in the file
    is executed.

    Args:
        control: ``hand`` or ``joint``.
        path: The MJCF file; its first body is the base.
        site: The site to which the hand is fixed, its z pointing out of the flange.
        home: Positions of the joints [rad or m], from the base on, at which the hand points
            straight down about 0.45 m in front of the base.
        turn_rad: How the hand is turned on the flange [rad]; omitted, so that its x points
            forward at home.
    Raises:
        ConfigError: If there is no such file, site, or number of joints, or the hand does not
            point down at home.
    """

    source = "an MJCF file"
    gripper = FINGERS

    def __init__(
        self,
        control: str = "hand",
        *,
        path: str | Path,
        site: str,
        home: Sequence[float],
        turn_rad: float | None = None,
    ):
        super().__init__(control)
        self.path, self.site = Path(path), site
        spec = self._load()
        names = [body.name for body in spec.worldbody.bodies]
        if len(names) != 1:
            raise ConfigError(f"{path} must have one body in its world, the base; it has {names}")
        joints = list(spec.joints)
        if site not in [s.name for s in spec.sites]:
            valid = ", ".join(s.name for s in spec.sites if s.name) or "none"
            raise ConfigError(f"{path} has no site {site!r} for the hand; valid: {valid}")
        if len(home) != len(joints):
            listed = ", ".join(j.name for j in joints)
            raise ConfigError(f"home has {len(home)} numbers; {path} has joints {listed}")
        self.name = self.path.stem
        self.joints = tuple(PREFIX + j.name for j in joints)
        self.home = np.asarray(home, float)
        hinge = np.array([j.type == mujoco.mjtJoint.mjJNT_HINGE for j in joints])
        self.kp = np.where(hinge, np.geomspace(2500.0, 200.0, len(joints)), 4000.0)
        self.step = np.where(hinge, 0.12, 0.03)
        self.turn_rad = self._forward(spec) if turn_rad is None else turn_rad

    def _load(self) -> mujoco.MjSpec:
        if not self.path.is_file():
            raise ConfigError(f"there is no MJCF file {self.path}")
        try:
            return mujoco.MjSpec.from_file(str(self.path))
        except ValueError as error:
            raise ConfigError(f"{self.path} is not a valid MJCF file: {error}") from error

    def _forward(self, spec: mujoco.MjSpec) -> float:
        model = spec.compile()
        data = mujoco.MjData(model)
        data.qpos[:] = self.home
        mujoco.mj_kinematics(model, data)
        axes = data.site(self.site).xmat.reshape(3, 3)
        if axes[2, 2] > -0.98:
            raise ConfigError(
                f"at home, z of {self.site!r} in {self.path} is {axes[:, 2].round(2)}; the hand"
                " must point straight down (0, 0, -1)"
            )
        return float(np.arctan2(axes[0, 1], axes[0, 0]))

    def body(self, held: str = "") -> str:
        """Nothing yet: `finish` attaches the file's arm."""
        return ""

    def finish(self, mjcf: str, held: str = "") -> mujoco.MjSpec:
        """Attach the file's arm to the scene, and the hand to the arm."""
        scene, arm = mujoco.MjSpec.from_string(mjcf), self._load()
        for things in (arm.actuators, arm.sensors, arm.keys, arm.lights, arm.cameras):
            for thing in list(things):
                arm.delete(thing)
        for body in arm.bodies:
            body.gravcomp = 1.0
        for geom in arm.geoms:
            geom.contype = geom.conaffinity = 0
        for joint in arm.joints:
            joint.damping[0], joint.armature = max(joint.damping[0], 4.0), max(joint.armature, 0.1)
        turn = self.turn_rad / 2.0
        place = f'pos="0 0 0" quat="{np.cos(turn)} 0 0 {np.sin(turn)}"'
        looks = _ASSETS.findall(mjcf) + _DEFAULTS.findall(mjcf)
        hand = mujoco.MjSpec.from_string(
            _HAND.format(looks="".join(looks), hand=hand_mjcf(held, place))
        )
        scene.attach(arm, prefix=PREFIX, frame=scene.worldbody.add_frame())
        scene.attach(hand, prefix=_OURS, site=scene.site(PREFIX + self.site))
        for things in (scene.bodies, scene.joints, scene.sites, scene.geoms):
            for thing in things:
                thing.name = thing.name.removeprefix(_OURS)
        return scene


_OURS = "hand/"  # of the hand's names until it is attached
_ASSETS = re.compile("<asset>.*?</asset>", re.DOTALL)
_DEFAULTS = re.compile("<default>.*</default>", re.DOTALL)
_HAND = """<mujoco><compiler angle="radian"/>{looks}<worldbody>{hand}</worldbody></mujoco>"""
