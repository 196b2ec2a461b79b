"""Meta-World as Meta-World's own interpreter sees it; nothing of metarl is there.

python there.py ml1:reach-v3 42      prints a benchmark's tasks as JSON
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from typing import Any

import numpy as np

if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    os.environ.setdefault("MUJOCO_GL", "egl")

import metaworld
from metaworld.env_dict import ALL_V3_ENVIRONMENTS, ML1_ARGS_KWARGS
from metaworld.types import Task

CAMERA = "corner2"  # of films
_idle: dict[str, list[Any]] = {}  # environments that no world has at the moment


class Skills:
    """An environment that is whichever of some skills its task asks for.

    Success is Meta-World's: an episode succeeds if it did at any step.

    Args:
        names: Of the skills; a task has an index into them.
    """

    def __init__(self, names: list[str]):
        self.names = names
        self._env: Any = None
        self._name = ""
        self._solved = False

    @property
    def observation_space(self) -> Any:
        """As the skill's."""
        return self._env.sawyer_observation_space

    @property
    def action_space(self) -> Any:
        """As the skill's."""
        return self._env.action_space

    def set_task(self, task: dict[str, np.ndarray]) -> None:
        """Become the skill, with its objects and goal in their places."""
        name = self.names[int(task["skill"])]
        if name != self._name:
            self.close()
            waiting = _idle.setdefault(name, [])
            self._env = waiting.pop() if waiting else make_skill(name)
            self._name = name
        width = len(self._env._random_reset_space.low)
        self._env.set_task(as_task(name, np.array(task["places_m"][:width])))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        """Begin; Meta-World draws nothing, for the task says all."""
        self._solved = False
        return self._env.reset()

    def step(self, action: np.ndarray) -> Any:
        """Move."""
        obs, reward, terminated, truncated, info = self._env.step(action)
        self._solved = self._solved or bool(info["success"])
        return obs, float(reward), terminated, truncated, {"success": self._solved}

    def render(self) -> np.ndarray:
        """Draw, right way up."""
        return np.ascontiguousarray(self._env.render()[::-1, ::-1])  # its cameras are upside down

    def close(self) -> None:
        """Let another world have the environment."""
        if self._env is not None:
            _idle.setdefault(self._name, []).append(self._env)
            self._env, self._name = None, ""


def make_skill(name: str) -> Any:
    """Make the environment of one skill."""
    env = ALL_V3_ENVIRONMENTS[name](render_mode="rgb_array", camera_name=CAMERA)
    # Where no GPU draws, shadows and smooth edges take seven eighths of the time.
    env.model.vis.quality.shadowsize = env.model.vis.quality.offsamples = 0
    return env


def as_task(name: str, places_m: np.ndarray) -> Task:
    """Write a task as Meta-World does, the goal hidden."""
    more = {k: v for k, v in ML1_ARGS_KWARGS[name]["kwargs"].items() if k != "task_id"}
    data = {"env_cls": ALL_V3_ENVIRONMENTS[name], "rand_vec": places_m, **more}
    return Task(env_name=name, data=pickle.dumps({**data, "partially_observable": True}))


def tasks(benchmark: str, seed: int) -> list[dict[str, Any]]:
    """List a benchmark's own tasks.

    Args:
        benchmark: ``ml1:reach-v3``, ``ml10``, ``ml45`` or ``mt10``.
        seed: Of what Meta-World draws.
    Returns:
        Of each its skill, whether it is for training, and where things and the goal are [m].
    """
    kind, _, name = benchmark.partition(":")
    made = getattr(metaworld, kind.upper())(*([name] if name else []), seed=seed)
    found, envs = [], {}
    for split, each in (("train", made.train_tasks), ("test", made.test_tasks)):
        for task in each:
            # Meta-World's own bytes, written a moment ago in this process
            places_m = pickle.loads(task.data)["rand_vec"]
            if task.env_name not in envs:
                envs[task.env_name] = make_skill(task.env_name)
            env = envs[task.env_name]
            env.set_task(as_task(task.env_name, places_m))
            env.reset()
            found.append(
                {
                    "skill": task.env_name, "split": split, "places_m": np.ravel(places_m).tolist(),
                    "goal_m": np.ravel(env._target_pos).tolist(),
                }
            )  # fmt: skip
    return found


if __name__ == "__main__":
    print(json.dumps(tasks(sys.argv[1], int(sys.argv[2]))))
