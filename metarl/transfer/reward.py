"""By reward: a policy goes on learning with an ordinary optimiser, in many tasks at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from metarl.adapt.adaptation import Adapted, ByParameters, per_task
from metarl.adapt.meeting import Meeting
from metarl.learn.losses import clipped_surrogate
from metarl.learn.rollout import collect
from metarl.meta.baseline import make_batch
from metarl.meta.maml.inner import Batch, log_prob_of
from metarl.methods import Adapting
from metarl.nn.functional import Params, apply, parameters_of
from metarl.runs.checkpoint import Checkpoint
from metarl.sim.worlds import Worlds
from metarl.transfer.config import FineTuning
from metarl.transfer.strategy import Strategy, learned, student_of


def by_reward(strategy: Strategy) -> Adapting:
    """Meet new tasks as a strategy says, learning from reward."""

    def start(checkpoint: Checkpoint, meeting: Meeting, how: FineTuning) -> ByParameters:
        worlds, policy = student_of(checkpoint, meeting, strategy, how.log_std)
        params = parameters_of(policy)
        updates = fine_tune(
            worlds, policy, params, replace(how, rate=how.rate * strategy.rate_scale),
            learned=learned(strategy, params), num_tasks=meeting.num_tasks,
            updates=meeting.updates, generator=meeting.generator,
        )  # fmt: skip
        return ByParameters(
            worlds, policy, updates, num_tasks=meeting.num_tasks, generator=meeting.generator
        )

    return Adapting(start, FineTuning, strategy=strategy)


def fine_tune(
    worlds: Worlds,
    policy: nn.Module,
    params: Mapping[str, Tensor],
    how: FineTuning,
    *,
    learned: Collection[str],
    num_tasks: int,
    updates: int,
    generator: torch.Generator,
) -> Iterator[Adapted]:
    """Adapt by PPO with an ordinary optimiser, every task on its own copy of the parameters.

    Adam works element by element, so one of it over (K, ...) tensors is K of them.

    Args:
        worlds: As for `metarl.meta.maml.inner_loop.adapt_policy`.
        policy: The policy.
        params: Its parameters, each (...) or (K, ...).
        how: Rate, epochs and the rest.
        learned: Names of the parameters that change.
        num_tasks: K.
        updates: How many updates, >= 1.
        generator: Draws the actions' noise.
    Yields:
        One `Adapted` an update; B episodes of each task are collected before it.
    """
    start = per_task(policy, params, num_tasks)
    now = {name: p.clone() for name, p in start.items()}
    leaves = [now[name].requires_grad_() for name in now if name in learned]
    optimizer = torch.optim.Adam(leaves, lr=how.rate)
    for _ in range(updates):
        episodes = collect(worlds, policy, now, num_tasks=num_tasks, generator=generator)
        batch = make_batch(episodes, how.gamma, how.lam)
        for _ in range(how.epochs):
            optimizer.zero_grad(set_to_none=True)
            # Summed, not averaged: task k's gradient must not depend on how many tasks there are.
            _clipped_loss(policy, now, batch, how.clip).sum().backward()
            optimizer.step()
        yield Adapted({name: p.detach().clone() for name, p in now.items()}, episodes)


def _clipped_loss(policy: nn.Module, params: Params, batch: Batch, clip: float) -> Tensor:
    log_prob = log_prob_of(apply(policy, params, batch.obs), batch.action)
    return clipped_surrogate(log_prob, batch.log_prob, batch.advantage, batch.mask, clip)
