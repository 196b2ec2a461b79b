"""MAML's inner loop, and how it goes on tasks that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from metarl.adapt.adaptation import Adapted, ByParameters, per_task
from metarl.meta.maml.config import InnerLoop
from metarl.meta.maml.explore import ContextNoise, explore
from metarl.meta.maml.inner import adapted, policy_gradient
from metarl.nn.functional import parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.sim.worlds import Worlds


def adapt_policy(
    worlds: Worlds,
    policy: nn.Module,
    params: Mapping[str, Tensor],
    rates: Mapping[str, Tensor],
    *,
    num_tasks: int,
    updates: int,
    generator: torch.Generator,
    gamma: float,
    lam: float,
    clip: float | None = None,
    noise: ContextNoise | None = None,
) -> Iterator[Adapted]:
    """Adapt by the inner loop that MAML trained for.

    Args:
        worlds: K * B worlds with their tasks assigned; task k's are rows k*B ... k*B + B - 1.
        policy: The policy.
        params: Its parameters, each (...) or (K, ...).
        rates: Inner rates, each (U, ...); the last ones serve updates beyond U.
        num_tasks: K.
        updates: How many updates, >= 1.
        generator: Draws the actions' noise.
        gamma: Discount per control step: that of meta-training, for which the rates were learned.
        lam: Of the generalised advantage estimate, likewise.
        clip: Bound of the inner gradient, likewise.
        noise: On the task context, likewise.
    Yields:
        One `Adapted` an update; B episodes of each task are collected before it.
    """
    now, loss = per_task(policy, params, num_tasks), policy_gradient(policy)
    for update in range(updates):
        found = explore(
            worlds, policy, now, num_tasks=num_tasks, generator=generator,
            gamma=gamma, lam=lam, update=update, noise=noise,
        )  # fmt: skip
        now = adapted(now, found.batch, rates, loss, update, clip)
        yield Adapted(now, found.episodes)


def with_rates(
    worlds: Worlds,
    policy: GaussianPolicy,
    rates: Mapping[str, Tensor],
    config: InnerLoop,
    *,
    num_tasks: int,
    updates: int,
    generator: torch.Generator,
) -> ByParameters:
    """Adapt a policy by given inner rates; the config says how its inner loop goes."""
    steps = adapt_policy(
        worlds, policy, parameters_of(policy), rates, num_tasks=num_tasks, updates=updates,
        generator=generator, gamma=config.gamma, lam=config.lam, clip=config.inner_clip,
        noise=config.noise(worlds.spec.hidden),
    )  # fmt: skip
    return ByParameters(worlds, policy, steps, num_tasks=num_tasks, generator=generator)
