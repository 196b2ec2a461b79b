"""Fine-tuning: a policy goes on learning with an ordinary optimiser, in many tasks at once."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metarl.adapt.adaptation import Adapted, per_task
from metarl.errors import require
from metarl.learn.losses import clipped_surrogate
from metarl.learn.rollout import collect
from metarl.meta.baseline import make_batch
from metarl.meta.maml.inner import Batch, log_prob_of
from metarl.nn.functional import Params, apply
from metarl.sim.worlds import Worlds


@dataclass(frozen=True)
class FineTuning:
    """How a policy learns from reward where no inner loop was trained.

    Args:
        rate: Adam's learning rate, > 0.
        epochs: Adam steps on each update's episodes, >= 1.
        clip: PPO's clip, > 0.
        gamma: Discount per control step.
        lam: Of the generalised advantage estimate.
        log_std: First log standard deviation of the actions.
    """

    rate: float = 3e-3
    epochs: int = 5
    clip: float = 0.2
    gamma: float = 0.95
    lam: float = 0.95
    log_std: float = -1.3

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs", self.epochs, "an integer >= 1")
        for name in ("rate", "clip"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0, name, value, "a finite number > 0")
        for name in ("gamma", "lam"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "within [0, 1]")
        require(math.isfinite(self.log_std), "log_std", self.log_std, "a finite number")


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
