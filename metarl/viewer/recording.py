"""Episodes as they went: where everything was, how it looked, and what it earned."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from metarl.types import Act, Step

if TYPE_CHECKING:
    from metarl.sim.worlds import Worlds

UNSET = np.array([0.5, 0.5, 0.5, 1.0], np.float32)  # a geom's RGBA that gives way to its material's


@dataclass(frozen=True)
class Recording:
    """One episode, at T moments: its start, and after each control step.

    Args:
        label: Whose it is: ``before``, ``after 5 updates``, or a policy's name.
        model: The world's model, as the episode began.
        positions: Of bodies [m], shape (T, num_bodies, 3).
        quaternions: Of bodies, w first, shape (T, num_bodies, 4).
        colours: Of geoms, RGBA, each 0 to 1, shape (T, num_geoms, 4).
        captions: What the family says, T texts.
        terms: Each weighted reward term by name, shape (T,); nothing is earned before the first step.
        score: Graded outcome so far, shape (T,).
        success: Whether it would count as solved now, shape (T,), bool.
        dt_s: Time between two moments [s].
    """

    label: str
    model: mujoco.MjModel
    positions: np.ndarray
    quaternions: np.ndarray
    colours: np.ndarray
    captions: tuple[str, ...]
    terms: dict[str, np.ndarray]
    score: np.ndarray
    success: np.ndarray
    dt_s: float

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def changing(self) -> np.ndarray:
        """Which geoms change their colour, shape (C,)."""
        return np.flatnonzero((self.colours != self.colours[0]).any(axis=(0, 2)))

    @property
    def moving(self) -> np.ndarray:
        """Which bodies move, (num_bodies,) bool; all, if none does."""
        moves = np.ptp(self.positions, axis=0).max(axis=1) > 1e-3
        return moves if moves.any() else np.ones_like(moves)

    def earned(self, moment: int) -> dict[str, tuple[float, float]]:
        """Each term's reward at a moment, and its sum until then."""
        return {
            name: (float(given[moment]), float(given[: moment + 1].sum()))
            for name, given in self.terms.items()
        }


def record(worlds: Worlds, act: Act, label: str) -> Recording:
    """Run an episode in a single world, and keep all of it.

    Args:
        worlds: One world, whose task is assigned; it is reset here.
        act: The policy.
        label: Whose episode it is.
    """
    obs = worlds.reset()
    model, data = worlds.world()
    first = copy.copy(model)
    moments, steps = [_moment(worlds, model, data)], list[Step]()
    while not worlds.done[0]:
        steps.append(worlds.step(act(obs)))
        obs = steps[-1].obs
        model, data = worlds.world()
        moments.append(_moment(worlds, model, data))
    positions, quaternions, colours, captions = zip(*moments)
    terms = {n: np.array([0.0, *(float(s.terms[n][0]) for s in steps)]) for n in steps[0].terms}
    return Recording(
        label=label, model=first, positions=np.stack(positions),
        quaternions=np.stack(quaternions), colours=np.stack(colours), captions=captions,
        terms=terms, score=np.array([0.0, *(float(s.score[0]) for s in steps)]),
        success=np.array([False, *(bool(s.success[0]) for s in steps)]),
        dt_s=worlds.family.control_dt_s,
    )  # fmt: skip


Moment = tuple[np.ndarray, np.ndarray, np.ndarray, str]


def _moment(worlds: Worlds, model: mujoco.MjModel, data: mujoco.MjData) -> Moment:
    mujoco.mj_kinematics(model, data)
    return data.xpos.copy(), data.xquat.copy(), _colours(model), worlds.caption()


def _colours(model: mujoco.MjModel) -> np.ndarray:
    """RGBA of every geom: its own, or its material's where it has none, as MuJoCo draws it."""
    found = model.geom_rgba.copy()
    plain = (model.geom_matid >= 0) & (found == UNSET).all(axis=1)
    if plain.any():
        found[plain] = model.mat_rgba[model.geom_matid[plain]]
    return found
