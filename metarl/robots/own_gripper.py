"""The gripper that an arm's file brings: which parts of it move, and how far it opens."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import mujoco
import numpy as np

from metarl.errors import ConfigError
from metarl.robots.arm_file import ArmFile
from metarl.robots.gripper import Gripper

MOST_ACTUATORS = 4
LONGEST_STEP_S = 0.005  # fingers on stiff linkages let go of things at steps twice as long
SETTLE_S = 1.0  # for a gripper to reach its target
NUM_OPENINGS = 9  # at which its joints are measured
LEAST_STROKE_M = 0.01
TIP_M = 0.002  # geoms that end within so much of the outermost one are fingertips
INSIDE_M = 0.007  # from the fingertips' ends back to where things are held, as on our own hand
HELD_M = 0.03  # width of what is held: grippers that close on an arc are measured there
_HEAVY = 1e6  # armature that keeps the arm still while its gripper is measured [kg m^2]


@dataclass(frozen=True)
class OwnGripper:
    """A gripper found in an arm's file.

    Args:
        gripper: How it opens and closes.
        actuators: Names of its actuators, in the file's order.
        place_m: Between its fingertips, in the site's axes, (3,).
        closing: Along which its fingers close, in the site's axes, (3,); across the site's z.
    """

    gripper: Gripper
    actuators: tuple[str, ...]
    place_m: np.ndarray
    closing: np.ndarray


def find_gripper(arm: ArmFile) -> OwnGripper | None:
    """Look for joints beyond the arm's, and try out what their actuators do.

    Args:
        arm: The file.
    Returns:
        The gripper; None if nothing moves beyond the arm's last joint.
    Raises:
        ConfigError: If what moves there does not open and close as two fingers do.
    """
    if not arm.fingers:
        return None
    actuators = _actuators(arm)
    trial = _Trial(arm, actuators)
    corners = [np.array(ends) for ends in product(*arm.model.actuator_ctrlrange[actuators])]
    tried = [trial.settle(ctrl) for ctrl in corners]
    tips, closing = trial.fingertips(tried)
    gaps = [trial.gap(qpos, tips, closing)[0] for qpos in tried]
    opened, closed = int(np.argmax(gaps)), int(np.argmin(gaps))
    if gaps[opened] - gaps[closed] < LEAST_STROKE_M:
        raise ConfigError(
            f"{arm.path}: {_listed(arm, actuators)} move the fingertips {_names(arm, tips[0])} and"
            f" {_names(arm, tips[1])} apart by only {1e3 * (gaps[opened] - gaps[closed]):.1f} mm;"
            f" expected at least {1e3 * LEAST_STROKE_M:g} mm"
        )
    shares = np.linspace(0.0, 1.0, NUM_OPENINGS)[:, None]
    path = corners[closed] + shares * (corners[opened] - corners[closed])
    measured = [trial.settle(ctrl) for ctrl in path[::-1]][::-1]  # closing, as it will
    widths, places = zip(*(trial.gap(qpos, tips, closing) for qpos in measured))
    place = [np.interp(HELD_M, widths, axis) for axis in np.transpose(places)]
    mine = arm.columns(arm.fingers)
    order = np.argsort(-np.abs(measured[-1][mine] - measured[0][mine]), kind="stable")
    gripper = Gripper(
        targets=tuple(zip(corners[closed].tolist(), corners[opened].tolist())),
        joints=tuple(arm.fingers[j] for j in order),
        postures=tuple(tuple(qpos[mine[order]].tolist()) for qpos in measured),
        half_opening_m=float(widths[-1]) / 2.0,
        pads=_names(arm, [*tips[0], *tips[1]]),
        palm=_names(arm, sorted(trial.touching - {*tips[0], *tips[1]})),
    )
    names = tuple(arm.model.actuator(a).name for a in actuators)
    return OwnGripper(gripper, names, np.array(place) - [0.0, 0.0, INSIDE_M], closing)


def _actuators(arm: ArmFile) -> list[int]:
    """The actuators that move fingers, through a joint or a tendon."""
    model, data = arm.model, mujoco.MjData(arm.model)
    mujoco.mj_forward(model, data)
    moment = np.zeros((model.nu, model.nv))
    mujoco.mju_sparse2dense(
        moment, data.actuator_moment, data.moment_rownnz, data.moment_rowadr, data.moment_colind
    )
    moves = np.abs(moment) > 1e-9
    found = np.flatnonzero(moves[:, arm.dofs(arm.fingers)].any(axis=1)).tolist()
    both = [a for a in found if moves[a, arm.dofs(arm.joints)].any()]
    joints = ", ".join(arm.fingers)
    if both:
        raise ConfigError(f"{arm.path}: {_listed(arm, both)} move arm and gripper at once")
    if not 1 <= len(found) <= MOST_ACTUATORS:
        raise ConfigError(
            f"{arm.path}: {len(found)} actuators move the joints beyond the arm ({joints});"
            f" a gripper has 1 to {MOST_ACTUATORS}, and without such joints ours is mounted"
        )
    for a in found:
        if not model.actuator_ctrllimited[a]:
            raise ConfigError(
                f"{arm.path}: {_listed(arm, [a])} of the gripper has no ctrlrange; give it the"
                " values that open and close it"
            )
    return found


class _Trial:
    """The gripper alone: the arm still, no gravity, its targets tried out."""

    def __init__(self, arm: ArmFile, actuators: list[int]):
        self.arm, self.actuators = arm, actuators
        self.model = arm.spec.copy().compile()
        self.model.opt.gravity[:] = 0.0
        self.model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST  # as scenes have
        self.model.opt.timestep = min(self.model.opt.timestep, LONGEST_STEP_S)
        self.model.dof_armature[arm.dofs(arm.joints)] = _HEAVY
        self.data = mujoco.MjData(self.model)
        self.touching = self._touching()

    def _touching(self) -> set[int]:
        """The geoms behind the arm's last joint that touch things, but for its own link's."""
        model = self.model
        link = int(model.jnt_bodyid[model.joint(self.arm.joints[-1]).id])
        beyond = {link}
        for body in range(link + 1, model.nbody):  # parents come first
            if int(model.body_parentid[body]) in beyond:
                beyond.add(body)
        touches = (model.geom_contype | model.geom_conaffinity) != 0
        bodies = beyond - {link}
        return {g for g in range(model.ngeom) if touches[g] and model.geom_bodyid[g] in bodies}

    def settle(self, ctrl: np.ndarray) -> np.ndarray:
        """Hold a target until the fingers are there; returns qpos."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.ctrl[self.actuators] = ctrl
        steps = int(SETTLE_S / self.model.opt.timestep)
        mujoco.mj_step(self.model, self.data, steps)
        if not np.isfinite(self.data.qpos).all() or self.data.time < 0.5 * SETTLE_S:
            raise ConfigError(
                f"{self.arm.path}: the gripper diverges when"
                f" {_listed(self.arm, self.actuators)} are set to {ctrl.tolist()}"
            )
        return self.data.qpos.copy()

    def fingertips(self, tried: list[np.ndarray]) -> tuple[list[list[int]], np.ndarray]:
        """The outermost geoms that move, by side, and along which axis they move apart."""
        boxes = np.array([self._boxes(qpos) for qpos in tried])  # (C, G, 8, 3)
        middles = boxes.mean(axis=2)
        moved = np.ptp(middles, axis=0)[:, :2].max(axis=1)  # (G,), across the approach
        moving = [g for g in sorted(self.touching) if moved[g] > 0.25 * LEAST_STROKE_M]
        if not moving:
            raise ConfigError(
                f"{self.arm.path}: {_listed(self.arm, self.actuators)} move no geom that can touch"
                " (contype, conaffinity) by 2.5 mm; the gripper needs two fingers"
            )
        ends = boxes[:, :, :, 2].max(axis=(0, 2))
        outermost = max(ends[g] for g in moving)
        tips = [g for g in moving if ends[g] > outermost - TIP_M]
        spread = (middles[:, tips] - middles[:, tips].mean(axis=(0, 1)))[:, :, :2]
        closing = np.append(np.linalg.svd(spread.reshape(-1, 2))[2][0], 0.0)
        places = (middles[:, tips] @ closing).mean(axis=0)
        sides = [
            [g for g, s in zip(tips, places - places.mean()) if s * way > 0] for way in (1, -1)
        ]
        if not all(sides):
            raise ConfigError(
                f"{self.arm.path}: one finger moves ({', '.join(_names(self.arm, tips))}); a"
                " gripper has two that close on each other"
            )
        return sides, closing

    def gap(
        self, qpos: np.ndarray, tips: list[list[int]], closing: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """How far apart the fingertips are [m], and the middle of their ends, (3,)."""
        boxes = self._boxes(qpos)
        one, other = (boxes[side].reshape(-1, 3) for side in tips)
        near, far = (one @ closing).min(), (other @ closing).max()
        both = np.concatenate([one, other])
        middle = (both.min(axis=0) + both.max(axis=0)) / 2.0
        middle += closing * ((near + far) / 2.0 - middle @ closing)
        middle[2] = both[:, 2].max()
        return float(near - far), middle

    def _boxes(self, qpos: np.ndarray) -> np.ndarray:
        """Corners of the box around each geom, in the site's axes [m], (G, 8, 3)."""
        model, data = self.model, self.data
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        signs = np.array(list(product((-1.0, 1.0), repeat=3)))
        corners = model.geom_aabb[:, None, :3] + signs * model.geom_aabb[:, None, 3:]
        turned = np.einsum("gij,gcj->gci", data.geom_xmat.reshape(-1, 3, 3), corners)
        site = data.site(self.arm.site)
        return (turned + data.geom_xpos[:, None] - site.xpos) @ site.xmat.reshape(3, 3)


def _names(arm: ArmFile, geoms: list[int]) -> tuple[str, ...]:
    return tuple(arm.model.geom(g).name for g in geoms)


def _listed(arm: ArmFile, actuators: list[int]) -> str:
    names = ", ".join(repr(arm.model.actuator(a).name) for a in actuators)
    return f"actuator {names}" if len(actuators) == 1 else f"actuators {names}"
