"""What Gymnasium and Stable-Baselines3 see of actions and observations."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from gymnasium import spaces

from metarl.errors import require
from metarl.film.camera import SIZE, Camera
from metarl.sim.blocks import OBS_BOUND
from metarl.sim.worlds import Worlds
from metarl.types import Spec

Observation = Literal["flat", "dict", "pixels", "pixels-only"]
PIXELS = "pixels"  # the name of a picture among the blocks


def action_space(spec: Spec) -> spaces.Box:
    """One world's actions: a float32 box of shape (A,)."""
    return spaces.Box(-1.0, 1.0, (spec.action_dim,), np.float32)


class Shown:
    """Observations in the form that was asked for.

    Args:
        worlds: The worlds.
        observation: ``"flat"``: a row of numbers; ``"dict"``: the family's blocks by name, those
            without columns left out; ``"pixels"``: a picture, RGB, and by name the blocks that no
            camera shows (the family's `beside_pictures`, and the task); ``"pixels-only"``: the
            picture alone.
        size: Width and height of a picture [pixels].
        camera: Which of the family's `cameras` takes it; None is the first one.
    Attributes:
        space: One world's: float32 boxes of shape (D,) or (D_i,), uint8 ones of (size, size, 3).
    Raises:
        ConfigError: If it is none of these, or the family lets no camera be observed.
        UnknownNameError: If there is no such camera.
    """

    def __init__(
        self,
        worlds: Worlds,
        observation: Observation = "flat",
        *,
        size: int = SIZE,
        camera: str | None = None,
    ):
        kinds = get_args(Observation)
        valid = ", ".join(map(repr, kinds[:-1])) + f" or {kinds[-1]!r}"
        require(observation in kinds, "observation", observation, valid)
        pictures = observation in ("pixels", "pixels-only")
        require(pictures or size == SIZE, "picture_size", size, "left out without pixels")
        require(pictures or camera is None, "picture_camera", camera, "left out without pixels")
        self.camera = Camera(worlds, size, camera) if pictures else None
        self._alone = observation in ("flat", "pixels-only")
        self._blocks: dict[str, slice] = {}
        self._last: np.ndarray | None = None  # pictures, as they were shown
        self.space = self._space(worlds, observation)

    def _space(self, worlds: Worlds, observation: Observation) -> spaces.Space[Any]:
        spec, found = worlds.spec, dict[str, spaces.Space[Any]]()
        if self.camera is not None:
            shape = (self.camera.size, self.camera.size, 3)
            found[PIXELS] = spaces.Box(0, 255, shape, np.uint8)
        if self._alone:
            return found[PIXELS] if self.camera is not None else _box(spec.obs_dim)
        names = [name for name, width in spec.blocks.items() if width]
        if self.camera is not None:
            beside = (*worlds.family.beside_pictures, "task")
            names = [name for name in names if name in beside]
        self._blocks = {name: spec.slice(name) for name in names}
        return spaces.Dict(found | {name: _box(spec.blocks[name]) for name in names})

    def __call__(self, obs: np.ndarray, diverged: np.ndarray | None = None) -> Any:
        """Show all worlds as they are now.

        Args:
            obs: Shape (N, D); they belong to nobody else.
            diverged: Which worlds have started again though their last picture is meant, (N,).
        Returns:
            The same, or by block, (N, D_i); a picture has shape (N, size, size, 3).
        """
        return self.form(obs, self._shoot(np.arange(len(obs)), diverged))

    def each(
        self, obs: np.ndarray, ids: np.ndarray, diverged: np.ndarray | None = None
    ) -> list[Any]:
        """Show some worlds as they are now, each by itself.

        Args:
            obs: Of all worlds, shape (N, D).
            ids: Which of them, shape (n,).
            diverged: As above.
        Returns:
            One world's observation, n times.
        """
        pictures = self._shoot(ids, diverged)
        rows = [None] * len(ids) if pictures is None else list(pictures)
        return [
            self.form(obs[i].copy(), None if row is None else row.copy())
            for i, row in zip(ids.tolist(), rows)
        ]

    def _shoot(self, ids: np.ndarray, diverged: np.ndarray | None) -> np.ndarray | None:
        if self.camera is None:
            return None
        pictures = self.camera.shoot(ids)
        if self._last is None:
            num_worlds = self.camera.worlds.num_worlds
            self._last = np.zeros((num_worlds, *pictures.shape[1:]), np.uint8)
        if diverged is not None and np.count_nonzero(diverged[ids]):
            pictures[diverged[ids]] = self._last[ids[diverged[ids]]]
        self._last[ids] = pictures
        return pictures

    def form(self, obs: np.ndarray, pictures: np.ndarray | None = None) -> Any:
        """Put numbers, (D,) or (N, D), and pictures together as they were asked for."""
        if self._alone:
            return obs if pictures is None else pictures
        blocks = {name: np.ascontiguousarray(obs[..., own]) for name, own in self._blocks.items()}
        return blocks if pictures is None else {PIXELS: pictures, **blocks}

    def close(self) -> None:
        """Free the drawing contexts."""
        if self.camera is not None:
            self.camera.close()


def _box(width: int) -> spaces.Box:
    return spaces.Box(-OBS_BOUND, OBS_BOUND, (width,), np.float32)
