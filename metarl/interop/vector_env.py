"""N worlds of a family as one Gymnasium vector environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from metarl.errors import ConfigError, ShapeError
from metarl.family import TaskFamily
from metarl.interop.episodes import Episodes, action_space, observation_space
from metarl.types import Split, Step


class FamilyVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N worlds stepped together; those that end start again in the same step.

    The autoreset mode is ``SAME_STEP``: where an episode ended, the observation returned
    is the next episode's first, and ``infos["final_obs"]`` and ``infos["final_info"]`` hold
    the last of the old one.

    Args:
        family: A family or its registered name.
        num_envs: N.
        split: Where tasks come from.
        task_visible: Show hidden task fields in the ``task`` block.
        seed: Seed of the worlds' streams until `reset` is given another.
        num_threads: Physics threads; 0 takes every core.
        new_task_every_episode: Draw a new task whenever an episode starts.
    """

    metadata: dict[str, Any] = {
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": [],
    }

    def __init__(
        self,
        family: TaskFamily[Any] | str,
        num_envs: int = 1,
        *,
        split: Split = "train",
        task_visible: bool = True,
        seed: int = 0,
        num_threads: int = 0,
        new_task_every_episode: bool = True,
    ):
        self.episodes = Episodes(
            family, num_envs, split=split, task_visible=task_visible, seed=seed,
            num_threads=num_threads, new_task=new_task_every_episode,
        )  # fmt: skip
        self.worlds = self.episodes.worlds
        self.num_envs = num_envs
        self.single_observation_space = observation_space(self.worlds.spec)
        self.single_action_space = action_space(self.worlds.spec)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(  # type: ignore[override]
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: One seed for all worlds, one a world, or None to go on with the streams.
            options: ``{"task": N rows, "new_task": bool, "reset_mask": (N,) bool}``; with a
                mask only those worlds start again, and ``task`` has their rows.
        Returns:
            Observations, (N, D) float32, and an empty dict.
        """
        super().reset(seed=seed if isinstance(seed, int) else None)
        if seed is not None:
            self.episodes.reseed(seed)
        options = options or {}
        valid = ("task", "new_task", "reset_mask")
        if set(options) - set(valid):
            raise ConfigError(f"unknown reset options {set(options)}; valid: {', '.join(valid)}")
        ids = _ids(options.get("reset_mask"), self.num_envs)
        obs = self.episodes.start(ids, task=options.get("task"), new_task=options.get("new_task"))
        return obs, {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every world by one control step.

        Args:
            actions: In [-1, 1] (clipped), shape (N, A).
        Returns:
            Observations (N, D), rewards, terminated, truncated, each (N,), and the infos.
        """
        step = self.worlds.step(actions)
        done = step.terminated | step.truncated
        infos = _infos(step, ~done)
        obs = step.obs
        if done.any():
            infos |= _final(step, done)
            obs = self.episodes.start(np.flatnonzero(done))
        return obs, step.reward.astype(np.float64), step.terminated, step.truncated, infos


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


def _final(step: Step, done: np.ndarray) -> dict[str, Any]:
    final_obs = np.full(len(done), None, object)
    for i in np.flatnonzero(done):
        final_obs[i] = step.obs[i].copy()
    return {
        "final_obs": final_obs,
        "_final_obs": done.copy(),
        "final_info": _infos(step, done),
        "_final_info": done.copy(),
    }
