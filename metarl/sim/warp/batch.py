"""A `mujoco.batch.Batch` whose worlds are moved by mujoco-warp."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from mujoco.batch import MODEL_FIELDS, Batch

from metarl.sim.warp import fields
from metarl.sim.warp.differs import tell_differences
from metarl.sim.warp.twin import GIVEN, MOVED, Twin

_NONE = mujoco.mjtStage.mjSTAGE_NONE.value
_POS, _ACC = mujoco.mjtStage.mjSTAGE_POS.value, mujoco.mjtStage.mjSTAGE_ACC.value
_WARNING = mujoco.mjtWarning
_CHECKED = {"qpos": int(_WARNING.mjWARN_BADQPOS), "qvel": int(_WARNING.mjWARN_BADQVEL)}
_BADCTRL = int(_WARNING.mjWARN_BADCTRL)


class WarpBatch(Batch):
    """N worlds of one model, held here and moved by mujoco-warp; see `metarl.sim.batches.Batched`.

    The host holds the state; every call takes it to the device, and brings back what moved and
    what was bound. What derives from a model is MuJoCo's: defaults, constants, Jacobians.

    Numbers are in single precision. Contacts and constraints that find no room are noticed: the
    call is done again with twice as much.

    Args:
        model: The compiled model.
        nsim: N.
        nthread: Threads of what MuJoCo itself does; 0 takes every core.
    Raises:
        SimulationError: If mujoco-warp cannot run the model; says what it lacks.
    """

    def __init__(self, model: mujoco.MjModel, nsim: int, nthread: int = 0):
        self._outputs: dict[str, np.ndarray] = {}  # derived fields that were bound, writable here
        self._own: set[str] = set()  # model fields that were given values per world
        self._put: dict[str, np.ndarray] = {}  # as they were when they were put last
        self._mixed = False  # whether MuJoCo itself has written derived fields
        super().__init__(model, nsim, nthread, persistent=False)
        self._states = {name: self.bind(name) for name in (*MOVED, *GIVEN)}
        self._states = {name: values for name, values in self._states.items() if values.size}
        self._twin = Twin(model, nsim)
        tell_differences(model)

    def bind(self, name: str) -> np.ndarray:
        """As `Batch.bind`; a derived field is zero until the next call."""
        found = super().bind(name)
        if not np.may_share_memory(found, self.state) and name not in self._outputs:
            if hasattr(self, "_twin"):
                self._twin.read(name)  # whether it is there
            writable = found.view()
            writable.flags.writeable = True
            self._outputs[name] = writable
        return found

    def expand(self, name: str) -> np.ndarray:
        """As `Batch.expand`."""
        self._own.add(name)
        return super().expand(name)

    def step(self, ids: Any = None, nstep: int = 1, stage: int = _NONE) -> None:
        """As `Batch.step`."""
        rows = self._rows(ids)
        bad = ~(abs(self._states["ctrl"]) < mujoco.mjMAXVAL) if self.model.nu else None
        self._run(rows, nstep, stage, bad)
        for name, kind in _CHECKED.items():
            if name in self._states:
                self._warn(rows, kind, ~(abs(self._states[name]) < mujoco.mjMAXVAL))
        if bad is not None:
            self._warn(rows, _BADCTRL, bad)

    def forward(self, ids: Any = None, stage: int = _ACC) -> None:
        """As `Batch.forward`."""
        rows = self._rows(ids)
        if len(rows):
            self._follow(everything=True)
            self._run(rows, 0, stage, None)

    def reset(self, ids: Any = None, keyframe: Any = -1, stage: int = _ACC) -> None:
        """As `Batch.reset`."""
        super().reset(ids, keyframe, _NONE)
        if stage != _NONE:
            self.forward(ids, stage)

    # ------------------------------------------------------------------------------------

    def _run(self, rows: np.ndarray, nstep: int, stage: int, bad: np.ndarray | None) -> None:
        self._follow(everything=False)
        given = dict(self._states)
        if bad is not None and bad.any():  # as MuJoCo does: it lets go
            given["ctrl"] = np.where(bad.any(axis=1, keepdims=True), 0.0, given["ctrl"])
        while True:
            self._twin.put_state(given)
            self._twin.advance(nstep, stage)
            if not self._twin.make_room():
                break
            self._put_places()
        for name in MOVED if nstep else ():
            if name in self._states:
                self._take(self._states[name], name, rows)
        if stage != _NONE:
            rows = np.arange(self.nsim) if self._mixed else rows
            for name, values in self._outputs.items():
                self._take(values, name, rows)
            self._mixed = False

    def _take(self, values: np.ndarray, name: str, rows: np.ndarray) -> None:
        found = self._twin.read(name).reshape(values.shape)
        if len(rows) == self.nsim:
            values[...] = found
        else:
            values[rows] = found[rows]

    def _warn(self, rows: np.ndarray, kind: int, bad: np.ndarray) -> None:
        if bad.any():
            self.warning[rows[bad[rows].any(axis=1)], kind, 1] += 1

    def _rows(self, ids: Any) -> np.ndarray:
        if ids is None:
            return np.arange(self.nsim)
        ids = np.asarray(ids)
        return np.flatnonzero(ids) if ids.dtype == bool else ids

    def _follow(self, *, everything: bool) -> None:
        """Put model fields that have changed since they were put last.

        Args:
            everything: Also those that MuJoCo derived, which only `set_const` changes.
        """
        names = MODEL_FIELDS if everything else self._own
        changed = dict[str, np.ndarray]()
        for name in names:
            values = None if fields.is_seen_only(name) else self.expanded(name)
            if values is None:
                continue
            put = self._put.get(name)
            if put is None or not np.array_equal(put, values):
                changed[name] = self._put[name] = values.copy()
        if changed:
            self._twin.put_fields(changed, self._own)
            if fields.PLACES & changed.keys():
                self._put_places()

    def _put_places(self) -> None:
        """Where worlds place geoms that never move, which MuJoCo finds."""
        if not fields.PLACES & self._put.keys():
            return
        xpos, xmat = super().bind("geom_xpos"), super().bind("geom_xmat")
        super().forward(None, _POS)
        self._mixed = True
        self._twin.put_places(xpos, xmat)
