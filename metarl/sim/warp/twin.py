"""A model and its worlds on a device: what is put there, moved there, and read from there."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import mujoco
import numpy as np

from metarl.errors import SimulationError
from metarl.sim.warp import fields
from metarl.sim.warp.package import load

# What of a world's state is there, as MjData calls it.
MOVED = ("time", "qpos", "qvel", "act", "history", "qacc_warmstart", "plastic")
GIVEN = (
    "ctrl", "qfrc_applied", "xfrc_applied", "eq_active", "mocap_pos", "mocap_quat", "userdata",
)  # fmt: skip

_DOUBLINGS = 8  # of room for contacts and constraints

# Sensors that need no more than where things are and how they move.
_LIGHT = {
    int(getattr(mujoco.mjtSensor, f"mjSENS_{name}")) for name in (
        "FRAMEPOS", "FRAMEQUAT", "FRAMEXAXIS", "FRAMEYAXIS", "FRAMEZAXIS", "FRAMELINVEL",
        "FRAMEANGVEL", "VELOCIMETER", "GYRO", "JOINTPOS", "JOINTVEL", "BALLQUAT", "BALLANGVEL",
        "SUBTREECOM", "CLOCK",
    )
}  # fmt: skip


class Twin:
    """N worlds of one model on a device of Warp's, the first GPU or else the CPU.

    Args:
        model: The model; it is not changed.
        num_worlds: N.
        device: Where; None: wherever Warp prefers.
    Raises:
        SimulationError: If mujoco-warp cannot run the model; says what it lacks.
    """

    def __init__(self, model: mujoco.MjModel, num_worlds: int, device: Any = None):
        self._warp, self._mjw = load()
        self.num_worlds = num_worlds
        self.device = self._warp.get_device(device) if device else self._warp.get_preferred_device()
        self._host = _as_taken(model)
        self._doubled = 0
        self._room: dict[str, int] = {}
        early = self._host.sensor_needstage < _ACC
        self._light = set(self._host.sensor_type[early].tolist()) <= _LIGHT
        with self._warp.ScopedDevice(self.device):
            try:
                self.model = self._mjw.put_model(self._host)
            except (NotImplementedError, ValueError) as error:
                said = " ".join(str(error).split())
                raise SimulationError(f"physics 'warp' cannot run this model: {said}") from error
            self.model.opt.warn_overflow = 0  # it prints; `overflow` is asked instead
            if self.device.is_cuda:  # same seed, same run
                self.model.opt.deterministic = int(self._mjw.DeterminismType.ALL)
            self._make_data()

    def _make_data(self) -> None:
        self.data = self._mjw.make_data(self._host, nworld=self.num_worlds, **self._room)
        self._kept: dict[str, np.ndarray] = {}  # what was put last, of what seldom changes
        self._graphs: dict[tuple[int, int], Any] = {}

    # What is put there ------------------------------------------------------------------

    def put_fields(self, given: Mapping[str, np.ndarray], needed: Iterable[str]) -> None:
        """Give worlds their own model fields.

        Args:
            given: MjModel's fields by name, (N, ...) each.
            needed: Those of them that must not be passed over.
        Raises:
            SimulationError: If one that is needed cannot differ between worlds there.
        """
        with self._warp.ScopedDevice(self.device):
            for name, values in given.items():
                if fields.is_seen_only(name):
                    continue
                found = fields.holder_of(self.model, name)
                if found is None:
                    if name in needed:
                        raise fields.lacks(name)
                    continue  # MuJoCo derived it, for what only MuJoCo computes
                self._put_field(*found, fields.as_there(name, values))

    def _put_field(self, holder: Any, attribute: str, values: np.ndarray) -> None:
        array = getattr(holder, attribute)
        if array.shape[0] != self.num_worlds:  # until now one for all
            array = self._warp.zeros((self.num_worlds, *array.shape[1:]), dtype=array.dtype)
            array._is_batched = True
            setattr(holder, attribute, array)
            self._graphs.clear()
        _write(array, values)

    def put_places(self, xpos: np.ndarray, xmat: np.ndarray) -> None:
        """Say where geoms are, (N, ngeom, 3) and (N, ngeom, 9): those that never move stay there."""
        _write(self.data.geom_xpos, xpos)
        _write(self.data.geom_xmat, xmat)

    def put_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take over the worlds' state, by MjData's names, (N, ...) each."""
        for name, values in state.items():
            if name in _SELDOM:
                if name in self._kept and np.array_equal(self._kept[name], values, equal_nan=True):
                    continue
                self._kept[name] = values.copy()
            _write(getattr(self.data, name), values)

    # What happens there -----------------------------------------------------------------

    def advance(self, substeps: int, stage: int) -> None:
        """Move all worlds, then compute what is derived of their new state.

        Args:
            substeps: Time steps, 0 or more.
            stage: What is derived, an mjtStage.
        """
        with self._warp.ScopedDevice(self.device):
            if not self.device.is_cuda:
                self._run(substeps, stage)
                return
            key = substeps, stage
            if key not in self._graphs:
                with self._warp.ScopedCapture(self.device) as captured:
                    self._run(substeps, stage)
                self._graphs[key] = captured.graph
            self._warp.capture_launch(self._graphs[key])

    def _run(self, substeps: int, stage: int) -> None:
        mjw, model, data = self._mjw, self.model, self.data
        data.overflow.zero_()
        for _ in range(substeps):
            mjw.step(model, data)
        if stage >= _ACC:
            mjw.forward(model, data)
        elif stage > mujoco.mjtStage.mjSTAGE_NONE.value:
            self._derive()

    def _derive(self) -> None:
        """What of positions and velocities families read; forces stay as the last step had them."""
        mjw, model, data = self._mjw, self.model, self.data
        if self._light:
            mjw.fwd_kinematics(model, data)
        else:
            mjw.fwd_position(model, data)
        if model.nsensor:
            mjw.sensor_pos(model, data)
            if self._light:
                mjw.com_vel(model, data)
            else:
                mjw.fwd_velocity(model, data)
            mjw.sensor_vel(model, data)

    def make_room(self) -> bool:
        """Make room for more contacts and constraints, if some did not find any.

        Returns:
            Whether some did not: what was moved since is wrong then, and the state is to be put anew.
        Raises:
            SimulationError: If there are too many, or something else did not fit.
        """
        bits = int(np.bitwise_or.reduce(self.data.overflow.numpy()))
        kinds = self._mjw.OverflowType
        grows = kinds.NEFC | kinds.NJMAX_NNZ | kinds.BROADPHASE | kinds.NARROWPHASE | kinds.CCD
        limits = kinds.ITERATIONS | kinds.LS_ITERATIONS  # the solver's own, as in MuJoCo
        rest = bits & ~int(limits)
        if not rest:
            return False
        if rest & ~int(grows) or self._doubled == _DOUBLINGS:
            names = ", ".join(str(kind.name) for kind in kinds if kind & rest and kind != kinds.ALL)
            raise SimulationError(
                f"physics 'warp' has no room for what happens in these worlds ({names});"
                " leave --physics out"
            )
        self._doubled += 1
        data = self.data
        self._room = {name: 2 * getattr(data, name) for name in ("naconmax", "njmax", "njmax_nnz")}
        with self._warp.ScopedDevice(self.device):
            self._make_data()
        return True

    # What is read from there ------------------------------------------------------------

    def read(self, name: str) -> np.ndarray:
        """A field of MjData, (N, ...), single precision.

        Raises:
            SimulationError: If there is none of that name.
        """
        array = getattr(self.data, name, None)
        if not isinstance(array, self._warp.array) or array.shape[:1] != (self.num_worlds,):
            raise SimulationError(f"physics 'warp' has no {name}; leave --physics out")
        return array.numpy()


_ACC = mujoco.mjtStage.mjSTAGE_ACC.value
_SELDOM = {"history", "plastic", "qfrc_applied", "xfrc_applied", "eq_active"}


def _as_taken(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy with the flags under which mujoco-warp computes what MuJoCo does."""
    taken = copy.copy(model)
    flags = int(taken.opt.disableflags)
    # It never puts a world back by itself, and refuses the flag that says so.
    flags &= ~int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    # With it, boxes that touch were seen to go other ways than MuJoCo's.
    flags |= int(mujoco.mjtDisableBit.mjDSBL_NATIVECCD)
    taken.opt.disableflags = flags
    return taken


def _write(array: Any, values: np.ndarray) -> None:
    """Copy numbers into an array on whatever device."""
    if not array.size:
        return
    if array.device.is_cpu:
        there = array.numpy()
        there[...] = values.reshape(there.shape)
    else:
        shape = (*array.shape, *getattr(array.dtype, "_shape_", ()))
        array.assign(np.ascontiguousarray(values).reshape(shape))
