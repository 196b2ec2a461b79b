"""What holds the worlds of a scene and moves them: the contract, and who fulfils it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import mujoco
import numpy as np
from mujoco.batch import Batch

from metarl.physics import WARP, require_physics

# Up to so many worlds a batch keeps an MjData for each: a step then begins where the last one
# ended, which saves a tenth, until their memory no longer fits the processor's cache.
PERSISTENT_WORLDS = 16


class Batched(Protocol):
    """N worlds of one model, as `Scene` asks for them: part of `mujoco.batch.Batch`.

    State fields (`qpos`, `ctrl`, `userdata`, ...) are views of `state`, on the host, in double
    precision: what is written there is the world's state at the next call. Derived fields
    (`site_xpos`, `sensordata`, ...) are live and current after every call, for the worlds of the
    call. What moves the worlds may live elsewhere; it takes from here, and gives back here, in
    every call.

    Attributes:
        state: A world's whole state a row, `mjSTATE_INTEGRATION`, (N, S).
        warning: Per world and kind of warning: its argument, and how often it came since the last
            reset, (N, W, 2). Worlds that left the finite numbers have one of the four BAD kinds.
    """

    state: np.ndarray
    warning: np.ndarray

    def bind(self, name: str) -> np.ndarray:
        """A field of MjData, live, (N, ...)."""

    def expand(self, name: str) -> np.ndarray:
        """A field of MjModel with a value per world from now on, live, (N, ...)."""

    def expanded(self, name: str) -> np.ndarray | None:
        """Likewise, if it has values per world, given by `expand` or found by `set_const`."""

    def step(self, ids: Any = None, nstep: int = 1, stage: int = 0) -> None:
        """Advance worlds by time steps, then compute stages at the new state."""

    def forward(self, ids: Any = None, stage: int = ...) -> None:
        """Compute stages at the state as it is."""

    def reset(self, ids: Any = None, keyframe: Any = -1, stage: int = ...) -> None:
        """Put worlds into the model's default state."""

    def set_const(self, ids: Any = None) -> None:
        """Derive constants from worlds' own model fields."""

    def jac(self, body: Any, point: Any, ids: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """How points on a body move and turn with each degree of freedom, (N, 3, nv) each."""

    def get_model(self, sim: int) -> mujoco.MjModel:
        """A world's model."""

    def get_data(self, sim: int) -> mujoco.MjData:
        """A world's state."""


MakeBatch = Callable[[mujoco.MjModel, int, int], Any]  # model, worlds, threads -> a `Batched`


def on_cores(model: mujoco.MjModel, num_worlds: int, num_threads: int) -> Batch:
    """Make worlds that MuJoCo itself moves, on threads of this process.

    Args:
        model: The compiled model.
        num_worlds: N.
        num_threads: How many threads; 0 takes every core.
    """
    return Batch(model, num_worlds, num_threads, persistent=num_worlds <= PERSISTENT_WORLDS)


def on_warp(model: mujoco.MjModel, num_worlds: int, num_threads: int) -> Batch:
    """Make worlds that mujoco-warp moves, on a GPU where there is one.

    Raises:
        SimulationError: If it cannot run the model; the message says what it lacks.
    """
    from metarl.sim.warp.batch import WarpBatch

    return WarpBatch(model, num_worlds, num_threads)


def maker_of(physics: str) -> MakeBatch:
    """Say who makes the worlds of a physics.

    Raises:
        ConfigError: As `require_physics`, like MissingDependencyError.
    """
    require_physics(physics)
    return on_warp if physics == WARP else on_cores
