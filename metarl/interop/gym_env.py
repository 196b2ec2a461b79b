"""One world of a family as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding

from metarl.family import TaskFamily
from metarl.film.camera import SIZE
from metarl.film.episode import HEIGHT, WIDTH
from metarl.interop.episodes import Episodes, build_family, checked_options
from metarl.interop.spaces import Observation, Shown, action_space
from metarl.interop.view import View
from metarl.streams import checked_seed
from metarl.types import Split


class FamilyEnv(gymnasium.Env[Any, np.ndarray]):
    """A family's tasks, one world at a time; a new task at every reset.

    Observations have shape (D,), float32, in [-10, 10]; actions shape (A,), in [-1, 1].
    `reset` takes the options ``{"task": one row}`` or ``{"new_task": bool}``; ``new_task=False``
    starts another episode of the same task. ``info`` holds ``success``, ``score``,
    ``diverged`` and the weighted reward ``terms``.

    Args:
        family: A family or its registered name.
        split: Where tasks come from.
        task_visible: Show hidden task fields in the ``task`` block.
        seed: Seed of the tasks and episodes until `reset` is given another. None: one from the
            operating system, so that no two environments are alike; `np_random_seed` tells it.
        new_task_every_episode: Draw a new task whenever an episode starts.
        observation: ``"flat"``; ``"dict"``: the family's blocks by name; ``"pixels"``: a picture
            beside the blocks that it does not show; ``"pixels-only"``. See `Shown`.
        picture_size: Width and height of a picture that is observed [pixels].
        picture_camera: Which of the family's `cameras` takes it; None is the first one.
        render_mode: ``"rgb_array"`` or None.
        width: Width of a frame [pixels].
        height: Height of a frame [pixels].
        camera: A camera's name or index, -1 for the free one; None is the family's film camera.
        **options: Options of the family, if it is named (``robot="ur5e"``).
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self,
        family: TaskFamily[Any] | str,
        *,
        split: Split = "train",
        task_visible: bool = True,
        seed: int | None = None,
        new_task_every_episode: bool = True,
        observation: Observation = "flat",
        picture_size: int = SIZE,
        picture_camera: str | None = None,
        render_mode: str | None = None,
        width: int = WIDTH,
        height: int = HEIGHT,
        camera: str | int | None = None,
        **options: str,
    ):
        self.family = build_family(family, options, FamilyEnv)
        self.episodes = Episodes(
            self.family, 1, split=split, task_visible=task_visible, new_task=new_task_every_episode
        )
        self.episodes.reseed(self._seed(seed))
        self.worlds = self.episodes.worlds
        self._shown = Shown(self.worlds, observation, size=picture_size, camera=picture_camera)
        self.observation_space = self._shown.space
        self.action_space = action_space(self.worlds.spec)
        self._view = View(self.worlds, render_mode, width=width, height=height, camera=camera)
        self.render_mode = render_mode
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": round(1 / self.family.control_dt_s),
        }

    def _seed(self, seed: int | None) -> int:
        seed = None if seed is None else checked_seed(seed)
        self._np_random, self._np_random_seed = seeding.np_random(seed)
        return self.np_random_seed

    @property
    def task(self) -> Any:
        """The present task, one row."""
        return self.worlds.task

    def set_task(self, task: Any) -> None:
        """Use a task (one row) in every episode from the next reset on; None draws again."""
        self.episodes.fix(0, task)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; see the class for the options.

        Args:
            seed: Same seed, same task and same episode; None goes on with the stream.
            options: ``{"task": ...}`` or ``{"new_task": ...}``.
        Returns:
            The observation, shape (D,) or by block, and an empty dict.
        """
        options = checked_options(options)
        if seed is not None:
            self.episodes.reseed(self._seed(seed))
        obs = self.episodes.start(task=options.get("task"), new_task=options.get("new_task"))
        return self._one(obs[0]), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Advance by one control step.

        Args:
            action: In [-1, 1] (clipped), shape (A,).
        Returns:
            Observation, reward, terminated, truncated, info.
        """
        one = self.worlds.step_alone(action)
        info = {
            "success": one.success,
            "score": one.score,
            "diverged": one.diverged,
            "terms": one.terms,
        }
        return self._one(one.obs, one.diverged), one.reward, one.terminated, one.truncated, info

    def _one(self, obs: np.ndarray, diverged: bool = False) -> Any:
        if self._shown.camera is None:
            return self._shown.form(obs)
        return self._shown.each(obs[None], np.zeros(1, int), np.array([diverged]))[0]

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """Draw the world: RGB, shape (height, width, 3), uint8; None without a mode."""
        return None if self.render_mode is None else self._view.frame()

    def close(self) -> None:
        """Free the drawing context."""
        self._view.close()
        self._shown.close()
