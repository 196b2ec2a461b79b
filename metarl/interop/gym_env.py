"""One world of a family as a Gymnasium environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import mujoco
import numpy as np

from metarl.errors import ConfigError, ShapeError
from metarl.family import TaskFamily
from metarl.interop.episodes import Episodes, action_space, observation_space
from metarl.types import Split, num_tasks

if TYPE_CHECKING:
    from metarl.film.render import Renderer

_OPTIONS = ("task", "new_task")


class FamilyEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """A family's tasks, one world at a time; a new task at every reset.

    Observations have shape (D,), float32, in [-10, 10]; actions shape (A,), in [-1, 1].
    `reset` takes the options ``{"task": one row, "new_task": bool}``; ``new_task=False``
    starts another episode of the same task. ``info`` holds ``success``, ``score``,
    ``diverged`` and the weighted reward ``terms``.

    Args:
        family: A family or its registered name.
        split: Where tasks come from.
        task_visible: Show hidden task fields in the ``task`` block.
        seed: Seed of the tasks and episodes until `reset` is given another.
        render_mode: ``"rgb_array"`` or None.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}
    width, height = 640, 480  # of a rendered frame [pixels]

    def __init__(
        self,
        family: TaskFamily[Any] | str,
        *,
        split: Split = "train",
        task_visible: bool = True,
        seed: int = 0,
        render_mode: str | None = None,
    ):
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(f"unknown render_mode {render_mode!r}; valid: rgb_array, or None")
        self.episodes = Episodes(family, 1, split=split, task_visible=task_visible, seed=seed)
        self.worlds = self.episodes.worlds
        self.family = self.episodes.family
        self.observation_space = observation_space(self.worlds.spec)
        self.action_space = action_space(self.worlds.spec)
        self.render_mode = render_mode
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": round(1 / self.family.control_dt_s),
        }
        self._fixed_task: Any = None
        self._renderer: Renderer | None = None
        self._drawn_model = ""

    @property
    def task(self) -> Any:
        """The present task, one row."""
        return self.worlds.task

    def set_task(self, task: Any) -> None:
        """Use a task (one row) in every episode from the next reset on; None draws again."""
        if task is not None and num_tasks(task) != 1:
            raise ShapeError(f"set_task takes one row, got {num_tasks(task)}")
        self._fixed_task = task

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; see the class for the options.

        Args:
            seed: Same seed, same task and same episode; None goes on with the stream.
            options: ``{"task": ..., "new_task": ...}``.
        Returns:
            The observation, shape (D,), and an empty dict.
        """
        super().reset(seed=seed)
        if seed is not None:
            self.episodes.reseed(seed)
        options = options or {}
        if set(options) - set(_OPTIONS):
            raise ConfigError(f"unknown reset options {set(options)}; valid: {', '.join(_OPTIONS)}")
        task, new_task = options.get("task"), options.get("new_task")
        if task is None and new_task is None:
            task = self._fixed_task
        return self.episodes.start(task=task, new_task=new_task)[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance by one control step.

        Args:
            action: In [-1, 1] (clipped), shape (A,).
        Returns:
            Observation (D,), reward, terminated, truncated, info.
        """
        one = self.worlds.step_alone(action)
        info = {
            "success": one.success,
            "score": one.score,
            "diverged": one.diverged,
            "terms": one.terms,
        }
        return one.obs, one.reward, one.terminated, one.truncated, info

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """Draw the film camera's view: RGB, shape (480, 640, 3), uint8; None without a mode."""
        if self.render_mode is None:
            return None
        from metarl.film.render import Renderer

        model, data = self.worlds.world(0)
        mujoco.mj_forward(model, data)
        if self._renderer is None or self._drawn_model != self.worlds.model_name(0):
            self.close()
            self._renderer = Renderer(
                model, self.width, self.height, self.family.film_camera, film=True
            )
            self._drawn_model = self.worlds.model_name(0)
        return self._renderer.frame(model, data)

    def close(self) -> None:
        """Free the drawing context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
