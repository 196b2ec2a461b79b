"""Frames of one world: films with shadows, observation cameras without."""

from __future__ import annotations

import copy
import ctypes
import os
import threading
import warnings
import weakref
from types import TracebackType
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from metarl.errors import ConfigError, RenderError, UnknownNameError
from metarl.film.gl import forked_error, gl_error, prepare_gl
from metarl.film.stage import FREE_CAMERA, Stage

if TYPE_CHECKING:
    from metarl.sim.worlds import Worlds

FILM_SHADOW_MAP = 2048  # texels a side, at most; 4096 took 1.6 times as long
FILM_SAMPLES = 4
# Roundness of an observation camera's shapes; at 84 pixels nobody sees the difference to
# MuJoCo's own 28 x 16, and it is what a machine without GPU spends its time on.
SLICES, STACKS, QUADS = 16, 8, 1


_live: weakref.WeakSet[Renderer] = weakref.WeakSet()


def _after_fork() -> None:
    """Let go of drawing contexts of the other process: to free them here would wait for ever."""
    for renderer in list(_live):
        renderer.leave()


os.register_at_fork(after_in_child=_after_fork)


class Renderer:
    """Draws worlds of one model, in the thread that made it; a context manager.

    Args:
        model: The compiled model; it is not changed.
        width: Width of a frame [pixels].
        height: Height of a frame [pixels].
        camera: A camera's name or index; -1 is the free camera that sees everything.
        film: With shadows, mirrors and multisampling for people, or without for policies, which
            is many times faster on a machine without GPU.
        stage: What the model lacks: a light, a floor, a sky, and a view where `camera` is free.
    Raises:
        RenderError: If nothing can be drawn here; the message says what to install.
        UnknownNameError: If there is no such camera.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        width: int,
        height: int,
        camera: str | int = FREE_CAMERA,
        *,
        film: bool,
        stage: Stage | None = None,
    ):
        if width < 1 or height < 1:
            raise ConfigError(f"a frame is {width} x {height} pixels; expected at least 1 x 1")
        self._camera = find_camera(model, camera)
        self._stage, self._free = stage, camera == FREE_CAMERA
        if stage is not None and self._free:
            self._camera = stage.view(model)
        drawn = model if stage is None else stage.painted
        self._renderer = _open(_with_quality(drawn, width, height, film), width, height)
        self._process, self._thread = os.getpid(), threading.get_ident()
        _live.add(self)
        flags = self._renderer.scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = film
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = film  # each mirror draws the scene once more

    def frame(
        self, model: mujoco.MjModel, data: mujoco.MjData, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Draw one world.

        Args:
            model: The model that the renderer was made for, or a world's own variant of it
                (colours, sizes and lights may differ).
            data: Its state; positions are current (after ``mj_forward``).
            out: Where to put the pixels; None makes a new array.
        Returns:
            RGB, shape (height, width, 3), uint8.
        """
        self._require_place()
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        option, scene = mujoco.MjvOption(), self._renderer.scene
        if self._stage is not None and self._free:
            self._stage.follow(self._camera, data)
        mujoco.mjv_updateScene(model, data, option, None, self._camera, everything, scene)
        if self._stage is not None:
            self._stage.dress(scene, np.array(self._camera.lookat))
        return self._renderer.render(out=out)

    def frame_of(self, worlds: Worlds, i: int) -> np.ndarray:
        """Draw one of some worlds that run on its model: RGB, shape (height, width, 3), uint8."""
        model, data = worlds.world(i)  # the model too: colours follow what cooks
        mujoco.mj_forward(model, data)
        return self.frame(model, data)

    def close(self) -> None:
        """Free the drawing context; in another thread than its own it stays until the process ends."""
        if (os.getpid(), threading.get_ident()) == (self._process, self._thread):
            self._renderer.close()
        else:
            self.leave()

    def leave(self) -> None:
        """Keep what another thread or process draws with from being freed here."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._renderer))

    def _require_place(self) -> None:
        if os.getpid() != self._process:
            raise forked_error()
        if threading.get_ident() != self._thread:
            raise RenderError(
                "this renderer was made in another thread, and its drawing context belongs to that"
                " one; draw there, or make a renderer (an environment) in each thread"
            )

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _with_quality(model: mujoco.MjModel, width: int, height: int, film: bool) -> mujoco.MjModel:
    # The drawing context takes these from the model when it is made.
    model = copy.copy(model)
    own = model.vis.quality.shadowsize
    model.vis.quality.shadowsize = min(own, FILM_SHADOW_MAP) if film else 0
    model.vis.quality.offsamples = FILM_SAMPLES if film else 0
    if not film:
        model.vis.quality.numslices, model.vis.quality.numstacks = SLICES, STACKS
        model.vis.quality.numquads = QUADS
    model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
    model.vis.global_.offheight = max(height, model.vis.global_.offheight)
    return model


def _open(model: mujoco.MjModel, width: int, height: int) -> mujoco.Renderer:
    prepare_gl()
    with warnings.catch_warnings(record=True) as told:  # by the window system, which tells more
        warnings.simplefilter("always")
        try:
            return mujoco.Renderer(model, height=height, width=width)
        except Exception as error:  # each GL backend raises its own
            raise gl_error(told[0].message if told else error) from error


def find_camera(model: mujoco.MjModel, name: str | int) -> mujoco.MjvCamera:
    """Look one of a model's cameras up.

    Args:
        model: The compiled model.
        name: Its name or index; -1 is the free camera.
    Raises:
        UnknownNameError: If there is no such camera; lists those with a name.
    """
    camera = mujoco.MjvCamera()
    if name == FREE_CAMERA:
        mujoco.mjv_defaultFreeCamera(model, camera)
        return camera
    names = [model.camera(i).name for i in range(model.ncam)]
    index = names.index(name) if name in names else name
    if not isinstance(index, int) or not 0 <= index < model.ncam:
        raise UnknownNameError("camera", str(name), [n for n in names if n])
    camera.type = mujoco.mjtCamera.mjCAMERA_FIXED  # type: ignore[assignment]
    camera.fixedcamid = index
    return camera
