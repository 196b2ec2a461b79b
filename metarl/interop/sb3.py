"""N worlds of a family as one Stable-Baselines3 vector environment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from metarl.family import TaskFamily
from metarl.interop.episodes import Episodes, action_space, observation_space
from metarl.types import Split, Step


class FamilyVecEnv(VecEnv):
    """N worlds stepped together for Stable-Baselines3; they start again by themselves.

    Episode statistics are built in (``infos[i]["episode"]``, ``is_success``), so it needs
    neither `VecMonitor` nor `Monitor`. An info is an empty dict unless the episode ended.

    Args:
        family: A family or its registered name.
        num_envs: N.
        split: Where tasks come from.
        task_visible: Show hidden task fields in the ``task`` block.
        seed: Seed of the worlds' streams until `seed` is given another.
        num_threads: Physics threads; 0 takes every core.
        new_task_every_episode: Draw a new task whenever an episode starts.
    """

    render_mode = None

    def __init__(
        self,
        family: TaskFamily[Any] | str,
        num_envs: int,
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
        spec = self.worlds.spec
        super().__init__(num_envs, observation_space(spec), action_space(spec))
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)
        self._start_s = time.perf_counter()
        self._actions = np.zeros((num_envs, spec.action_dim), np.float32)
        self._next_seed: int | None = None

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next `reset`; None changes nothing (no global random state is read)."""
        self._next_seed = seed
        return [seed] * self.num_envs

    def reset(self) -> np.ndarray:
        """Start new episodes in all worlds; observations, (N, D) float32."""
        if self._next_seed is not None:
            self.episodes.reseed(self._next_seed)
            self._next_seed = None
        self._returns[:] = 0.0
        self._lengths[:] = 0
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self.episodes.start()

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions of the next `step_wait`, shape (N, A)."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Advance every world by one control step.

        Returns:
            Observations (N, D), where an episode ended the next one's first; rewards and
            dones, (N,); infos, of which only those of ended episodes hold something.
        """
        step = self.worlds.step(self._actions)
        self._returns += step.reward
        self._lengths += 1
        done = step.terminated | step.truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        obs = step.obs
        if done.any():
            ids = np.flatnonzero(done)
            self._book(step, ids, infos)
            obs = self.episodes.start(ids)
        return obs, step.reward, done, infos

    def _book(self, step: Step, ids: np.ndarray, infos: list[dict[str, Any]]) -> None:
        seconds = round(time.perf_counter() - self._start_s, 6)
        for i in ids.tolist():
            infos[i] |= {
                "terminal_observation": step.obs[i],
                "TimeLimit.truncated": bool(step.truncated[i]),
                "is_success": bool(step.success[i]),
                "score": float(step.score[i]),
                "diverged": bool(step.diverged[i]),
                "episode": {
                    "r": float(self._returns[i]),
                    "l": int(self._lengths[i]),
                    "t": seconds,
                },
            }
        self._returns[ids] = 0.0
        self._lengths[ids] = 0

    def close(self) -> None:
        """Nothing is left open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """One attribute, the same for each of the worlds."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of all worlds together."""
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method once; its answer stands for each of the worlds."""
        answer = getattr(self, method_name)(*method_args, **method_kwargs)
        return [answer] * len(list(self._get_indices(indices)))

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Say that the worlds are monitored, which they are by themselves."""
        monitored = issubclass(wrapper_class, Monitor)
        return [monitored] * len(list(self._get_indices(indices)))
