"""Our networks behind Stable-Baselines3's actor-critic face."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from metarl.errors import ConfigError
from metarl.learn.losses import gaussian_entropy, gaussian_kl, gaussian_log_prob
from metarl.nn.policy import Critic, GaussianPolicy
from metarl.transfer.strategy import get_strategy
from metarl.transfer.student import Student

CONTEXT = "context"  # it stands for a task that is not seen


class ActorCritic(ActorCriticPolicy):
    """A `GaussianPolicy` and a `Critic` that SB3's PPO can train; the actor is a student.

    Args:
        observation_space: A flat Box.
        action_space: A flat Box.
        lr_schedule: SB3's learning-rate schedule.
        context_dim: Width of the ``task`` block.
        network: What the actor is made of, as `metarl.nn.policy.network_of` picks it; the critic
            has its widths.
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
        network: Mapping[str, Any],
        first_log_std: float,
        seed: int,
        **kwargs: Any,
    ):
        self._arch = (context_dim, dict(network), first_log_std, seed)
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        context_dim, network, log_std, seed = self._arch
        generator = torch.Generator().manual_seed(seed)
        obs_dim, action_dim = self.observation_space.shape[0], self.action_space.shape[0]  # type: ignore[index]
        self.actor = GaussianPolicy(
            obs_dim, action_dim, context_dim, generator, log_std=log_std, **network
        )
        self.critic = Critic(obs_dim, generator, hidden=network["hidden"])
        self._first_rate = lr_schedule(1)
        self._added: list[Tensor] = []
        self.follow(Student(self.actor, get_strategy("fine-tune"), **self.how(generator)))

    def how(self, generator: torch.Generator) -> dict[str, Any]:
        """What any student that is this actor is made with."""
        return {"rate": self._first_rate, "generator": generator, "fixed": (CONTEXT,)}

    def follow(self, student: Student) -> None:
        """Let the actor learn as a student of it does, from the next step on."""
        self.student = student
        added = {name.replace(".", "/"): student.leaves[name] for name in student.added}
        self.additions = nn.ParameterDict(
            added
        )  # so that they move, and are clipped, with the rest
        vars(self).pop("optimizer", None)

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:  # type: ignore[override]
        """Moves what learns: the student's groups, and the critic, alone or with the only one."""
        groups = self.student.groups()
        critic: list[Tensor] = list(self.critic.parameters())
        if self.student.strategy.uniform:
            groups = [[*groups[0], *critic]]
        else:
            groups = [*groups, critic]
        made = torch.optim.Adam([{"params": g} for g in groups], lr=self._first_rate, eps=1e-5)
        self.student.set_rates(made, self._first_rate)
        return made

    def set_rates(self, rate: float) -> None:
        """Set the learning rates of what learns; the critic has the whole one."""
        self.student.set_rates(self.optimizer, rate)

    def begin_iteration(self, progress: float) -> None:
        """Let learn what the strategy lets learn at this share of the budget.

        Raises:
            ConfigError: If the strategy needs a source, and there is none.
        """
        if self.student.lacks_source():
            name = self.student.strategy.name
            raise ConfigError(f"strategy {name} needs a policy to start from, and there is none")
        self.student.at(min(progress, 1.0))
        self._added = []

    def added_losses(self) -> dict[str, float]:
        """The mean of what the strategy added to the loss in this iteration, if it did."""
        return {"loss/strategy": float(torch.stack(self._added).mean())} if self._added else {}

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Act: actions (N, A), values (N, 1), log densities (N,)."""
        mean, log_std = self.student(obs)
        noise = torch.zeros_like(mean) if deterministic else torch.randn_like(mean)
        action = mean + log_std.exp() * noise
        return action, self.predict_values(obs), gaussian_log_prob(mean, log_std, action)

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Judge actions: values (N, 1), log densities (N,), entropies (N,).

        SB3 asks for them once a minibatch, for its loss. What the strategy adds to that loss goes
        along with the values.
        """
        mean, log_std = self.student(obs)
        entropy, values = gaussian_entropy(log_std).expand(len(mean)), self.predict_values(obs)
        added = self._add(obs, mean, log_std)
        if added is not None:
            self._added.append(added.detach())
            values = _AlongWith.apply(values, added)
        return values, gaussian_log_prob(mean, log_std, actions), entropy

    def _add(self, obs: Tensor, mean: Tensor, log_std: Tensor) -> Tensor | None:
        student = self.student
        added = student.pull()
        if student.teacher and student.teaching:
            like, its_log_std = student.teach(obs)
            taught = student.teaching * gaussian_kl(like, its_log_std, mean, log_std).mean()
            added = taught if added is None else added + taught
        return added

    def predict_values(self, obs: Any) -> Tensor:
        """Values of observations, (N, 1)."""
        return self.critic(obs)[:, None]

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        return self.forward(observation, deterministic)[0]


class _AlongWith(torch.autograd.Function):
    """Values as they are; whatever loss they become part of, its gradient is joined by another's."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, loss: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return gradient, gradient.new_ones(())
