"""A stranger's MJCF file: which of it is the arm, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np

from metarl.errors import ConfigError, SimulationError
from metarl.sim.models import compile_model, load_spec

SUFFIX = ".xml"
_TURN_RAD = 2.0 * np.pi  # a hinge without limits may turn so far from home, each way


class ArmFile:
    """An arm read from an MJCF file, with a gripper or without.

    The arm is the chain of joints from the base to the body of a site; what moves beyond them
    is a gripper's. What stands in the file's world beside the base is left out. Nothing in the
    file is executed.

    Args:
        path: The file; its name ends in ``.xml``, ``~`` is the user's folder.
        site: A site on the hand; empty: the only one that the file names.
    Attributes:
        path: The file.
        site: Name of the site.
        spec: What it holds; nameless joints, actuators and colliding geoms have got names.
        model: The same, compiled.
        joints: Names of the arm's joints, from the base on.
        fingers: Names of the joints beyond them.
    Raises:
        ConfigError: If it is no valid file, or no arm; the message says what to change.
    """

    def __init__(self, path: str | Path, site: str = ""):
        self.path = Path(path).expanduser()
        self.spec = self._read()
        self._tidy()
        self.site = site or self._only_site()
        self._check_parts()
        self.model = self._compile()
        self.joints, self.fingers = self._chain()

    # Reading ----------------------------------------------------------------------------

    def _read(self) -> mujoco.MjSpec:
        path = self.path
        if path.suffix != SUFFIX:
            remedy = (
                "MuJoCo converts it: mujoco.MjSpec.from_file(...).to_file('arm.xml'); then add a"
                " <site> to its flange"
                if path.suffix.lower() == ".urdf"
                else f"rename it if it is one: MuJoCo looks at the ending {SUFFIX}"
            )
            raise ConfigError(f"{path} is not an MJCF file ({SUFFIX}); {remedy}")
        if not path.exists():
            raise ConfigError(f"there is no MJCF file {path}")
        try:
            return load_spec(path, _ORIGIN)
        except SimulationError as error:
            raise ConfigError(str(error)) from error

    def _tidy(self) -> None:
        """Leave out the room around the arm, and name what has no name."""
        room = self.spec.worldbody
        for things in (room.geoms, room.sites, room.lights, room.cameras):
            for thing in list(things):
                self.spec.delete(thing)
        geoms = [geom for geom in self.spec.geoms if geom.contype or geom.conaffinity]
        kinds = {"joint": self.spec.joints, "actuator": self.spec.actuators, "geom": geoms}
        for kind, things in kinds.items():
            taken = {thing.name for thing in getattr(self.spec, f"{kind}s")}
            free = (f"{kind}{i}" for i in range(1, 10**6) if f"{kind}{i}" not in taken)
            for thing in things:
                thing.name = thing.name or next(free)

    def _only_site(self) -> str:
        names = [site.name for site in self.spec.sites if site.name]
        if len(names) != 1:
            raise ConfigError(
                f"{self.path} has {len(names)} named sites; site=NAME must say which is the"
                f" hand's, its z pointing out of the hand: {', '.join(names) or _ADD_SITE}"
            )
        return names[0]

    def _check_parts(self) -> None:
        names = [body.name for body in self.spec.worldbody.bodies]
        if len(names) != 1:
            listed = ", ".join(repr(name) for name in names) or "none"
            raise ConfigError(
                f"{self.path} must have one body in its world, the arm's base; it has: {listed}"
            )
        if self.site not in [site.name for site in self.spec.sites]:
            valid = ", ".join(site.name for site in self.spec.sites if site.name) or _ADD_SITE
            raise ConfigError(f"{self.path} has no site {self.site!r} for the hand; valid: {valid}")
        for joint in self.spec.joints:
            if joint.type not in _KINDS:
                kind = mujoco.mjtJoint(joint.type).name.removeprefix("mjJNT_").lower()
                raise ConfigError(
                    f"joint {joint.name!r} in {self.path} is of type {kind}; an arm's joints are of"
                    " type hinge or slide"
                )

    def _compile(self) -> mujoco.MjModel:
        try:
            return compile_model(self.spec, f"{_ORIGIN}: {self.path}")
        except SimulationError as error:
            raise ConfigError(str(error)) from error

    # The arm ----------------------------------------------------------------------------

    def _chain(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        model = self.model
        body, path = int(model.site(self.site).bodyid[0]), []
        while body:
            path.append(body)
            body = int(model.body_parentid[body])
        owners = model.jnt_bodyid
        chain = [j for j in range(model.njnt) if owners[j] in path]
        rest = [j for j in range(model.njnt) if owners[j] not in path]
        if not chain:
            raise ConfigError(
                f"no joint of {self.path} moves site {self.site!r}; an arm has joints between its"
                " base and its hand"
            )
        for joint in rest:
            if not self._is_beyond(int(owners[joint]), int(owners[chain[-1]])):
                raise ConfigError(
                    f"joint {model.joint(joint).name!r} in {self.path} lies neither between the"
                    f" base and site {self.site!r} nor beyond; the site must be on the hand, not"
                    " on a finger, of an arm that is one chain"
                )
        arm, fingers = (tuple(model.joint(j).name for j in part) for part in (chain, rest))
        return arm, fingers

    def _is_beyond(self, body: int, last: int) -> bool:
        while body and body != last:
            body = int(self.model.body_parentid[body])
        return body == last

    def columns(self, joints: tuple[str, ...]) -> np.ndarray:
        """Where joints stand in qpos, (J,)."""
        return np.array([int(self.model.joint(name).qposadr[0]) for name in joints])

    def dofs(self, joints: tuple[str, ...]) -> np.ndarray:
        """Where joints stand in qvel, (J,)."""
        return np.array([int(self.model.joint(name).dofadr[0]) for name in joints])

    def is_hinge(self, name: str) -> bool:
        """Whether a joint turns."""
        return bool(self.model.joint(name).type[0] == mujoco.mjtJoint.mjJNT_HINGE)

    def limits(self, home: np.ndarray | None = None) -> np.ndarray:
        """Lowest and highest position of the arm's joints [rad or m], (2, J).

        Args:
            home: Around which a hinge without limits may turn once each way, (J,); by default 0.
        Raises:
            ConfigError: If a slide has no limits.
        """
        middle = np.zeros(len(self.joints)) if home is None else home
        bounds = []
        for name, centre in zip(self.joints, middle):
            joint = self.model.joint(name)
            limited = bool(self.model.jnt_limited[joint.id])
            if not limited and not self.is_hinge(name):
                raise ConfigError(
                    f"slide joint {name!r} in {self.path} has no limits; give it a range [m]"
                )
            bounds.append(joint.range if limited else (centre - _TURN_RAD, centre + _TURN_RAD))
        return np.transpose(bounds)

    def keyframe(self, name: str = "home") -> np.ndarray | None:
        """The arm's joints in a keyframe, (J,); None if the file has no such keyframe."""
        keys = [self.model.key(k) for k in range(self.model.nkey)]
        found = [key.qpos for key in keys if key.name == name]
        return found[0][self.columns(self.joints)] if found else None

    def at(self, posture: np.ndarray) -> mujoco.MjData:
        """Put the arm's joints somewhere and see where all its parts are."""
        data = mujoco.MjData(self.model)
        data.qpos[self.columns(self.joints)] = posture
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_comPos(self.model, data)
        return data


_KINDS = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
_ORIGIN = "a robot's file"
_ADD_SITE = 'none: add <site name="flange" .../> to the last link'
