"""Episodes on film."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metarl.errors import ConfigError
from metarl.film.captions import burn, tile
from metarl.film.encoder import write_film
from metarl.film.own import OwnPictures, Painter
from metarl.film.render import Renderer
from metarl.film.stage import FREE_CAMERA, Stage, is_bare
from metarl.types import Act, Step

if TYPE_CHECKING:
    from metarl.sim.worlds import Worlds

WIDTH, HEIGHT = 640, 480

Caption = Callable[[int, Step | None], str]  # (control steps done, the last one) -> text


def episode_frames(
    worlds: Worlds,
    act: Act,
    renderer: Painter,
    *,
    world: int = 0,
    caption: Caption | None = None,
    every: int = 1,
) -> Iterator[np.ndarray]:
    """Run one episode of every world and draw one of them, a frame a control step.

    Args:
        worlds: Their tasks are assigned; they are reset here.
        act: The policy.
        renderer: Made for that world's model.
        world: Which world is drawn.
        caption: What stands at the bottom of each frame; None for nothing.
        every: Only each so manyth control step has a frame, and the last one: time lapse.
    Yields:
        RGB, shape (H, W, 3), uint8.
    """
    obs, step = worlds.reset(), None
    for done in range(worlds.family.horizon + 1):
        ended = step is not None and bool(worlds.done[world])
        if done % every == 0 or ended:
            yield _shot(worlds, renderer, world, caption(done, step) if caption else "")
        if ended:
            return
        step = worlds.step(act(obs))
        obs = step.obs
        over = worlds.done.copy()
        over[world] = False
        if over.any():
            obs = worlds.reset(np.flatnonzero(over))


def all_frames(
    worlds: Worlds,
    act: Act,
    renderers: Mapping[str, Painter],
    columns: int,
    *,
    caption: Callable[[int, int, Step | None], str] | None = None,
) -> Iterator[np.ndarray]:
    """Run one episode of every world and draw all of them; one that has ended waits on its last frame.

    Args:
        worlds: Their tasks are assigned; they are reset here.
        act: The policy.
        renderers: By the name of a model, as `Worlds.model_name` gives it, all of one size.
        columns: How many worlds stand side by side.
        caption: What stands at the bottom of a world's frame, from (world, control steps done, the last
            one); None for nothing.
    Yields:
        RGB, shape (H, W, 3), uint8.
    """
    obs, step = worlds.reset(), None
    running = np.ones(worlds.num_worlds, bool)
    shown: list[np.ndarray] = [np.empty(0)] * worlds.num_worlds
    for done in range(worlds.family.horizon + 1):
        for i in np.flatnonzero(running).tolist():
            text = caption(i, done, step) if caption else ""
            shown[i] = _shot(worlds, renderers[worlds.model_name(i)], i, text)
        yield tile(shown, columns)
        running &= ~worlds.done if step is not None else True
        if not running.any():
            return
        if step is not None and worlds.done.any():
            obs = worlds.reset(np.flatnonzero(worlds.done))
        step = worlds.step(act(obs))
        obs = step.obs


def _shot(worlds: Worlds, renderer: Painter, world: int, text: str) -> np.ndarray:
    frame = renderer.frame_of(worlds, world)
    if told := worlds.caption(world):
        frame = burn(frame, told, at="top")
    return burn(frame, text, at="bottom") if text else frame


def film_renderer(
    worlds: Worlds,
    world: int = 0,
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    camera: str | int | None = None,
) -> Painter:
    """Make the renderer of a world's films, with shadows.

    A model without light, floor or sky is given them, for the film alone, and a view of all that
    happens where the camera is free. Environments of others draw themselves.

    Args:
        worlds: The worlds.
        world: Which of them.
        width: Width [pixels].
        height: Height [pixels].
        camera: A camera's name or index, -1 for the free one; None is the family's film camera.
    Raises:
        ConfigError: If a camera is given of environments that draw themselves.
        RenderError: If nothing can be drawn here.
        UnknownNameError: If there is no such camera.
    """
    if not worlds.has_models:
        if camera is not None and camera != worlds.family.film_camera:
            raise ConfigError(
                f"camera is {camera!r}; the environments of {worlds.family.id} draw themselves: leave"
                " it out"
            )
        return OwnPictures(width, height)
    model, _ = worlds.world(world)
    camera = worlds.family.film_camera if camera is None else camera
    stage = Stage(worlds, world) if is_bare(model) or camera == FREE_CAMERA else None
    return Renderer(model, width, height, camera, film=True, stage=stage)


def film_episode(
    worlds: Worlds,
    act: Act,
    path: Path | str,
    *,
    world: int = 0,
    caption: Caption | None = None,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> Path:
    """Film one episode at its true speed.

    Args:
        worlds: Their tasks are assigned; they are reset here.
        act: The policy, observations (N, D) -> actions (N, A).
        path: The file, .mp4 or .gif; a film that is there is replaced.
        world: Which world is filmed.
        caption: Text for a frame from (control steps done, the last `Step` or None).
        width: Width [pixels].
        height: Height [pixels].
    Returns:
        The path.
    Raises:
        OutputError: If the film cannot be written there.
        RenderError: If nothing can be drawn or encoded; the message names the remedy.
    """
    with film_renderer(worlds, world, width=width, height=height) as renderer:
        frames = episode_frames(worlds, act, renderer, world=world, caption=caption)
        return write_film(path, frames, 1.0 / worlds.family.control_dt_s)
