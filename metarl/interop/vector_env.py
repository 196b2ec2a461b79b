"""N worlds of a family as one Gymnasium vector environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from metarl.errors import ConfigError, ShapeError, require
from metarl.family import TaskFamily
from metarl.film.camera import SIZE
from metarl.film.episode import HEIGHT, WIDTH
from metarl.interop.episodes import OPTIONS, Episodes, build_family, checked_options
from metarl.interop.spaces import Observation, Shown, action_space
from metarl.interop.view import View
from metarl.streams import checked_seed
from metarl.types import Split, Step


class FamilyVectorEnv(VectorEnv[Any, np.ndarray, np.ndarray]):
    """N worlds stepped together; those that end start again by themselves.

    World i is what a `FamilyEnv` of seed + i is. What happens where an episode ends is
    Gymnasium's: in the mode ``SAME_STEP`` the observation returned is the next episode's first,
    and ``infos["final_obs"]`` and ``infos["final_info"]`` hold the last of the old one; in
    ``NEXT_STEP`` it is the last, and the next step ignores that world's action and starts its next
    episode; in ``DISABLED`` the world waits for a reset with a mask.

    Args:
        family: A family or its registered name.
        num_envs: N.
        split: Where tasks come from.
        task_visible: Show hidden task fields in the ``task`` block.
        seed: World i's tasks and episodes come from seed + i until `reset` is given another.
            None: one from the operating system; `np_random_seed` tells it.
        num_threads: Physics threads; 0 takes every core.
        new_task_every_episode: Draw a new task whenever an episode starts.
        autoreset_mode: ``"SameStep"``, ``"NextStep"`` or ``"Disabled"``, or Gymnasium's enum.
        max_episode_steps: End episodes before the family's horizon; None or -1: at the horizon.
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

    metadata: dict[str, Any] = {
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": ["rgb_array"],
        "render_fps": 20,
    }

    def __init__(
        self,
        family: TaskFamily[Any] | str,
        num_envs: int = 1,
        *,
        split: Split = "train",
        task_visible: bool = True,
        seed: int | None = None,
        num_threads: int = 0,
        new_task_every_episode: bool = True,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        max_episode_steps: int | None = None,
        observation: Observation = "flat",
        picture_size: int = SIZE,
        picture_camera: str | None = None,
        render_mode: str | None = None,
        width: int = WIDTH,
        height: int = HEIGHT,
        camera: str | int | None = None,
        **options: str,
    ):
        self.autoreset_mode = _mode(autoreset_mode)
        self.family = build_family(family, options, FamilyVectorEnv)
        self._limit = _limit(max_episode_steps, self.family)
        self.num_envs = num_envs
        self.episodes = Episodes(
            self.family, num_envs, split=split, task_visible=task_visible,
            num_threads=num_threads, new_task=new_task_every_episode,
        )  # fmt: skip
        self.episodes.reseed(self._seed(seed))
        self.worlds = self.episodes.worlds
        self._shown = Shown(self.worlds, observation, size=picture_size, camera=picture_camera)
        self.single_observation_space = self._shown.space
        self.single_action_space = action_space(self.worlds.spec)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._view = View(self.worlds, render_mode, width=width, height=height, camera=camera)
        self.render_mode = render_mode
        self.metadata = {
            "autoreset_mode": self.autoreset_mode,
            "render_modes": ["rgb_array"],
            "render_fps": round(1 / self.family.control_dt_s),
        }
        self._over = np.zeros(num_envs, bool)  # the episode has ended, the next has not begun

    def _seed(self, seed: int | None) -> list[int]:
        seed = None if seed is None else checked_seed(seed)
        self._np_random, self._np_random_seed = seeding.np_random(seed)
        return [self._np_random_seed + i for i in range(self.num_envs)]

    def reset(  # type: ignore[override]
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: Of world 0, those of the others follow; or one a world; or None to go on with
                the streams.
            options: ``{"task": N rows}`` or ``{"new_task": bool}``, and
                ``{"reset_mask": (N,) bool}``: only those worlds start again, and ``task`` has
                their rows.
        Returns:
            Observations, (N, D) float32 or by block, and an empty dict.
        """
        options = checked_options(options, (*OPTIONS, "reset_mask"))
        ids = _ids(options.get("reset_mask"), self.num_envs)
        if isinstance(seed, (Sequence, np.ndarray)) and not isinstance(seed, str):
            self.episodes.reseed(list(seed))
        elif seed is not None:
            self.episodes.reseed(self._seed(seed))
        obs = self.episodes.start(ids, task=options.get("task"), new_task=options.get("new_task"))
        self._over[slice(None) if ids is None else ids] = False
        return self._shown(obs), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every world by one control step.

        Args:
            actions: In [-1, 1] (clipped), shape (N, A).
        Returns:
            Observations, rewards, terminated, truncated, each of N, and the infos.
        """
        if np.count_nonzero(self._over):
            return self._start_over(actions)
        step = self.worlds.step(actions)
        truncated = self._truncated(step)
        done = step.terminated | truncated
        same_step = self.autoreset_mode is AutoresetMode.SAME_STEP
        obs, diverged = step.obs, step.diverged & (not same_step)  # all of these are done
        infos = _infos(step, ~done if same_step else np.ones(self.num_envs, bool))
        if done.any() and same_step:
            infos |= self._final(step, done)
            obs = self.episodes.start(np.flatnonzero(done))
        elif done.any():
            self._over = done
        reward = step.reward.astype(np.float64)
        return self._shown(obs, diverged), reward, step.terminated, truncated, infos

    def _truncated(self, step: Step) -> np.ndarray:
        if self._limit >= self.family.horizon:
            return step.truncated
        return step.truncated | ((self.worlds.elapsed >= self._limit) & ~step.terminated)

    def _start_over(
        self, actions: np.ndarray
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Begin the next episodes of worlds that have ended while the others go on."""
        ids, on = np.flatnonzero(self._over), ~self._over
        if self.autoreset_mode is AutoresetMode.DISABLED:
            raise ShapeError(
                f"the episodes of worlds {ids.tolist()[:10]} have ended; call reset(options="
                "{'reset_mask': mask}) first, with True for these"
            )
        if len(ids) == self.num_envs:
            self._over = on
            return self._shown(self.episodes.start()), np.zeros(len(on)), on.copy(), on.copy(), {}
        worlds = self.worlds
        own = worlds.streams[ids]
        worlds.reset(ids)  # so that they may step along; what they do and draw is taken back
        step = worlds.step(actions)
        worlds.streams.put(ids, own)
        truncated = self._truncated(step) & on
        terminated = step.terminated & on
        self._over = truncated | terminated
        obs = step.obs
        obs[ids] = self.episodes.start(ids)[ids]
        reward = np.where(on, step.reward.astype(np.float64), 0.0)
        return self._shown(obs, step.diverged & on), reward, terminated, truncated, _infos(step, on)

    def _final(self, step: Step, done: np.ndarray) -> dict[str, Any]:
        final_obs = np.full(len(done), None, object)
        ids = np.flatnonzero(done)
        for i, own in zip(ids, self._shown.each(step.obs, ids, step.diverged)):
            final_obs[i] = own
        return {
            "final_obs": final_obs,
            "_final_obs": done.copy(),
            "final_info": _infos(step, done),
            "_final_info": done.copy(),
        }

    def render(self) -> tuple[np.ndarray, ...] | None:  # type: ignore[override]
        """Draw every world: N of RGB, shape (height, width, 3), uint8; None without a mode."""
        if self.render_mode is None:
            return None
        return tuple(self._view.frames())

    def close_extras(self, **kwargs: Any) -> None:
        """Free the drawing contexts."""
        self._view.close()
        self._shown.close()


def _mode(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        valid = ", ".join(m.value for m in AutoresetMode)
        raise ConfigError(f"unknown autoreset_mode {mode!r}; valid: {valid}") from None


def _limit(steps: int | None, family: TaskFamily[Any]) -> int:
    # Gymnasium hands on what was registered, which an option of the family may have changed.
    if steps in (None, -1, type(family).horizon):
        return family.horizon
    whole = isinstance(steps, (int, np.integer)) and not isinstance(steps, bool)
    valid = f"1 to {family.horizon}, the family's horizon"
    require(whole and 1 <= steps <= family.horizon, "max_episode_steps", steps, valid)
    return int(steps)


def _ids(mask: np.ndarray | None, num_envs: int) -> np.ndarray | None:
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != (num_envs,) or not mask.any():
        raise ShapeError(
            f"reset_mask must have shape ({num_envs},), dtype bool and one True at least, got"
            f" {mask.dtype} {mask.shape}"
        )
    return np.flatnonzero(mask)


def _infos(step: Step, mask: np.ndarray) -> dict[str, Any]:
    """Give the infos of the worlds in the mask, Gymnasium's way: values beside ``_masks``."""
    values = {"success": step.success, "score": step.score, "diverged": step.diverged}
    terms = _masked(step.terms, mask)
    return {**_masked(values, mask), "terms": terms, "_terms": mask.copy()}


def _masked(values: Mapping[str, np.ndarray], mask: np.ndarray) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in values.items():
        out[name] = np.where(mask, value, np.zeros_like(value))
        out[f"_{name}"] = mask.copy()
    return out
