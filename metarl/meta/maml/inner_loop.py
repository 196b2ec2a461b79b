"""MAML's inner loop, and how it goes on tasks that it was not trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from metarl.adapt.adaptation import Adapted, ByParameters, per_task
from metarl.errors import require
from metarl.meta.maml.explore import ContextNoise, explore
from metarl.meta.maml.inner import adapted, initial_rates, policy_gradient
from metarl.nn.functional import Params, parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.runs import fields
from metarl.sim.worlds import Worlds

ADAPTED = {"all": "", "head": "head."}  # what the inner loop adapts: how the names begin


@dataclasses.dataclass(frozen=True, kw_only=True)
class InnerLoop(fields.Checked):
    """How a policy follows its gradient within a task.

    Args:
        inner_updates: U, updates that have rates of their own; the last ones serve any further.
        adapts: What changes: all parameters, or the head's alone; the trunk, the task context and
            the actions' standard deviation are then the same in every task.
        inner_rate: First value of every inner rate.
        context_rate: That of the task context, where it stands for hidden fields; None: as the
            others.
        context_decay: Factor from each inner update's first context rate to the next one's.
        context_std: Standard deviation of each episode's guess of the hidden context, before
            the first update; it falls by `context_decay` too. None: no guesses.
        inner_clip: Smooth bound of every element of the inner gradient; None: no bound.
        gamma: Discount per control step.
        lam: Of the generalised advantage estimate.
        log_std: First log standard deviation of the actions; None: -0.7, or that of the policy
            that it starts from.
    """

    inner_updates: int = fields.count(5)
    adapts: Literal["all", "head"] = "all"
    inner_rate: float = fields.number(1e-3)
    context_rate: float | None = fields.number(1.2, optional=True)
    context_decay: float = fields.share(0.6)
    context_std: float | None = fields.positive(None, optional=True)
    inner_clip: float | None = fields.positive(0.4, optional=True)
    gamma: float = fields.share(0.9)
    lam: float = fields.share(0.8)
    log_std: float | None = fields.log_std(-1.3, optional=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.adapts in ADAPTED, "adapts", self.adapts, " or ".join(ADAPTED))
        whole = self.adapts == "all"
        require(
            whole or self.context_std is None, "context_std", self.context_std,
            "None: the head alone adapts",
        )  # fmt: skip

    def rates(self, params: Mapping[str, Tensor], hidden: tuple[bool, ...]) -> Params:
        """Make the first inner rates of the parameters that adapt, each (U, ...).

        Args:
            params: All parameters, each (...).
            hidden: Which columns of the task context are hidden.
        """
        start = ADAPTED[self.adapts]
        return initial_rates(
            {name: p for name, p in params.items() if name.startswith(start)},
            self.inner_updates, self.inner_rate, self.context_rate, hidden, self.context_decay,
        )  # fmt: skip

    def noise(self, hidden: tuple[bool, ...]) -> ContextNoise | None:
        """How the context is explored, given which of its columns are hidden."""
        if self.context_std is None or not any(hidden):
            return None
        return ContextNoise(self.context_std, self.context_decay, hidden)


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
