"""What a family of others' environments sees of them: readings over N worlds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarl.sim.outside.benches import Interface
from metarl.sim.outside.worker import Arrays

_REST = ("reward", "terminated", "truncated")


class OutsideScene:
    """N environments as they were after their last step or reset.

    Args:
        num_worlds: N.
        readings: Which entries of `info` are read.
    Attributes:
        obs: Parts of the observations, (N, D_i) each; an observation without parts is
            ``observation``.
        reward: What the environments gave, (N,); 0 after a reset.
        terminated: Likewise, (N,) bool.
        truncated: Likewise, (N,) bool.
        info: The readings by name, (N,) each; 0 after a reset.
        ctrl: What the environments are given next, (N, A).
        ctrl_mid: The middle of their actions, (A,).
        ctrl_half: Half their width, (A,).
    """

    def __init__(self, num_worlds: int, readings: Sequence[str]):
        self.num_worlds, self.readings = num_worlds, tuple(readings)
        self.obs: dict[str, np.ndarray] = {}
        self.reward = np.zeros(num_worlds)
        self.terminated, self.truncated = np.zeros(num_worlds, bool), np.zeros(num_worlds, bool)
        self.info = {name: np.zeros(num_worlds) for name in self.readings}
        self.ctrl: np.ndarray = np.zeros((num_worlds, 0))
        self.ctrl_mid: np.ndarray = np.zeros(0)
        self.ctrl_half: np.ndarray = np.zeros(0)
        self.spoilt = np.zeros(num_worlds, bool)

    def declare(self, interface: Interface) -> None:
        """Take note of what the environments declare."""
        if self.obs:
            return
        n = self.num_worlds
        for name, shape, kind in interface.blocks:
            self.obs[name] = np.zeros((n, int(np.prod(shape, dtype=int))), kind)
        with np.errstate(invalid="ignore"):  # of no range, which is told in its place
            self.ctrl_mid = (interface.high + interface.low) / 2.0
            self.ctrl_half = (interface.high - interface.low) / 2.0
        self.ctrl = np.zeros((n, len(interface.low)))

    @property
    def num_actuators(self) -> int:
        """How many numbers an environment takes."""
        return self.ctrl.shape[1]

    @property
    def unlimited(self) -> list[int]:
        """Which of these have no finite range, or an empty one."""
        return np.flatnonzero(~(np.isfinite(self.ctrl_half) & (self.ctrl_half > 0))).tolist()

    # What the environments gave -----------------------------------------------------------

    def write_start(self, ids: np.ndarray, given: Arrays) -> np.ndarray:
        """Take first observations; says which are finite, (n,) bool."""
        good = _finite(given, len(ids))
        for name in self.obs:
            self.obs[name][ids] = given[f"obs.{name}"]
        for values in (self.reward, self.terminated, self.truncated, *self.info.values()):
            values[ids] = 0
        return good

    def write(self, ids: np.ndarray, given: Arrays) -> np.ndarray:
        """Take what a step gave; one that is not finite leaves the last observation where it is.

        Returns:
            Which are finite, (n,) bool.
        """
        good = _finite(given, len(ids)) & ~self.spoilt[ids]
        self.spoilt[ids] = False
        for name in self.obs:
            self.obs[name][ids[good]] = given[f"obs.{name}"][good]
        rest = given["rest"].T
        self.reward[ids] = np.where(good, rest[0], 0.0)
        self.terminated[ids], self.truncated[ids] = good & (rest[1] > 0), good & (rest[2] > 0)
        for values, read in zip(self.info.values(), rest[len(_REST) :]):
            values[ids] = np.where(good, read, 0.0)
        return good

    def forget(self, ids: np.ndarray) -> None:
        """What some environments earned is lost; their last observation stays."""
        for values in (self.reward, self.terminated, self.truncated, *self.info.values()):
            values[ids] = 0

    # What checks ask ----------------------------------------------------------------------

    def wrote_no_numbers(self, suspects: np.ndarray) -> tuple[str, str, np.ndarray]:
        """Whether the family's `act` gave what is not finite: method, what, and which rows."""
        rows = np.flatnonzero(suspects & ~np.isfinite(self.ctrl).all(axis=1))
        return ("act", "ctrl", rows) if len(rows) else ("", "", rows)

    def moving(self) -> list[np.ndarray]:
        """What shows that a world moves, (N, ...) each."""
        return [*self.obs.values(), self.reward[:, None]]

    def spoil(self, i: int) -> None:
        """Let the next step of a world give what is not finite."""
        self.spoilt[i] = True


def _finite(given: Arrays, n: int) -> np.ndarray:
    good = np.ones(n, bool)
    for values in given.values():
        if values.dtype.kind == "f":
            good &= np.isfinite(values.reshape(n, -1)).all(axis=1)
    return good
