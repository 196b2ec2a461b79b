"""What a family sees: named live arrays over N worlds of one model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import mujoco
import numpy as np
from mujoco.batch import Batch

from metarl.errors import SimulationError, unknown

VELOCITY_STAGE = mujoco.mjtStage.mjSTAGE_VEL.value


class Scene:
    """N worlds of one model on a `mujoco.batch.Batch`.

    State arrays (`qpos`, `qvel`, `ctrl`, `userdata`) are views: a write is the worlds'
    state. Derived arrays (`site_pos`, `body_pos`, `sensor`, ...) are live, read-only, and
    current after every control step. Every lookup is cached.

    Args:
        model: The compiled model.
        num_worlds: N.
        num_threads: Physics threads; 0 takes every core.
    """

    def __init__(self, model: mujoco.MjModel, num_worlds: int, num_threads: int = 0):
        self.model = model
        self.num_worlds = num_worlds
        self.batch = Batch(model, num_worlds, num_threads)
        self._cache: dict[tuple[str, str], np.ndarray] = {}
        low, high = model.actuator_ctrlrange.T
        self.ctrl_mid = (high + low) / 2  # (nu,)
        self.ctrl_half = (high - low) / 2  # (nu,)

    @cached_property
    def qpos(self) -> np.ndarray:
        """Joint positions, (N, nq)."""
        return self.batch.bind("qpos")

    @cached_property
    def qvel(self) -> np.ndarray:
        """Joint velocities, (N, nv)."""
        return self.batch.bind("qvel")

    @cached_property
    def ctrl(self) -> np.ndarray:
        """Actuator targets, (N, nu)."""
        return self.batch.bind("ctrl")

    @cached_property
    def userdata(self) -> np.ndarray:
        """State beyond physics, (N, nuserdata)."""
        return self.batch.bind("userdata")

    def joint_pos(self, name: str) -> np.ndarray:
        """A joint's qpos, (N, 1 or 4 or 7), writable."""
        return self._view("jpos", name, lambda: self.batch.joint(name).qpos)

    def joint_vel(self, name: str) -> np.ndarray:
        """A joint's qvel, (N, 1 or 3 or 6), writable."""
        return self._view("jvel", name, lambda: self.batch.joint(name).qvel)

    def site_pos(self, name: str) -> np.ndarray:
        """A site's place in the world [m], (N, 3)."""
        return self._view("spos", name, lambda: self.batch.site(name).xpos)

    def site_mat(self, name: str) -> np.ndarray:
        """A site's orientation, rotation matrices row by row, (N, 9)."""
        return self._view("smat", name, lambda: self.batch.site(name).xmat)

    def site_jacobian(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """How a site moves and turns with each degree of freedom, (N, 3, nv) each."""
        body = int(self.model.site(name).bodyid[0])
        return self.batch.jac(body, self.site_pos(name))

    def body_pos(self, name: str) -> np.ndarray:
        """A body's place in the world [m], (N, 3)."""
        return self._view("bpos", name, lambda: self.batch.body(name).xpos)

    def body_mat(self, name: str) -> np.ndarray:
        """A body's orientation, rotation matrices row by row, (N, 9)."""
        return self._view("bmat", name, lambda: self.batch.body(name).xmat)

    def body_quat(self, name: str) -> np.ndarray:
        """A body's orientation, quaternions, (N, 4)."""
        return self._view("bquat", name, lambda: self.batch.body(name).xquat)

    def mocap_pos(self, name: str) -> np.ndarray:
        """Where a mocap body is put [m], (N, 3), writable."""
        index = int(self.model.body(name).mocapid[0])
        return self._view("mocap", name, lambda: self.batch.bind("mocap_pos")[:, index])

    def mocap_quat(self, name: str) -> np.ndarray:
        """How a mocap body is turned, quaternions, (N, 4), writable."""
        index = int(self.model.body(name).mocapid[0])
        return self._view("mquat", name, lambda: self.batch.bind("mocap_quat")[:, index])

    def sensor(self, name: str) -> np.ndarray:
        """A sensor's reading, (N, dim)."""
        return self._view("sensor", name, lambda: self.batch.sensor(name).data)

    def model_field(self, name: str) -> np.ndarray:
        """An MjModel field with a value per world, (N, ...), writable.

        A family writes it in `configure`; the constants that MuJoCo derives from it follow.
        """
        return self._view("model", name, lambda: self.batch.expand(name))

    def restore_model_fields(self, ids: np.ndarray) -> None:
        """Give worlds the model's own values back, so that no task leaves a trace."""
        for (kind, name), values in self._cache.items():
            if kind == "model":
                owner, _, field = name.rpartition(".")
                values[ids] = getattr(self.model.opt if owner else self.model, field)

    def derive_constants(self, ids: np.ndarray) -> None:
        """Let the constants that MuJoCo derives follow the worlds' own model fields."""
        inputs = mujoco.MjModel._setconst_inputs
        names = [name for kind, name in self._cache if kind == "model"]
        if any(name in inputs or name.startswith("opt.") for name in names):
            self.batch.set_const(ids)

    def id(self, kind: str, name: str) -> int:
        """The index of a named object, for example ``id("body", "pot")``."""
        try:
            return int(getattr(self.model, kind)(name).id)
        except (KeyError, AttributeError) as error:
            raise SimulationError(f"no {kind} named {name!r} in the model: {error}") from error

    def _view(self, kind: str, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        key = (kind, name)
        found = self._cache.get(key)
        if found is None:
            found = self._bind(kind, name, make)
            self._cache[key] = found
        return found

    def _bind(self, kind: str, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        try:
            view = make()
        except (KeyError, ValueError, AttributeError) as error:
            raise SimulationError(self._no_such(kind, name, error)) from error
        if kind not in ("jpos", "jvel", "mocap", "mquat", "model"):
            # a derived field bound between calls reads zero until the next call
            self.batch.forward(stage=VELOCITY_STAGE)
        return view

    def _no_such(self, kind: str, name: str, error: Exception) -> str:
        kinds = {"jpos": "joint", "jvel": "joint", "spos": "site", "smat": "site"}
        kinds |= {"bpos": "body", "bmat": "body", "bquat": "body", "sensor": "sensor"}
        if kind not in kinds:
            return str(error)
        what = kinds[kind]
        count = getattr(self.model, f"n{what}" if what != "joint" else "njnt")
        names = [getattr(self.model, what)(i).name for i in range(count)]
        return unknown(what, name, [n for n in names if n])


def compile_model(source: object, origin: str) -> mujoco.MjModel:
    """Compile an MjSpec, MJCF text or the path of an MJCF file.

    Args:
        source: What a family's `models` returned.
        origin: Who returned it, for the message.
    Raises:
        SimulationError: If it does not parse or compile; MuJoCo's message has the line.
    """
    try:
        model = _compile(source)
    except (ValueError, FileNotFoundError, mujoco.FatalError) as error:
        raise SimulationError(f"{origin}: the model does not compile: {error}") from error
    # A diverged world must be seen, not quietly put back to its default state.
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    return model


def _compile(source: object) -> mujoco.MjModel:
    if isinstance(source, mujoco.MjModel):
        return source
    if isinstance(source, mujoco.MjSpec):
        return source.compile()
    text = str(source)
    if text.lstrip().startswith("<"):
        return mujoco.MjModel.from_xml_string(text)
    return mujoco.MjModel.from_xml_path(text)
