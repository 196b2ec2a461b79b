"""How a fixed critic teaches actors: gradient steps up the values that it gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from metarl.learn.rollout import Trajectories, collect
from metarl.meta.critic.config import MetaCriticConfig
from metarl.meta.critic.lessons import Lesson, make_lesson
from metarl.meta.finite import require_finite
from metarl.nn.functional import Params, apply
from metarl.nn.policy import GaussianPolicy
from metarl.sim.worlds import Worlds

_REACH = 1.2  # beyond this an action's value is not asked: worlds clip to [-1, 1]

# Smaller ones may help where something is not finite.
RATES = "critic_rate, context_rate or actor_rate"


class Teacher(Protocol):
    """What gives actions values, as `MetaCritic` does."""

    scale: Tensor

    def __call__(self, obs: Tensor, action: Tensor, time: Tensor, embedding: Tensor, /) -> Tensor:
        """Value the actions of K actors; see `MetaCritic.forward`."""

    def embed(self, trace: Tensor, /) -> Tensor:
        """Embed K tasks and their actors; see `MetaCritic.embed`."""


class States(NamedTuple):
    """Where K actors are taught, M states each.

    Args:
        obs: Without guesses of the hidden task, shape (K, M, D).
        time: Share of the horizon before, shape (K, M).
    """

    obs: Tensor
    time: Tensor


def draw_states(
    lesson: Lesson, num: int, hidden: Sequence[bool], generator: torch.Generator
) -> States:
    """Draw an episode of a lesson and a step of it, again and again for each task.

    The hidden columns of the ``task`` block, where guesses may stand, are as they are: zeros.
    """
    num_tasks, _, num_episodes = lesson.reward.shape
    size, device = (num_tasks, num), lesson.reward.device
    who = torch.randint(num_episodes, size, generator=generator).to(device)
    share = torch.rand(size, generator=generator).to(device)
    each = torch.arange(num_tasks, device=device)[:, None]
    when = (share * lesson.mask.sum(1)[each, who]).long()
    obs, time = lesson.obs[each, when, who], lesson.time[each, when, who]
    seen = torch.ones(obs.shape[-1], device=device)
    seen[len(seen) - len(hidden) :] -= torch.tensor(hidden, dtype=seen.dtype, device=device)
    return States(obs * seen, time)


def steepness(
    policy: GaussianPolicy, params: Params, critic: Teacher, states: States, embedding: Tensor
) -> Tensor:
    """Measure how much one standard deviation of an actor's noise can change values, rms."""
    with torch.no_grad():
        mean, log_std = apply(policy, params, states.obs)
    action = mean.requires_grad_()
    value = critic(states.obs, action, states.time, embedding)
    (slope,) = torch.autograd.grad(value.sum(), action)
    return (slope * log_std.exp()[:, None]).square().sum(-1).mean().sqrt()


def teach(
    policy: GaussianPolicy,
    params: Mapping[str, Tensor],
    critic: Teacher,
    states: States,
    embedding: Tensor,
    config: MetaCriticConfig,
) -> Params:
    """Let K actors climb the values that the critic gives to their mean actions.

    The gradient of the value with respect to the action is passed on to the actor. How far an
    actor goes is bounded by its divergence from what it was: values are known near the actions
    that were tried. Adam works element by element, so one of it over (K, ...) tensors is K of
    them. The critic stays as it is.

    Args:
        policy: The actors' network.
        params: Their parameters, each (K, ...).
        critic: The critic.
        states: Where they are taught.
        embedding: Of each task and its actor, shape (K, Z).
        config: How many steps, at which rates, how far.
    Returns:
        The parameters after it, each (K, ...); exploration (``log_std``) is not taught.
    Source: Sung et al. 2017, arXiv:1706.09529 (the actor ascends Q(s, a, z)).
    Deviation: Through the action, as the authors do where actions are continuous (regression),
        not by the score function, as they do where actions are discrete; the bound is ours.
    """
    own = {name: p.detach().clone() for name, p in params.items()}
    taught = {name: p.requires_grad_() for name, p in own.items() if name != "log_std"}
    rates = [config.context_rate if n == "context" else config.actor_rate for n in taught]
    groups = [{"params": [p], "lr": rate} for p, rate in zip(taught.values(), rates)]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    with torch.no_grad():
        before, log_std = apply(policy, own, states.obs)
    std = log_std.exp()[:, None]
    for _ in range(config.teaching_steps):
        mean, _ = apply(policy, own, states.obs)
        action = mean.clamp(-_REACH, _REACH)
        value = critic(states.obs, action, states.time, embedding).mean(1)
        apart = 0.5 * ((mean - before) / std).square().sum(-1).mean(1)
        far = 0.5 * own["context"].square().sum(-1)
        loss = config.pull * apart + config.prior * far - value / critic.scale
        # summed: task k's gradient must not depend on how many tasks there are
        gradients = torch.autograd.grad(
            loss.sum(), list(taught.values()), allow_unused=True, materialize_grads=True
        )
        for p, gradient in zip(taught.values(), gradients):
            p.grad = gradient
        optimizer.step()
    return {name: p.detach() for name, p in own.items()}


class School:
    """K actors in K tasks, and the critic that teaches them.

    Args:
        worlds: K * B worlds with their tasks assigned; task k's are rows k*B ... k*B + B - 1.
        policy: The actors' network.
        params: Their parameters, each (K, ...).
        critic: The critic; it reads the traces of all collections so far, and is not changed.
        config: How it teaches.
        task: The ``task`` blocks for the lessons, shape (K, C); teaching does not look at them.
        generator: Draws actions, guesses and states.
    """

    def __init__(
        self,
        worlds: Worlds,
        policy: GaussianPolicy,
        params: Params,
        critic: Teacher,
        config: MetaCriticConfig,
        *,
        task: Tensor,
        generator: torch.Generator,
    ):
        self.worlds, self.policy, self.params = worlds, policy, params
        self.critic, self.config = critic, config
        self.task, self.generator = task, generator
        self.fresh_log_std = params["log_std"]
        self.lessons: list[Lesson] = []

    def explore(self) -> Trajectories:
        """Collect B episodes of each task, with less noise every time; keep their lesson."""
        spec, num_tasks = self.worlds.spec, len(self.task)
        noise, update = self.config.noise(spec.hidden), len(self.lessons)
        quieter = update * math.log(self.config.noise_decay)
        self.params = {**self.params, "log_std": self.fresh_log_std + quieter}
        offset = None
        if noise is not None:
            offset = noise.draw(update, self.worlds.num_worlds, self.generator)
        episodes = collect(
            self.worlds, self.policy, self.params,
            num_tasks=num_tasks, generator=self.generator, offset=offset,
        )  # fmt: skip
        self.lessons.append(make_lesson(episodes, self.task, spec.horizon, self.config.trace))
        return episodes

    def states(self) -> States:
        """Draw states of the last lesson."""
        hidden = self.worlds.spec.hidden
        return draw_states(self.lessons[-1], self.config.states, hidden, self.generator)

    def steepness(self) -> Tensor:
        """Measure how much a fresh actor's noise can change values, rms."""
        loud = {**self.params, "log_std": self.fresh_log_std}
        return steepness(self.policy, loud, self.critic, self.states(), self.embed())

    @torch.no_grad()
    def embed(self) -> Tensor:
        """Embed tasks and actors from all traces so far, (K, Z)."""
        return self.critic.embed(torch.cat([lesson.trace for lesson in self.lessons], dim=1))

    def teach(self) -> None:
        """Move the actors by what the last lesson and the critic say.

        Raises:
            TrainingError: If they are not finite then; they stay as they were.
        """
        taught = teach(
            self.policy, self.params, self.critic, self.states(), self.embed(), self.config
        )
        require_finite("the actors that the critic taught", taught, RATES)
        self.params = taught
