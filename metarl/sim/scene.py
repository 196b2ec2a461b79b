"""What a family sees: named live arrays over N worlds of one model."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch
from mujoco.batch import SimulationError as BatchError

from metarl.errors import SimulationError, unknown
from metarl.sim.batches import MakeBatch, on_cores
from metarl.sim.rows import Rows

VELOCITY_STAGE = mujoco.mjtStage.mjSTAGE_VEL.value

# BADQPOS, BADQVEL, BADQACC, BADCTRL
_BAD = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADCTRL) + 1)

# Kinds of views: whose attribute they are. Derived ones are current only after a call.
_STATE = {"jpos": ("joint", "qpos"), "jvel": ("joint", "qvel")}
_DERIVED = {
    "spos": ("site", "xpos"),
    "smat": ("site", "xmat"),
    "bpos": ("body", "xpos"),
    "bmat": ("body", "xmat"),
    "bquat": ("body", "xquat"),
    "sensor": ("sensor", "data"),
}
# What a family writes into the state itself -> its method that does.
_WRITTEN = {"ctrl": "act", "mocap_pos": "act", "mocap_quat": "act", "userdata": "advance"}
_MOCAP = {"mocap": "mocap_pos", "mquat": "mocap_quat"}


_live: weakref.WeakSet[Scene] = weakref.WeakSet()


def _after_fork() -> None:
    for scene in list(_live):
        scene.leave_threads()


os.register_at_fork(after_in_child=_after_fork)


class _LeftBehind:
    """A batch whose threads stayed in the process that this one was forked from.

    Args:
        batch: The batch; its arrays can be read.
    """

    def __init__(self, batch: Batch):
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        if name in ("step", "forward", "reset", "set_const", "jac"):
            raise left_behind()
        return getattr(self._batch, name)


def left_behind() -> SimulationError:
    """What is said of worlds that a forked process has inherited."""
    return SimulationError(
        "these worlds were made before this process was forked, and their physics threads are not"
        " in it; make them here, go on with copy.deepcopy(env), use num_threads=1, or start"
        " processes by 'spawn'"
    )


class Scene:
    """N worlds of one model on a `mujoco.batch.Batch`, or on what stands for one.

    State arrays (`qpos`, `qvel`, `ctrl`, `userdata`) are views: a write is the worlds'
    state. Derived arrays (`site_pos`, `body_pos`, `sensor`, ...) are live, read-only, and
    current after every control step. Every lookup is cached.

    Args:
        model: The compiled model.
        num_worlds: N.
        num_threads: Physics threads; 0 takes every core.
        capacity: For how many worlds `resize` finds room; by default N.
        make_batch: Who holds and moves them; see `metarl.sim.batches`.
    Attributes:
        batch: Its batch, or the rows of it that are its worlds.
        qpos: Joint positions, (N, nq).
        qvel: Joint velocities, (N, nv).
        ctrl: Actuator targets, (N, nu).
        userdata: State beyond physics, (N, nuserdata).
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        num_worlds: int,
        num_threads: int = 0,
        capacity: int = 0,
        make_batch: MakeBatch = on_cores,
    ):
        self.model = model
        self.make_batch = make_batch
        self.num_threads = num_threads
        self.forked = False  # whether its threads are another process's
        self.capacity = max(num_worlds, capacity)
        self._whole: Any = make_batch(model, self.capacity, num_threads)
        self._found: dict[tuple[str, str], np.ndarray] = {}  # over the whole batch
        low, high = model.actuator_ctrlrange.T
        self._ctrl_mid, self._ctrl_half = (high + low) / 2, (high - low) / 2
        for constant in (self._ctrl_mid, self._ctrl_half):  # programs are written with them
            constant.setflags(write=False)
        self._unlimited = tuple(np.flatnonzero(low == high).tolist())
        self.resize(num_worlds)
        _live.add(self)

    # Copies -----------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Everything that its worlds' next steps depend on."""
        fields = {name: x.copy() for (kind, name), x in self._found.items() if kind == "model"}
        return {
            "model": self.model,
            "physics": self._whole.get_model(0),  # its own: what is edited in `model` is not there
            "num_worlds": self.num_worlds,
            "num_threads": self.num_threads,
            "make_batch": self.make_batch,
            "capacity": self.capacity,
            "state": self._whole.state.copy(),
            "fields": fields,
            "views": [key for key in self._found if key[0] != "model"],
        }

    def __setstate__(self, saved: dict[str, Any]) -> None:
        """Run the same worlds on a batch of its own."""
        capacity = saved["capacity"]
        Scene.__init__(
            self, saved["physics"], capacity, saved["num_threads"], make_batch=saved["make_batch"]
        )
        self.model = saved["model"]
        self._whole.state[:] = saved["state"]
        for name, values in saved["fields"].items():
            self.model_field(name)[:] = values
        self.derive_constants(np.arange(capacity))
        self.forward()
        for kind, name in saved["views"]:
            self._view(kind, name)
        self.resize(saved["num_worlds"])

    def leave_threads(self) -> None:
        """Refuse all that needs the threads of the process that this one was forked from."""
        alone = self.num_threads == 1 and self.make_batch is on_cores  # a GPU is left behind, too
        if not alone and not self.forked:
            self.forked = True
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._whole))  # its end would wait for them
            self._whole = _LeftBehind(self._whole)
            self.resize(self.num_worlds)

    @property
    def num_actuators(self) -> int:
        """How many numbers control a world."""
        return self.model.nu

    @property
    def ctrl_mid(self) -> np.ndarray:
        """The middle of each actuator's control range, (nu,); see `ctrl_half`."""
        self.require_ranges()
        return self._ctrl_mid

    @property
    def ctrl_half(self) -> np.ndarray:
        """Half of each actuator's control range, (nu,).

        Raises:
            SimulationError: As `require_ranges`.
        """
        self.require_ranges()
        return self._ctrl_half

    def require_ranges(self) -> None:
        """Check that every actuator has a control range, so that actions can be scaled to it.

        Raises:
            SimulationError: If one has none; the message names it.
        """
        if self._unlimited:
            names = [self.model.actuator(i).name or f"number {i}" for i in self._unlimited]
            raise SimulationError(
                f"actuators without a control range: {', '.join(names)}; actions in [-1, 1] would"
                ' do nothing. Write ctrlrange="low high" in the MJCF, or let the family\'s act()'
                " write worlds.ctrl itself"
            )

    # Its worlds -------------------------------------------------------------------------

    def resize(self, num_worlds: int) -> None:
        """Have another number of worlds, the first rows of the batch; arrays change with it."""
        self.num_worlds = num_worlds
        spare = num_worlds < self.capacity
        self.batch: Batch | Rows = Rows(self._whole, num_worlds) if spare else self._whole
        self._views = {key: values[:num_worlds] for key, values in self._found.items()}
        self._bad = self.batch.warning[:, _BAD, 1]
        self.qpos, self.qvel = self.batch.bind("qpos"), self.batch.bind("qvel")
        self.ctrl, self.userdata = self.batch.bind("ctrl"), self.batch.bind("userdata")

    def clear(self, ids: np.ndarray) -> None:
        """Put worlds into the model's default state, whatever ran in their rows before."""
        self.restore_model_fields(ids)
        self.batch.reset(ids, stage=mujoco.mjtStage.mjSTAGE_NONE.value)

    def take_over(self, source: Scene, there: np.ndarray, here: np.ndarray) -> None:
        """Continue worlds that ran in other rows, or in another scene of this model.

        `derive_constants` and `forward` must follow.

        Args:
            source: Where they ran until now, perhaps this scene.
            there: Their rows in its batch, (n,).
            here: Their rows from now on, (n,).
        """
        for (kind, name), values in source._found.items():
            if kind == "model":
                self.model_field(name)  # finds it in this scene
                self._found[kind, name][here] = values[there]
        self._whole.state[here] = source._whole.state[there]

    def step(self, substeps: int) -> np.ndarray | None:
        """Advance every world; derived arrays are current afterwards.

        Returns:
            Which worlds left the finite numbers, (N,) bool; None if none did.
        """
        failed: np.ndarray | None = None
        try:
            self.batch.step(nstep=substeps, stage=VELOCITY_STAGE)
        except BatchError as error:
            failed = error.ids
        state = self.batch.state
        finite = np.isfinite(state)
        if (
            failed is None
            and not np.count_nonzero(self._bad)
            and np.count_nonzero(finite) == state.size
        ):
            return None
        diverged = self._bad.any(axis=1) | ~finite.all(axis=1)
        if failed is not None:
            diverged[failed] = True
        return diverged

    def wrote_no_numbers(self, failed: np.ndarray) -> tuple[str, str, np.ndarray]:
        """Find what a family wrote where numbers are not finite though joints still are.

        Args:
            failed: Worlds that left the finite numbers in a step, (N,) bool.
        Returns:
            The family's method, the array, and the worlds, (N,) bool; empty texts if physics
            itself is to blame.
        """
        moves = np.isfinite(self.qpos).all(axis=1) & np.isfinite(self.qvel).all(axis=1)
        for name, method in _WRITTEN.items():
            values = self.batch.bind(name).reshape(self.num_worlds, -1)
            most = mujoco.mjMAXVAL if name == "ctrl" else np.inf  # beyond it, MuJoCo takes 0
            bad = failed & moves & ~(abs(values) < most).all(axis=1)
            if bad.any():
                return method, name, bad
        return "", "", failed

    def moving(self) -> list[np.ndarray]:
        """What shows that a world moves, (N, ...) each."""
        return [self.qpos, self.qvel, self.userdata]

    def spoil(self, i: int) -> None:
        """Put a world where its physics leaves the finite numbers in the next step."""
        (self.qvel if self.model.nv else self.qpos)[i] = np.nan

    def state_without_numbers(self, ids: np.ndarray) -> str:
        """Find an array of some worlds' state that is not finite; empty if there is none."""
        if np.isfinite(self.batch.state[ids]).all():
            return ""
        names = ("qpos", "qvel", *_WRITTEN)
        bad = [name for name in names if not np.isfinite(self.batch.bind(name)[ids]).all()]
        return bad[0] if bad else "a state"

    def field_without_numbers(self, ids: np.ndarray) -> str:
        """Find an own model field of some worlds that is not finite; empty if there is none."""
        for name, values in self.own_fields().items():
            if values.dtype.kind == "f" and not np.isfinite(values[ids]).all():
                return name
        return ""

    def own_fields(self) -> dict[str, np.ndarray]:
        """The model fields with a value per world, by name, (N, ...) each; see `model_field`."""
        return {name: values for (kind, name), values in self._views.items() if kind == "model"}

    def forward(self, ids: np.ndarray | None = None) -> None:
        """Make derived arrays current after writes to the state."""
        self.batch.forward(ids, stage=VELOCITY_STAGE)

    # Named arrays -----------------------------------------------------------------------

    def joint_pos(self, name: str) -> np.ndarray:
        """A joint's qpos, (N, 1 or 4 or 7), writable."""
        return self._view("jpos", name)

    def joint_vel(self, name: str) -> np.ndarray:
        """A joint's qvel, (N, 1 or 3 or 6), writable."""
        return self._view("jvel", name)

    def site_pos(self, name: str) -> np.ndarray:
        """A site's place in the world [m], (N, 3)."""
        return self._view("spos", name)

    def site_mat(self, name: str) -> np.ndarray:
        """A site's orientation, rotation matrices row by row, (N, 9)."""
        return self._view("smat", name)

    def site_jacobian(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """How a site moves and turns with each degree of freedom, (N, 3, nv) each."""
        body = int(self.model.site(name).bodyid[0])
        return self.batch.jac(body, self.site_pos(name))

    def body_pos(self, name: str) -> np.ndarray:
        """A body's place in the world [m], (N, 3)."""
        return self._view("bpos", name)

    def body_mat(self, name: str) -> np.ndarray:
        """A body's orientation, rotation matrices row by row, (N, 9)."""
        return self._view("bmat", name)

    def body_quat(self, name: str) -> np.ndarray:
        """A body's orientation, quaternions, (N, 4)."""
        return self._view("bquat", name)

    def mocap_pos(self, name: str) -> np.ndarray:
        """Where a mocap body is put [m], (N, 3), writable."""
        return self._view("mocap", name)

    def mocap_quat(self, name: str) -> np.ndarray:
        """How a mocap body is turned, quaternions, (N, 4), writable."""
        return self._view("mquat", name)

    def sensor(self, name: str) -> np.ndarray:
        """A sensor's reading, (N, dim)."""
        return self._view("sensor", name)

    def history(self) -> np.ndarray:
        """What sensors and actuators with a delay remember, (N, nhistory); read-only."""
        return self.batch.bind("history")

    def model_field(self, name: str) -> np.ndarray:
        """An MjModel field with a value per world, (N, ...), writable.

        A family writes it in `configure`; the constants that MuJoCo derives from it follow.
        """
        return self._view("model", name)

    def restore_model_fields(self, ids: np.ndarray) -> None:
        """Give worlds the model's own values back, so that no task leaves a trace."""
        for (kind, name), values in self._found.items():
            if kind == "model":
                owner, _, field = name.rpartition(".")
                values[ids] = getattr(self.model.opt if owner else self.model, field)

    def derive_constants(self, ids: np.ndarray) -> None:
        """Let the constants that MuJoCo derives follow the worlds' own model fields."""
        inputs = mujoco.MjModel._setconst_inputs
        names = [name for kind, name in self._found if kind == "model"]
        if len(ids) and any(name in inputs or name.startswith("opt.") for name in names):
            self.batch.set_const(ids)

    def id(self, kind: str, name: str) -> int:
        """The index of a named object, for example ``id("body", "pot")``."""
        try:
            return int(getattr(self.model, kind)(name).id)
        except (KeyError, AttributeError) as error:
            raise SimulationError(f"no {kind} named {name!r} in the model: {error}") from error

    def _view(self, kind: str, name: str) -> np.ndarray:
        found = self._views.get((kind, name))
        return self._bind(kind, name) if found is None else found

    def _bind(self, kind: str, name: str) -> np.ndarray:
        try:
            whole = self._find(kind, name)
        except (KeyError, ValueError, AttributeError) as error:
            raise SimulationError(self._no_such(kind, name, error)) from error
        if kind in _DERIVED:  # one bound between calls reads zero until the next call
            self.forward()
        self._found[kind, name] = whole
        self._views[kind, name] = whole[: self.num_worlds]
        return self._views[kind, name]

    def _find(self, kind: str, name: str) -> np.ndarray:
        if kind == "model":
            return self._whole.expand(name)
        if kind in _MOCAP:
            index = int(self.model.body(name).mocapid[0])
            return self._whole.bind(_MOCAP[kind])[:, index]
        what, attribute = (_STATE | _DERIVED)[kind]
        return getattr(getattr(self._whole, what)(name), attribute)

    def _no_such(self, kind: str, name: str, error: Exception) -> str:
        kinds = {"jpos": "joint", "jvel": "joint", "spos": "site", "smat": "site"}
        kinds |= {"bpos": "body", "bmat": "body", "bquat": "body", "sensor": "sensor"}
        if kind not in kinds:
            return str(error)
        what = kinds[kind]
        count = getattr(self.model, f"n{what}" if what != "joint" else "njnt")
        names = [getattr(self.model, what)(i).name for i in range(count)]
        return unknown(what, name, [n for n in names if n])
