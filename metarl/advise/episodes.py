"""A few episodes of a family, the same tasks and starts whoever acts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl.family import TaskFamily
from metarl.learn.losses import gae
from metarl.learn.rollout import Trajectories, play
from metarl.meta.baseline import fit_values
from metarl.nn.policy import GaussianPolicy
from metarl.sim.kinds import make_worlds
from metarl.sim.worlds import Worlds
from metarl.types import Step


@dataclass(frozen=True)
class Episodes:
    """Episodes of N worlds, and what the expert would have done in each of their states.

    Args:
        trajectories: As they went.
        expert: The expert's actions, shape (T, N, A); None where it was not asked, or is none.
    """

    trajectories: Trajectories
    expert: Tensor | None

    @property
    def live(self) -> np.ndarray:
        """Which steps belong to an episode, shape (T, N), bool."""
        return self.trajectories.mask.numpy() > 0

    def states(self) -> np.ndarray:
        """What was observed, a row a step, shape (M, D), float64."""
        return self.trajectories.obs.numpy()[self.live].astype(np.float64)

    def returns_to_go(self, gamma: float) -> np.ndarray:
        """What was still gained, discounted, shape (M,)."""
        t = self.trajectories
        zeros = torch.zeros(len(t.reward) + 1, *t.reward.shape[1:], dtype=torch.float64)
        return gae(t.reward.double(), zeros, t.ends.double(), gamma, 1.0).numpy()[self.live]

    def values(self, gamma: float) -> np.ndarray:
        """What was to be expected: returns-to-go, smoothed by a linear baseline, shape (M,)."""
        return fit_values(self.trajectories, gamma)[:-1].numpy()[self.live]

    def expert_actions(self) -> np.ndarray | None:
        """The expert's actions, clipped to [-1, 1], shape (M, A)."""
        if self.expert is None:
            return None
        return np.clip(self.expert.numpy()[self.live].astype(np.float64), -1.0, 1.0)


class Stage:
    """N worlds that start again from the same tasks, states and noise for whoever acts.

    Args:
        family: The family.
        num_episodes: N.
        seed: Of tasks, starts and noise.
        task_visible: Whether hidden task fields are shown.
    """

    def __init__(
        self, family: TaskFamily[Any], num_episodes: int, *, seed: int, task_visible: bool
    ):
        self.family, self.seed = family, seed
        self.worlds = make_worlds(family, num_episodes, seed=seed, task_visible=task_visible)
        self.num_steps = 0
        self._start = self.worlds.state_dict()

    def run(self, policy: GaussianPolicy, *, greedy: bool = False) -> Episodes:
        """Let a policy act, with its noise, or greedily by its mean actions: then the expert is not
        asked."""
        return self._play(_Policy(policy, self.worlds, asks=not greedy), greedy=greedy)

    def run_expert(self) -> Episodes:
        """Let the family's expert act.

        Raises:
            FamilyError: If it has none.
        """
        return self._play(_Expert(self.worlds), greedy=True)

    def _play(self, actor: _Policy, *, greedy: bool) -> Episodes:
        self.worlds.load_state_dict(self._start)
        generator = torch.Generator().manual_seed(self.seed)
        found = play(self.worlds, actor, num_tasks=1, generator=generator, deterministic=greedy)
        self.num_steps += found.num_steps
        return Episodes(found, torch.stack(actor.expert) if actor.expert else None)


class _Policy:
    """Acts by a policy, and may ask the expert what it would have done."""

    device = torch.device("cpu")

    def __init__(self, policy: GaussianPolicy | None, worlds: Worlds, *, asks: bool):
        self.policy, self.worlds = policy, worlds
        self.asks = asks and worlds.family.has_expert()
        self.expert: list[Tensor] = []

    def act(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        if self.asks:
            self.expert.append(torch.from_numpy(self.worlds.expert().astype(np.float32)))
        assert self.policy is not None
        mean, log_std = self.policy(obs)
        return mean, log_std.expand_as(mean)

    def see(self, action: Tensor, step: Step, alive: np.ndarray) -> None:
        pass


class _Expert(_Policy):
    def __init__(self, worlds: Worlds):
        super().__init__(None, worlds, asks=True)

    def act(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        action = torch.from_numpy(self.worlds.expert().astype(np.float32))
        self.expert.append(action)
        return action.clamp(-1.0, 1.0), torch.zeros_like(action)
