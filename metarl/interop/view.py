"""Pictures of an environment's worlds."""

from __future__ import annotations

from typing import Any

import numpy as np

from metarl.errors import ConfigError, require
from metarl.film.episode import HEIGHT, WIDTH, film_renderer
from metarl.film.own import Painter
from metarl.film.render import find_camera
from metarl.sim.worlds import Worlds

_LARGEST = 8192  # pixels a side; drawing contexts end soon after


class View:
    """Draws worlds as their films show them.

    Args:
        worlds: The worlds.
        render_mode: ``"rgb_array"`` or None: nobody will ask for pictures.
        width: Width of a frame [pixels].
        height: Height of a frame [pixels].
        camera: A camera's name or index, -1 for the free one; None is the family's film camera.
    Raises:
        ConfigError: If the mode or the size is not valid.
        UnknownNameError: If a model has no such camera.
    """

    def __init__(
        self,
        worlds: Worlds,
        render_mode: str | None = None,
        *,
        width: int = WIDTH,
        height: int = HEIGHT,
        camera: str | int | None = None,
    ):
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(f"unknown render_mode {render_mode!r}; valid: rgb_array, or None")
        for name, side in (("width", width), ("height", height)):
            whole = isinstance(side, (int, np.integer)) and not isinstance(side, bool)
            require(whole and 1 <= side <= _LARGEST, name, side, f"1 to {_LARGEST} pixels")
        self._camera = worlds.family.film_camera if camera is None else camera
        if camera is not None:
            if not worlds.has_models:
                raise ConfigError(
                    f"camera is {camera!r}; the environments of {worlds.family.id} draw themselves"
                )
            for model in worlds.models.values():
                find_camera(model, camera)
        self._worlds = worlds
        self._width, self._height = int(width), int(height)
        self._renderers: dict[str, Painter] = {}  # of each model that was drawn

    def frame(self, i: int = 0) -> np.ndarray:
        """Draw one world: RGB, shape (height, width, 3), uint8."""
        name = self._worlds.model_name(i)
        if name not in self._renderers:
            self._renderers[name] = film_renderer(
                self._worlds, i, width=self._width, height=self._height, camera=self._camera
            )
        return self._renderers[name].frame_of(self._worlds, i)

    def frames(self) -> list[np.ndarray]:
        """Draw every world."""
        return [self.frame(i) for i in range(self._worlds.num_worlds)]

    def close(self) -> None:
        """Free the drawing contexts."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def __getstate__(self) -> dict[str, Any]:
        """A copy opens drawing contexts of its own."""
        return {**self.__dict__, "_renderers": {}}
