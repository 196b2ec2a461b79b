"""The live window of `metarl watch`: MuJoCo's own viewer, at true speed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from metarl.commands.output import say
from metarl.errors import RenderError
from metarl.film.gl import load_triton_first

if TYPE_CHECKING:
    from metarl.sim.worlds import Worlds
    from metarl.types import Act, Split


def show(worlds: Worlds, act: Act, split: Split, episodes: int) -> None:
    """Play episodes, each on a task of its own, until the window is closed.

    Args:
        worlds: A single world, with its task.
        act: The policy.
        split: Where further tasks come from.
        episodes: How many.
    """
    if not worlds.has_models:
        say("no live window: these environments draw themselves; the film shows the same")
        return
    try:
        for number in range(episodes):
            if number:
                worlds.assign(worlds.sample(split))
            if not _show_episode(worlds, act):
                return
    except RenderError as error:
        say(f"no live window: {error}")


def _show_episode(worlds: Worlds, act: Act) -> bool:
    """Play one episode in MuJoCo's viewer at true speed; False if the window was closed."""
    import mujoco

    model, data = worlds.world()
    obs = worlds.reset()
    mujoco.mj_forward(model, data)
    with _open_viewer(model, data) as viewer:
        if worlds.family.film_camera != -1:
            _look_as_in_films(viewer.cam, data.camera(worlds.family.film_camera))
        while viewer.is_running() and not worlds.done[0]:
            due_s = time.monotonic() + worlds.family.control_dt_s
            obs = worlds.step(act(obs)).obs
            with viewer.lock():
                present, state = worlds.world()
                model.geom_rgba[:] = present.geom_rgba  # colours follow what cooks
                _copy_state(model, state, data)
                mujoco.mj_forward(model, data)
            viewer.sync()
            time.sleep(max(0.0, due_s - time.monotonic()))
        return viewer.is_running()


@contextlib.contextmanager
def _open_viewer(model: Any, data: Any) -> Iterator[Any]:
    import mujoco.viewer

    load_triton_first()  # the window loads the same drivers as offscreen drawing
    try:
        viewer = mujoco.viewer.launch_passive(model, data, show_left_ui=False, show_right_ui=False)
    except Exception as error:  # whatever the window system raises
        raise RenderError(" ".join(str(error).split())) from error
    with viewer:
        yield viewer


def _look_as_in_films(view: Any, camera: Any) -> None:
    """Put a free camera, which the mouse turns, where the film's camera is."""
    ahead = -camera.xmat.reshape(3, 3)[:, 2]
    view.distance = 1.0
    view.lookat[:] = camera.xpos + view.distance * ahead
    view.azimuth = np.degrees(np.arctan2(ahead[1], ahead[0]))
    view.elevation = np.degrees(np.arcsin(ahead[2]))


def _copy_state(model: Any, source: Any, target: Any) -> None:
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION.value
    state = np.empty(mujoco.mj_stateSize(model, kind))
    mujoco.mj_getState(model, source, state, kind)
    mujoco.mj_setState(model, target, state, kind)
