"""An environment that knows nothing of metarl: a cart on a plane that looks for a hidden place.

Interpreters with NumPy and Gymnasium alone run this file, too.
"""

import ctypes
import os
import sys
import time

import gymnasium
import numpy as np

FAULTS = (
    "nan", "inf reward", "shape", "dtype", "raise", "exit", "die", "segfault", "hang", "four",
    "no success", "bad flag", "text reward", "nan start", "raise start", "print",
)  # fmt: skip


class Cart(gymnasium.Env):
    """Push a cart to a place that it does not see.

    Args:
        fault: What is wrong with it, from the step on that follows.
        at: That step.
        once: A file that is made as the fault happens; while it is there, nothing is wrong.
        above: The fault is that of worlds whose goal lies above it in x alone.
        render_mode: Gymnasium's.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, fault="", at=3, once="", above=-10.0, render_mode="rgb_array"):
        self.observation_space = gymnasium.spaces.Box(-3.0, 3.0, (4,), np.float64)
        self.action_space = gymnasium.spaces.Box(
            np.array([-0.2, 0.0], np.float32), np.array([0.2, 0.4], np.float32)
        )
        self.fault, self.at, self.once, self.above = fault, at, once, above
        self.render_mode = render_mode
        self.goal = None

    def set_task(self, task):
        """Take a task."""
        self.goal = np.array(task["goal_m"])

    def _wrong(self, fault):
        if self.fault != fault or self.steps != self.at or self.goal[0] <= self.above:
            return False
        if self.once:
            if os.path.exists(self.once):
                return False
            open(self.once, "w").close()
        return True

    def reset(self, *, seed=None, options=None):
        """Begin somewhere near the middle."""
        super().reset(seed=seed)
        self.steps = 0
        self.place, self.speed = self.np_random.uniform(-0.1, 0.1, 2), np.zeros(2)
        if self._wrong("raise start"):
            raise RuntimeError("no start today")
        return self._obs() * (np.nan if self._wrong("nan start") else 1.0), {}

    def _obs(self):
        return np.concatenate([self.place, self.speed])

    def step(self, action):
        """Push it."""
        assert self.action_space.contains(action), action
        self.steps += 1
        push = 5.0 * (action - np.array([0.0, 0.2]))
        self.speed = 0.7 * self.speed + push
        self.place = np.clip(self.place + 0.05 * self.speed, -1.0, 1.0)
        away = float(np.linalg.norm(self.place - self.goal))
        obs, reward, ended, info = self._obs(), -away, False, {"success": away < 0.05, "note": "x"}
        if self._wrong("nan"):
            obs[1] = np.nan
        if self._wrong("inf reward"):
            reward = np.inf
        if self._wrong("shape"):
            obs = obs[:3]
        if self._wrong("dtype"):
            obs = obs.astype(str)
        if self._wrong("raise"):
            raise ValueError("the wheel\nis off")
        if self._wrong("exit"):
            sys.exit(0)
        if self._wrong("die"):
            print("I die", file=sys.stderr, flush=True)
            os._exit(7)
        if self._wrong("segfault"):
            ctypes.string_at(0)
        if self._wrong("hang"):
            time.sleep(1000.0)
        if self._wrong("print"):
            print("x" * 300_000)
        if self._wrong("four"):
            return obs, reward, ended, info
        if self._wrong("no success"):
            del info["success"]
        if self._wrong("bad flag"):
            ended = 0
        if self._wrong("text reward"):
            reward = "much"
        return obs, reward, ended, False, info

    def render(self):
        """Draw the cart, red, and its goal, green."""
        picture = np.full((60, 60, 3), 255, np.uint8)
        for (x, y), colour in ((self.goal, (0, 160, 0)), (self.place, (200, 0, 0))):
            row, column = round(30 - 29 * y), round(30 + 29 * x)
            picture[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = colour
        return picture


def make(task, **settings):
    """Make a cart for a task: it has no `set_task` that anybody calls."""
    env = gymnasium.wrappers.TimeLimit(Cart(**settings), 1000)
    env.unwrapped.set_task(task)
    return env


def make_wrapped(**settings):
    """Make one whose `set_task` lies behind wrappers; it ends after 12 steps."""
    return gymnasium.wrappers.TimeLimit(Cart(**settings), 12)


class Parts(Cart):
    """The same with an observation of parts, and one that ends where it arrives."""

    def __init__(self, **settings):
        super().__init__(**settings)
        box = gymnasium.spaces.Box(-3.0, 3.0, (2,), np.float32)
        self.observation_space = gymnasium.spaces.Dict({"place": box, "speed": box})

    def _obs(self):
        return {"place": self.place.astype(np.float32), "speed": self.speed.astype(np.float32)}

    def reset(self, *, seed=None, options=None):
        """Begin."""
        gymnasium.Env.reset(self, seed=seed)
        self.steps = 0
        self.place, self.speed = self.np_random.uniform(-0.1, 0.1, 2), np.zeros(2)
        return self._obs(), {}

    def step(self, action):
        """Push it until it is there."""
        obs, reward, _, late, info = super().step(action)
        return obs, reward, bool(info["success"]), late, info


class Forgetful(Cart):
    """One that draws from a generator of its own, not from the seed."""

    rng = np.random.default_rng()

    def reset(self, *, seed=None, options=None):
        """Begin somewhere."""
        super().reset(seed=seed)
        self.place = self.rng.uniform(-0.1, 0.1, 2)
        return self._obs(), {}


def discrete():
    """One whose actions are no box."""
    env = Cart()
    env.action_space = gymnasium.spaces.Discrete(3)
    return env


def endless():
    """One whose actions have no range."""
    env = Cart()
    env.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    return env
