"""Policies of Stable-Baselines3 on an environment that costs next to nothing."""

from __future__ import annotations

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from stable_baselines3 import A2C, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

OBS, ACTIONS = 5, 2


class Chance(gymnasium.Env):
    """Observations by chance; small actions are the best ones."""

    def __init__(self, low=-1.0, high=1.0):
        self.observation_space = Box(-np.inf, np.inf, (OBS,), np.float32)
        bounds = (np.broadcast_to(np.float32(x), ACTIONS).copy() for x in (low, high))
        self.action_space = Box(*bounds, dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._look(), {}

    def step(self, action):
        self.steps += 1
        return self._look(), -float(np.square(action).sum()), False, self.steps >= 10, {}

    def _look(self):
        return (3.0 * self.np_random.normal(size=OBS) + 1.0).astype(np.float32)


TINY = {"net_arch": [8, 6]}
HOW = {
    PPO: {"n_steps": 16, "batch_size": 16, "n_epochs": 2},
    A2C: {},
    SAC: {"learning_starts": 4, "batch_size": 8, "buffer_size": 64},
    TD3: {"learning_starts": 4, "batch_size": 8, "buffer_size": 64},
}


def pupil(kind: type[BaseAlgorithm], env=None, steps: int = 32, **policy) -> BaseAlgorithm:
    """A model after a few steps of training."""
    env = Chance() if env is None else env
    model = kind("MlpPolicy", env, seed=0, device="cpu", policy_kwargs=TINY | policy, **HOW[kind])
    return model.learn(steps)


def observations(count: int = 64) -> np.ndarray:
    """What nobody trained on, (count, OBS)."""
    return np.random.default_rng(7).normal(1.0, 4.0, (count, OBS)).astype(np.float32)


def act(policy, obs: np.ndarray) -> np.ndarray:
    """Mean actions of a policy of ours, as its worlds take them."""
    with torch.no_grad():
        return policy(torch.from_numpy(obs))[0].numpy().clip(-1.0, 1.0)
