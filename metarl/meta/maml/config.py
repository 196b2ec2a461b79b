"""Everything that decides what a run of MAML or its kin computes."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from metarl.errors import require
from metarl.learn.config import BlindConfig, GradientConfig
from metarl.meta.maml.inner_loop import InnerLoop
from metarl.meta.maml.outer import Outer
from metarl.runs import fields

# Who may differentiate, and what their defaults are. learn2learn's plainest learner has one fixed rate
# for all parameters.
BACKENDS: dict[str, dict[str, Any]] = {
    "torch": {},
    "learn2learn": {
        "inner_rate": 0.01,
        "learn_rates": False,
        "context_rate": None,
        "context_std": None,
        "inner_clip": None,
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MamlConfig(InnerLoop, GradientConfig, BlindConfig):
    """Everything that decides what a MAML run computes.

    Args:
        num_tasks: K, train tasks an iteration.
        episodes: B, episodes of each task before each inner update and after the last.
        learn_rates: Learn one inner rate a parameter element and update.
        first_order: Ignore second derivatives (FOMAML): with few episodes a task they were
            mostly noise. Every epoch of the outer loss then takes the inner gradients that were
            followed while collecting, so that it compares with the policies that acted.
        multi_step: Judge the policy after every inner update, not only after the last.
        weigh_tasks: Let tasks count in the outer loss by how much is left to gain in them.
        outer_rate: Adam's rate for the parameters.
        rates_rate: Adam's rate for the inner rates.
        anneal: Share of the budget, at its end, over which both outer rates fall linearly to 0.
        outer_epochs: Adam steps on each iteration's data.
        clip: PPO's clip on post-update data.
        outer_gamma: Discount of the outer loss, which may look further ahead than what teaches
            best within an episode; None: `gamma` and `lam` serve both.
        outer_lam: Of the outer loss's advantage estimate.
        entropy: Weight of the outer entropy bonus.
        backend: Who differentiates.
    """

    num_tasks: int = fields.count(20)
    episodes: int = fields.count(10)
    learn_rates: bool = True
    first_order: bool = True
    multi_step: bool = True
    weigh_tasks: bool = False
    outer_rate: float = fields.positive(1e-3)
    rates_rate: float = fields.positive(3e-4)
    anneal: float = fields.share(0.5)
    outer_epochs: int = fields.count(10)
    outer_gamma: float | None = fields.share(None, optional=True)
    outer_lam: float = fields.share(0.95)
    backend: Literal["torch", "learn2learn"] = "torch"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.backend in BACKENDS, "backend", self.backend, " or ".join(BACKENDS))
        require(
            self.backend == "torch" or self._is_learn2learns(), "backend", self.backend,
            "torch, or inner_clip, context_std and outer_gamma None, and either learn_rates=False"
            " and context_rate=None (its MAML has one fixed rate) or, where all adapts,"
            " inner_updates=1 (its Meta-SGD has one rate an element)",
        )  # fmt: skip

    def _is_learn2learns(self) -> bool:
        """Whether learn2learn has a learner that does the same."""
        ours = (self.inner_clip, self.context_std, self.outer_gamma)
        one_rate = not self.learn_rates and self.context_rate is None
        meta_sgd = self.learn_rates and self.inner_updates == 1 and self.adapts == "all"
        return (one_rate or meta_sgd) and all(one is None for one in ours)

    @property
    def outer(self) -> Outer:
        """What the outer loss is made of."""
        return Outer(
            clip=self.clip,
            entropy=self.entropy,
            first_order=self.first_order,
            multi_step=self.multi_step,
            inner_clip=self.inner_clip,
            weigh_tasks=self.weigh_tasks,
        )
