"""ProMP: a clipped outer surrogate, and a leash on the policy that explores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from metarl.meta.maml.config import PrompConfig
from metarl.meta.maml.explore import Exploration
from metarl.meta.maml.inner import Batch
from metarl.meta.maml.maml import MamlTrainer, by_inner_loop
from metarl.meta.maml.outer import Outer, adaptation_path, kl_from_acting, remember
from metarl.methods import Adapting, Method, Training
from metarl.nn.functional import Params, apply


def drifts(
    policy: nn.Module,
    params: Mapping[str, Tensor],
    rates: Mapping[str, Tensor],
    batches: Sequence[Batch],
    outer: Outer,
) -> list[float]:
    """Measure how far the policies before each inner update are from those that acted.

    Args:
        policy: The policy.
        params: Its present parameters, each (...).
        rates: Inner rates, each (U, ...).
        batches: U + 1 batches of K tasks, each as `remember` returned it.
        outer: How the inner loop goes.
    Returns:
        The mean KL divergence [nat] before each of the U updates.
    """
    path = adaptation_path(
        policy, params, rates, batches, dataclasses.replace(outer, first_order=True)
    )
    return [
        float(kl_from_acting(apply(policy, now, batch.obs), batch).mean().detach())
        for now, batch in zip(path, batches[:-1])
    ]


def tightened(
    weights: Sequence[float], found: Sequence[float], config: PrompConfig
) -> tuple[float, ...]:
    """Adapt the weights of divergences to how large these were.

    Source: Schulman et al. 2017, arXiv:1707.06347, section 4.
    Deviation: Weights are bounded, so that they come back in time from long quiet.
    """
    aim, least, most = config.max_drift, 1e-3 * config.drift, 1e3 * config.drift
    factors = (2.0 if kl > 1.5 * aim else 0.5 if kl < aim / 1.5 else 1.0 for kl in found)
    return tuple(min(most, max(least, w * factor)) for w, factor in zip(weights, factors))


class PrompTrainer(MamlTrainer):
    """Meta-trains by ProMP; the arguments are those of `MamlTrainer`.

    Source: Rothfuss et al. 2018, arXiv:1810.06784, algorithm 1.
    Deviation: The inner rates are learned and the inner gradient is bounded, as the config says.
    """

    method = "promp"
    config: PrompConfig

    means = ("gradients", "drifts")

    def __init__(self, *given: Any, **named: Any):
        super().__init__(*given, **named)
        self.drifts = drifts

    def _judged(self, found: Exploration, params: Params) -> Batch:
        return remember(self.policy, params, super()._judged(found, params))

    def _learn(self, batches: Sequence[Batch]) -> dict[str, float]:
        metrics = super()._learn(batches)
        found = self.drifts(self.policy, self.params, self.rates, batches, self.outer)
        weights = tightened(self.outer.drift, found, self.config)
        self.outer = dataclasses.replace(self.outer, drift=weights)
        return {**metrics, "drift": max(found), "drift_weight": max(weights)}

    def own_state(self) -> dict[str, Any]:
        """Everything of the method's that the next iteration depends on."""
        return {**super().own_state(), "drift": self.outer.drift}

    def load_own_state(self, saved: Mapping[str, Any]) -> None:
        """Continue from an `own_state`."""
        super().load_own_state(saved)
        self.outer = dataclasses.replace(self.outer, drift=tuple(saved["drift"]))


METHOD = Method(
    "ProMP: second order, clipped outer steps, a KL penalty before each inner one",
    Training(PrompConfig, PrompTrainer, splits=True),
    Adapting(by_inner_loop),
    "Rothfuss et al. 2018, arXiv:1810.06784",
)
