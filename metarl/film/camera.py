"""A camera on worlds: a picture of each as an observation."""

from __future__ import annotations

import copy
from typing import Any

import mujoco
import numpy as np

from metarl.errors import ConfigError, UnknownNameError, require
from metarl.film.render import Renderer
from metarl.machine import require_memory
from metarl.sim.scene import Scene
from metarl.sim.worlds import Worlds

SIZE = 84  # pixels a side, as of most networks that act on pictures
_LARGEST = 1024
_STATE = mujoco.mjtState.mjSTATE_INTEGRATION.value  # what a batch keeps of a world


class Camera:
    """Takes pictures of worlds, for a policy to see; without shadows and mirrors.

    What a picture shows is seen, though the family hides it in its observations. All is drawn in
    the thread that took the first picture: MuJoCo's drawing in several threads at once was seen to
    end the process on a software driver, which itself rasterises on every core.

    Args:
        worlds: The worlds; they are not changed.
        size: Width and height of a picture [pixels].
        name: Which of the family's `cameras`; None is the first one.
    Raises:
        ConfigError: If the family lets no camera be observed, the size is out of range, or memory
            does not suffice.
        UnknownNameError: If the family lets no such camera be observed, or a model lacks it.
    """

    def __init__(self, worlds: Worlds, size: int = SIZE, name: str | None = None):
        whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
        require(whole and 1 <= size <= _LARGEST, "picture size", size, f"1 to {_LARGEST} pixels")
        n, cameras = worlds.num_worlds, worlds.family.cameras
        require_memory(n * size * size * 3, f"pictures of {n} worlds")
        if not cameras:
            known = worlds.family.id or type(worlds.family).__name__
            raise ConfigError(
                f"{known} lets no camera be observed; its observations are 'flat' or 'dict'"
            )
        if name is not None and name not in cameras:
            raise UnknownNameError("camera that may be observed", str(name), cameras)
        self.worlds, self.size, self.name = worlds, int(size), name or cameras[0]
        for model in worlds.models.values():
            names = [model.camera(i).name for i in range(model.ncam)]
            if self.name not in names:
                raise UnknownNameError("camera", self.name, [x for x in names if x])
        self._open: dict[str, tuple[Renderer, mujoco.MjModel, mujoco.MjData]] = {}  # by model

    def shoot(self, ids: np.ndarray | None = None) -> np.ndarray:
        """Take pictures.

        Args:
            ids: Of which worlds; omitted, of all.
        Returns:
            RGB, shape (n, size, size, 3), uint8; they belong to nobody else.
        Raises:
            RenderError: If nothing can be drawn here; the message says what to install.
        """
        ids = np.arange(self.worlds.num_worlds) if ids is None else np.asarray(ids, int)
        out = np.empty((len(ids), self.size, self.size, 3), np.uint8)
        for picture, i in zip(out, ids.tolist()):
            scene, row = self.worlds.place(i)
            renderer, model, data = self._of(self.worlds.model_name(i), scene)
            for field, values in scene.own_fields().items():
                owner, _, field = field.rpartition(".")
                getattr(model.opt if owner else model, field)[...] = values[row]
            mujoco.mj_setState(model, data, scene.batch.state[row], _STATE)
            mujoco.mj_fwdKinematics(model, data)
            renderer.frame(model, data, picture)
        return out

    def _of(self, name: str, scene: Scene) -> tuple[Renderer, mujoco.MjModel, mujoco.MjData]:
        if name not in self._open:
            model = copy.copy(scene.model)
            renderer = Renderer(model, self.size, self.size, self.name, film=False)
            self._open[name] = renderer, model, mujoco.MjData(model)
        return self._open[name]

    def close(self) -> None:
        """Free the drawing contexts; the next picture opens others."""
        for renderer, _, _ in self._open.values():
            renderer.close()
        self._open.clear()

    def __getstate__(self) -> dict[str, Any]:
        """A copy opens drawing contexts of its own."""
        return {**vars(self), "_open": {}}
