"""Reptile: move towards what each task made of the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from metarl.meta.maml.config import ReptileConfig
from metarl.meta.maml.inner import Batch, adapted, policy_gradient
from metarl.meta.maml.maml import MamlTrainer, by_inner_loop
from metarl.meta.maml.outer import Backend, Gradients, Outer
from metarl.methods import Adapting, Method, Training
from metarl.nn.functional import expand


def away_from_adapted(
    policy: nn.Module,
    params: Mapping[str, Tensor],
    rates: Mapping[str, Tensor],
    batches: Sequence[Batch],
    outer: Outer,
) -> Gradients:
    """Take for a gradient the way from what the tasks make of the parameters, back to them.

    What was collected after the last update teaches too: there is one inner step for each
    batch, the last by the last inner rates.

    Args:
        policy: The policy.
        params: The parameters before adaptation, each (...).
        rates: Inner rates, each (U, ...).
        batches: U + 1 batches of K tasks; number u was collected after u updates.
        outer: How the inner loop goes.
    Returns:
        The inner loss on the last batch, before its step; the parameters minus the mean of the
        tasks' ones; and none for the rates.
    Source: Nichol et al. 2018, arXiv:1803.02999, algorithm 2.
    """
    loss = policy_gradient(policy)
    now = expand(params, len(batches[0].obs))
    for u, batch in enumerate(batches):
        before, now = now, adapted(now, batch, rates, loss, u, outer.inner_clip)
    with torch.no_grad():
        last = loss(before, batches[-1]).mean()
        return last, {name: p - now[name].mean(0) for name, p in params.items()}, {}


class ReptileTrainer(MamlTrainer):
    """Meta-trains by Reptile; the arguments are those of `MamlTrainer`."""

    method = "reptile"
    config: ReptileConfig

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Moves the parameters."""
        return torch.optim.SGD(self.params.values(), lr=self.config.outer_rate)

    def _backend(self) -> Backend:
        return away_from_adapted


METHOD = Method(
    "Reptile: first order, towards the mean of the adapted parameters",
    Training(ReptileConfig, ReptileTrainer, splits=True),
    Adapting(by_inner_loop),
    "Nichol et al. 2018, arXiv:1803.02999",
)
