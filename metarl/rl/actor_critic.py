"""Our networks behind Stable-Baselines3's actor-critic face."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

from metarl.learn.losses import gaussian_entropy, gaussian_log_prob
from metarl.nn.policy import Critic, GaussianPolicy


class ActorCritic(ActorCriticPolicy):
    """A `GaussianPolicy` and a `Critic` that SB3's PPO can train.

    Args:
        observation_space: A flat Box.
        action_space: A flat Box.
        lr_schedule: SB3's learning-rate schedule.
        context_dim: Width of the ``task`` block.
        hidden: Widths of the networks' layers.
        first_log_std: First log standard deviation of the actions.
        seed: Draws the first weights.
    """

    actor: GaussianPolicy
    critic: Critic

    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        lr_schedule: Any,
        *,
        context_dim: int,
        hidden: Sequence[int],
        first_log_std: float,
        seed: int,
        **kwargs: Any,
    ):
        self._arch = (context_dim, tuple(hidden), first_log_std, seed)
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        context_dim, hidden, log_std, seed = self._arch
        generator = torch.Generator().manual_seed(seed)
        obs_dim, action_dim = self.observation_space.shape[0], self.action_space.shape[0]  # type: ignore[index]
        self.actor = GaussianPolicy(
            obs_dim, action_dim, context_dim, generator, hidden=hidden, log_std=log_std
        )
        self.actor.context.requires_grad_(False)  # it stands for a task that is not seen
        self.critic = Critic(obs_dim, generator, hidden=hidden)
        self._first_rate = lr_schedule(1)

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:  # type: ignore[override]
        """Moves what learns."""
        learned = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.Adam(learned, lr=self._first_rate, eps=1e-5)

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Act: actions (N, A), values (N, 1), log densities (N,)."""
        mean, log_std = self.actor(obs)
        noise = torch.zeros_like(mean) if deterministic else torch.randn_like(mean)
        action = mean + log_std.exp() * noise
        return action, self.predict_values(obs), gaussian_log_prob(mean, log_std, action)

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Judge actions: values (N, 1), log densities (N,), entropies (N,)."""
        mean, log_std = self.actor(obs)
        entropy = gaussian_entropy(log_std).expand(len(mean))
        return self.predict_values(obs), gaussian_log_prob(mean, log_std, actions), entropy

    def predict_values(self, obs: Any) -> Tensor:
        """Values of observations, (N, 1)."""
        return self.critic(obs)[:, None]

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        return self.forward(observation, deterministic)[0]
