"""A posture from which an arm can work, found by inverse kinematics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from metarl.errors import ConfigError
from metarl.robots.arm_file import ArmFile
from metarl.robots.rotations import rotation_matrix

NUM_STARTS = 16
MOST_STEPS = 60
NEAR = 1e-3  # what an error of the hand may be: metres and radians
FAILED = 0.02  # a hand that stays so far away does not get there
LOWEST_M = 0.02  # of the arm's links above the counter
POINTS_DOWN = 0.98  # least cosine
_YAW_RAD, _TILT_RAD = 1.2, 1.1  # how far the hand turns over the counter
_DIGITS = 4  # the same posture on every machine


@dataclass(frozen=True)
class Hold:
    """Where on an arm things are held.

    Args:
        place_m: In the site's axes, (3,).
        turn_rad: From the site's x axis to the hand's, about z; None: as it is best.
        two_ways: Half a turn more is as good.
    """

    place_m: tuple[float, float, float]
    turn_rad: float | None = None
    two_ways: bool = False


def turned_forward(arm: ArmFile, home: np.ndarray, hold: Hold) -> Hold:
    """Turn the hand so that its x axis points forward at home.

    Args:
        arm: The file.
        home: The arm's joints, (J,).
        hold: Where it holds things.
    Raises:
        ConfigError: If the hand does not point down, or its fingers do not close sideways.
    """
    axes = arm.at(home).site(arm.site).xmat.reshape(3, 3)
    if not axes[2, 2] <= -POINTS_DOWN:
        raise ConfigError(
            f"at home, z of {arm.site!r} in {arm.path} is {_numbers(axes[:, 2])}; the hand must"
            " point straight down (0 0 -1)"
        )
    free = float(np.arctan2(axes[0, 1], axes[0, 0]))
    if hold.turn_rad is None:
        return replace(hold, turn_rad=free)
    turn = hold.turn_rad
    if hold.two_ways and np.cos(free - turn) < 0.0:
        turn = float(np.arctan2(-np.sin(turn), -np.cos(turn)))
    off = float(np.arctan2(np.sin(free - turn), np.cos(free - turn)))
    if abs(off) > np.arccos(POINTS_DOWN):
        raise ConfigError(
            f"at home, the fingers of {arm.path} are turned by {off:.2f} rad; they must close"
            f" sideways, along y: turn the hand by the arm's last joints, or leave home out"
        )
    return replace(hold, turn_rad=turn)


def hand_m(arm: ArmFile, home: np.ndarray, hold: Hold) -> np.ndarray:
    """Where things are held at home [m], (3,)."""
    site = arm.at(home).site(arm.site)
    return site.xpos + site.xmat.reshape(3, 3) @ hold.place_m


def find_home(
    arm: ArmFile, hold: Hold, place_m: np.ndarray, workspace: np.ndarray
) -> tuple[np.ndarray, Hold]:
    """Find a posture in which the hand points down over the counter and can go everywhere.

    Of the postures found from many starts it takes one from which the hand reaches the corners
    of the workspace and tilts, and among those the one whose joints move least on the way; of
    an arm with a joint to spare, the one nearest to the middle of the joints' ranges.

    Args:
        arm: The file.
        hold: Where it holds things.
        place_m: Where the hand shall be [m], (3,).
        workspace: Lowest and highest place of the hand [m], (2, 3).
    Returns:
        The joints' positions [rad or m], (J,), and the hold, turned.
    Raises:
        ConfigError: If no start leads there.
    """
    solver, limits = _Solver(arm, hold.place_m), arm.limits()
    yaws = (0.0, np.pi) if hold.two_ways else (0.0,)
    found: dict[tuple[float, ...], np.ndarray] = {}
    least, middle = np.inf, limits[:, -1].mean()
    for start, yaw in product(_starts(arm, limits), yaws):
        posture, error = solver.reach(start, place_m, _down(yaw), hold.turn_rad, relaxed=True)
        least = min(least, error)
        if error < NEAR:
            posture = _unwound(arm, posture, limits).round(_DIGITS)
            alike = tuple(posture[:-1].round(1))  # the last joint mostly turns the hand in place
            known = found.setdefault(alike, posture)
            if abs(posture[-1] - middle) < abs(known[-1] - middle):
                found[alike] = posture
    if not found:
        raise ConfigError(
            f"no posture of {arm.path} brings {arm.site!r} to {_numbers(place_m)} m in front of"
            f" its base, pointing straight down (the nearest is off by {least:.2f}); give"
            " home=POSITION:POSITION:..."
        )
    best = min(
        found.values(),
        key=lambda q: (*_effort(solver, arm, hold, q, place_m, workspace), *q),
    )
    return best, turned_forward(arm, best, hold)


def _starts(arm: ArmFile, limits: np.ndarray) -> list[np.ndarray]:
    """Where searches begin: the file's keyframe, the middle, and anywhere."""
    rng = np.random.default_rng(0)
    low, high = np.clip(limits, -np.pi, np.pi)
    middle = _middle(limits)
    drawn = [rng.uniform(low, high) for _ in range(NUM_STARTS)]
    key = arm.keyframe()
    return ([] if key is None else [np.clip(key, *limits)]) + [middle] + drawn


def _middle(limits: np.ndarray) -> np.ndarray:
    return np.clip(limits, -np.pi, np.pi).mean(axis=0)


def _unwound(arm: ArmFile, posture: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Take whole turns back until each hinge is nearest to the middle of its range."""
    hinge = [arm.is_hinge(name) for name in arm.joints]
    turns = np.round((posture - limits.mean(axis=0)) / (2.0 * np.pi)) * (2.0 * np.pi)
    return np.where(hinge, posture - turns, posture)


def _effort(
    solver: _Solver,
    arm: ArmFile,
    hold: Hold,
    home: np.ndarray,
    place_m: np.ndarray,
    workspace: np.ndarray,
) -> tuple[int, float]:
    """How often the hand does not get there from home, or a link is too low; how far joints go.

    An arm with a spare joint can do with little, twisted: there it counts how twisted it is.
    """
    turn = turned_forward(arm, home, hold).turn_rad
    low, high = np.append(workspace[:, :2], [[0.05], [place_m[2]]], axis=1)
    ends = np.transpose([0.8 * low + 0.2 * high, 0.2 * low + 0.8 * high])
    corners = [np.array(corner) for corner in product(*ends)]
    probes = [(corner, _down(0.0)) for corner in corners]
    probes += [(corner, _down(0.0, _TILT_RAD)) for corner in corners if corner[2] > low[2] + 0.1]
    probes += [(place_m, _down(yaw)) for yaw in (-_YAW_RAD, _YAW_RAD)]
    failures, farthest = 0, 0.0
    for place, axes in probes:
        posture, error = solver.reach(home, place, axes, turn)
        failures += (error > FAILED) + (solver.lowest_m() < LOWEST_M)
        farthest = max(farthest, float(np.abs(posture - home).max()))
    if solver.is_spare(turn):
        farthest = float(np.abs(home - _middle(arm.limits())).max())
    return failures, round(farthest, 2)


def _down(yaw: float, tilt: float = 0.0) -> np.ndarray:
    return rotation_matrix(np.array([yaw]), np.array([tilt]))[0]


class _Solver:
    """Inverse kinematics of one arm, by mink."""

    def __init__(self, arm: ArmFile, place_m: tuple[float, float, float]):
        import mink  # half a second

        self.mink, self.arm, self.place_m = mink, arm, np.array(place_m)
        self.configuration = mink.Configuration(arm.model)
        self.columns = arm.columns(arm.joints)
        self.limits = [mink.ConfigurationLimit(arm.model)]
        self.middle = mink.PostureTask(arm.model, cost=0.02, lm_damping=0.1)
        qpos = arm.model.qpos0.copy()
        qpos[self.columns] = _middle(arm.limits())
        self.middle.set_target(qpos)
        owners = arm.model.jnt_bodyid[[arm.model.joint(name).id for name in arm.joints]]
        self.links = [int(body) for body in owners[1:]]  # the first one may stand on the counter

    def reach(
        self,
        start: np.ndarray,
        place_m: np.ndarray,
        axes: np.ndarray,
        turn: float | None,
        relaxed: bool = False,
    ) -> tuple[np.ndarray, float]:
        """Bring the hand to a place from a posture.

        Args:
            start: The joints, (J,).
            place_m: Where things are held there, (3,).
            axes: Of the hand, (3, 3).
            turn: Of the hand on the site [rad]; None: it may be turned about its z axis.
            relaxed: Let spare joints go to the middle of their ranges first.
        Returns:
            The joints, and what remains of the error, in metres or radians.
        """
        mink, configuration = self.mink, self.configuration
        free = turn is None
        task = mink.FrameTask(
            self.arm.site,
            "site",
            position_cost=1.0,
            orientation_cost=[0.3, 0.3, 0.0 if free else 0.3],
            lm_damping=0.1,
        )
        cosine, sine = np.cos(turn or 0.0), np.sin(turn or 0.0)
        back = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        rotation = axes @ back  # of the site
        pose = mink.SE3.from_rotation_and_translation(
            mink.SO3.from_matrix(rotation), place_m - rotation @ self.place_m
        )
        task.set_target(pose)
        qpos = self.arm.model.qpos0.copy()
        qpos[self.columns] = start
        configuration.update(qpos)
        error = np.inf
        spare = relaxed and self.is_spare(turn)
        for step in range(MOST_STEPS):
            tasks = [task, self.middle] if spare and step < MOST_STEPS // 2 else [task]
            try:
                velocity = mink.solve_ik(configuration, tasks, 1.0, "daqp", limits=self.limits)
            except mink.NoSolutionFound:
                break
            configuration.integrate_inplace(velocity, 1.0)
            if len(tasks) > 1:
                continue
            left = np.abs(task.compute_error(configuration))[: 5 if free else 6].max()
            if left < 0.01 * NEAR or abs(error - left) < 1e-9:
                error = left
                break
            error = left
        return configuration.q[self.columns].copy(), float(error)

    def is_spare(self, turn: float | None) -> bool:
        """Whether the arm has more joints than the hand needs."""
        return len(self.columns) > (5 if turn is None else 6)

    def lowest_m(self) -> float:
        """How high the lowest joint of the arm is where it came to [m], but for the first one."""
        heights = self.configuration.data.xpos[self.links, 2]
        return float(heights.min(initial=np.inf))


def _numbers(values: np.ndarray) -> str:
    return "(" + " ".join(f"{value:.2f}" for value in values) + ")"
