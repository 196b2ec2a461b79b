"""N worlds of a family as one Stable-Baselines3 vector environment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from metarl.errors import ConfigError, ShapeError, UnknownNameError
from metarl.family import TaskFamily
from metarl.film.camera import SIZE
from metarl.film.episode import HEIGHT, WIDTH
from metarl.interop.episodes import Episodes, build_family, checked_options
from metarl.interop.spaces import Observation, Shown, action_space
from metarl.interop.view import View
from metarl.streams import checked_seed, fresh_seed
from metarl.types import Split, Step, take


class FamilyVecEnv(VecEnv):
    """N worlds stepped together for Stable-Baselines3; they start again by themselves.

    Episode statistics are built in (``infos[i]["episode"]``, ``is_success``), so it needs
    neither `VecMonitor` nor `Monitor`. An info is an empty dict unless the episode ended.
    `get_attr`, `set_attr` and `env_method` reach single worlds; see `World`.

    Args:
        family: A family or its registered name.
        num_envs: N.
        split: Where tasks come from.
        task_visible: Show hidden task fields in the ``task`` block.
        seed: Of all worlds' streams, one each, until `seed` is given another. None: one from the
            operating system.
        num_threads: Physics threads; 0 takes every core.
        new_task_every_episode: Draw a new task whenever an episode starts.
        observation: ``"flat"`` for SB3's ``MlpPolicy``; ``"dict"``, the family's blocks by name, or
            ``"pixels"``, a picture beside the blocks that it does not show, for its
            ``MultiInputPolicy``; ``"pixels-only"`` for its ``CnnPolicy``. See `Shown`.
        picture_size: Width and height of a picture that is observed [pixels].
        picture_camera: Which of the family's `cameras` takes it; None is the first one.
        render_mode: ``"rgb_array"`` or None.
        width: Width of a frame [pixels].
        height: Height of a frame [pixels].
        camera: A camera's name or index, -1 for the free one; None is the family's film camera.
        **options: Options of the family, if it is named (``robot="ur5e"``).
    """

    def __init__(
        self,
        family: TaskFamily[Any] | str,
        num_envs: int,
        *,
        split: Split = "train",
        task_visible: bool = True,
        seed: int | None = None,
        num_threads: int = 0,
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
        self.family = build_family(family, options, FamilyVecEnv)
        self.episodes = Episodes(
            self.family, num_envs, split=split, task_visible=task_visible,
            num_threads=num_threads, new_task=new_task_every_episode,
        )  # fmt: skip
        self.episodes.reseed(fresh_seed() if seed is None else checked_seed(seed))
        self.worlds = self.episodes.worlds
        spec = self.worlds.spec
        self.view = View(self.worlds, render_mode, width=width, height=height, camera=camera)
        self.render_mode = render_mode
        self._shown = Shown(self.worlds, observation, size=picture_size, camera=picture_camera)
        super().__init__(num_envs, self._shown.space, action_space(spec))
        metadata: dict[str, Any] = self.metadata
        metadata["render_fps"] = round(1 / self.family.control_dt_s)
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)
        self._start_s = time.perf_counter()
        self._actions = np.zeros((num_envs, spec.action_dim), np.float32)
        self._next_seed: int | None = None
        self.latest: Step | None = None  # what the worlds said at the last step

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next `reset`; None takes a seed from the operating system.

        No global random state is read.

        Returns:
            The seed, once for each world: it is that of all their streams.
        """
        self._next_seed = fresh_seed() if seed is None else checked_seed(seed)
        self._reset_seeds()
        return [self._next_seed] * self.num_envs

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """Give the next `reset` its options, once; the episodes after that start as ever.

        Args:
            options: ``{"task": one row}`` or ``{"new_task": bool}`` for every world, or a list
                with one such dict a world.
        Raises:
            ConfigError: If an option is unknown.
            ShapeError: If the list is too short or too long, or a task is not one row.
        """
        each = options if isinstance(options, (list, tuple)) else [options] * self.num_envs
        if len(each) != self.num_envs:
            raise ShapeError(f"got options for {len(each)} worlds; there are {self.num_envs}")
        checked = [checked_options(own) for own in each]
        for own in checked:
            if own.get("task") is not None:
                own["task"] = self.episodes.one_task(own["task"])
        self._options = checked

    def reset(self) -> Any:
        """Start new episodes in all worlds; observations, (N, D) float32 or by block."""
        if self._next_seed is not None:
            self.episodes.reseed(self._next_seed)
            self._next_seed = None
        if any(seed is not None for seed in self._seeds):
            self.episodes.reseed(self._seeds)
            self._reset_seeds()
        self._returns[:] = 0.0
        self._lengths[:] = 0
        self.reset_infos = [{} for _ in range(self.num_envs)]
        obs = self.episodes.start_each(self._options)
        self._reset_options()
        return self._shown(obs)

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions of the next `step_wait`, shape (N, A)."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Advance every world by one control step.

        Returns:
            Observations, where an episode ended the next one's first; rewards and
            dones, (N,); infos, of which only those of ended episodes hold something.
        """
        step = self.latest = self.worlds.step(self._actions)
        self._returns += step.reward
        self._lengths += 1
        done = step.terminated | step.truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        obs = step.obs
        if done.any():
            ids = np.flatnonzero(done)
            self._book(step, ids, infos)
            obs = self.episodes.start(ids)  # those that diverged are among them
        return self._shown(obs), step.reward, done, infos

    def _book(self, step: Step, ids: np.ndarray, infos: list[dict[str, Any]]) -> None:
        seconds = round(time.perf_counter() - self._start_s, 6)
        last = self._shown.each(step.obs, ids, step.diverged)
        for i, seen in zip(ids.tolist(), last):
            infos[i] |= {
                "terminal_observation": seen,
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

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Draw every world: RGB, shape (height, width, 3), uint8, or None without a mode."""
        return [None] * self.num_envs if self.render_mode is None else self.view.frames()

    def close(self) -> None:
        """Free the drawing contexts."""
        self.view.close()
        self._shown.close()

    # Single worlds ------------------------------------------------------------------------

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """One attribute of each of the worlds: its own, or what all of them share."""
        return [getattr(world, attr_name) for world in self._worlds_of(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of some worlds, or one that all of them share.

        Raises:
            UnknownNameError: If nothing has such an attribute.
            ConfigError: If all worlds share it and `indices` leaves some out.
        """
        worlds = self._worlds_of(indices)
        if attr_name in World.SETTABLE:
            for world in worlds:
                setattr(world, attr_name, value)
        elif not hasattr(self, attr_name):
            raise UnknownNameError("attribute", attr_name, [*World.SETTABLE, *_public(self)])
        elif len({world.index for world in worlds}) < self.num_envs:
            raise ConfigError(
                f"all {self.num_envs} worlds share {attr_name!r}; set it without indices (of single"
                f" worlds: {', '.join(World.SETTABLE)})"
            )
        else:
            setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of each of some worlds; see `World`.

        Raises:
            UnknownNameError: If a single world has no such method.
        """
        if method_name not in World.METHODS:
            raise UnknownNameError("method of a single world", method_name, World.METHODS)
        worlds = self._worlds_of(indices)
        return [getattr(world, method_name)(*method_args, **method_kwargs) for world in worlds]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Say that the worlds are monitored, which they are by themselves."""
        return [issubclass(wrapper_class, Monitor) for _ in self._worlds_of(indices)]

    def _worlds_of(self, indices: Any) -> list[World]:
        found = [indices] if isinstance(indices, np.integer) else self._get_indices(indices)
        try:
            return [World(self, range(self.num_envs)[i]) for i in found]
        except (IndexError, TypeError):
            raise ConfigError(
                f"indices are {indices!r}; expected worlds within [0, {self.num_envs})"
            ) from None


def _public(thing: object) -> list[str]:
    return [name for name in vars(thing) if not name.startswith("_")]


class World:
    """One of the worlds, as Stable-Baselines3 asks for it.

    What is not here is shared by all worlds and read from the vector environment.

    Args:
        vec: The vector environment.
        index: Which of its worlds.
    """

    SETTABLE = ("task",)
    METHODS = ("get_wrapper_attr", "render", "reset", "seed", "set_options", "set_task")

    def __init__(self, vec: FamilyVecEnv, index: int):
        self.vec = vec
        self.index = index

    def __getattr__(self, name: str) -> Any:
        return getattr(self.vec, name)

    def get_wrapper_attr(self, name: str) -> Any:
        """One attribute by name."""
        return getattr(self, name)

    @property
    def task(self) -> Any:
        """Its present task, one row; setting it is `set_task`."""
        return take(self.vec.worlds.task, slice(self.index, self.index + 1))

    @task.setter
    def task(self, task: Any) -> None:
        self.set_task(task)

    def set_task(self, task: Any) -> None:
        """Use a task (one row) in its every episode from the next on; None draws again."""
        self.vec.episodes.fix(self.index, task)

    def set_options(self, options: dict[str, Any]) -> None:
        """Give its next reset options, as `FamilyVecEnv.set_options` does."""
        each = list(self.vec._options)
        each[self.index] = options
        self.vec.set_options(each)

    def seed(self, seed: int | None = None) -> int:
        """Seed its next reset alone."""
        value = fresh_seed() if seed is None else checked_seed(seed)
        self.vec._seeds[self.index] = value
        return value

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a new episode in it alone; its observation and an empty dict."""
        vec, i = self.vec, self.index
        own = checked_options(options)
        if seed is not None:
            vec.episodes.reseed(
                [checked_seed(seed) if k == i else None for k in range(vec.num_envs)]
            )
        vec._returns[i], vec._lengths[i] = 0.0, 0
        obs = vec.episodes.start(np.array([i]), task=own.get("task"), new_task=own.get("new_task"))
        return vec._shown.each(obs, np.array([i]))[0], {}

    def render(self) -> np.ndarray | None:
        """Draw it: RGB, shape (height, width, 3), uint8; None without a mode."""
        return None if self.vec.render_mode is None else self.vec.view.frame(self.index)
