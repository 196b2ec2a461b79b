"""Everything that decides what a run of MAML or its kin computes; checked before torch is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from metarl.errors import require
from metarl.learn.config import BlindConfig, GradientConfig, require_default
from metarl.runs import fields

if TYPE_CHECKING:
    from torch import Tensor

    from metarl.meta.maml.explore import ContextNoise
    from metarl.meta.maml.outer import Outer
    from metarl.nn.functional import Params

ADAPTED = {"all": "", "head": "head."}  # what the inner loop adapts: how the names begin

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
        from metarl.meta.maml.inner import initial_rates

        start = ADAPTED[self.adapts]
        return initial_rates(
            {name: p for name, p in params.items() if name.startswith(start)},
            self.inner_updates, self.inner_rate, self.context_rate, hidden, self.context_decay,
        )  # fmt: skip

    def noise(self, hidden: tuple[bool, ...]) -> ContextNoise | None:
        """How the context is explored, given which of its columns are hidden."""
        if self.context_std is None or not any(hidden):
            return None
        from metarl.meta.maml.explore import ContextNoise

        return ContextNoise(self.context_std, self.context_decay, hidden)


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
        from metarl.meta.maml.outer import Outer

        return Outer(
            clip=self.clip,
            entropy=self.entropy,
            first_order=self.first_order,
            multi_step=self.multi_step,
            inner_clip=self.inner_clip,
            weigh_tasks=self.weigh_tasks,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrompConfig(MamlConfig):
    """MAML's config, and how tight the leash is.

    Args:
        drift: First weight of the KL divergence from the policy that acted before each inner
            update.
        max_drift: The divergence [nat] that is aimed at: weights double where an iteration
            ended beyond 1.5 times that, and halve where it ended short of a 1.5th, within a
            factor of 1000 of the first weight.
    """

    first_order: bool = False
    multi_step: bool = False
    inner_updates: int = fields.count(1)
    outer_epochs: int = fields.count(5)
    drift: float = fields.positive(5e-4)
    max_drift: float = fields.positive(0.01)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.backend == "torch", "backend", self.backend, "torch")

    @property
    def outer(self) -> Outer:
        """What the outer loss is made of at first."""
        return dataclasses.replace(super().outer, drift=(self.drift,) * self.inner_updates)


_NO_ADAM = ("outer_rate", "rates_rate", "anneal", "outer_epochs", "clip", "max_grad_norm")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrustRegionConfig(MamlConfig):
    """MAML's config, and how far and how the outer step goes.

    Args:
        max_kl: How far the policies after adaptation may move, as their mean KL divergence over
            samples and tasks [nat].
        cg_steps: Steps of conjugate gradients.
        damping: Added to the curvature's diagonal.
        backtracks: How many lengths the line search tries.
        shrink: Factor from one length to the next, in (0, 1).
    """

    first_order: bool = False
    multi_step: bool = False
    learn_rates: bool = False
    inner_updates: int = fields.count(1)
    outer_epochs: int = fields.count(1)
    max_kl: float = fields.positive(0.01)
    cg_steps: int = fields.count(10)
    damping: float = fields.positive(1e-3)
    backtracks: int = fields.count(15)
    shrink: float = fields.factor(0.8, below=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_default(self, _NO_ADAM, "a trust region takes their place")
        for name in ("multi_step", "learn_rates"):
            require(not getattr(self, name), name, True, "False with a trust region")
        require(self.context_std is None, "context_std", self.context_std, "None")
        require(self.backend == "torch", "backend", self.backend, "torch")

    @property
    def outer(self) -> Outer:
        """What the outer loss is made of: the trust region needs no clip."""
        return dataclasses.replace(super().outer, clip=None)


_NO_OUTER_LOSS = (
    "rates_rate", "outer_epochs", "clip", "entropy", "first_order", "multi_step", "weigh_tasks",
    "outer_gamma", "outer_lam",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReptileConfig(MamlConfig):
    """MAML's config without an outer loss.

    Args:
        outer_rate: Share of the way to the tasks' mean that an iteration goes, in (0, 1]; it
            falls by `anneal`.
        max_grad_norm: Longest way to that mean; longer ones are shortened.
    """

    learn_rates: bool = False
    outer_epochs: int = fields.count(1)
    outer_rate: float = fields.factor(1.0)
    anneal: float = fields.share(1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_default(self, _NO_OUTER_LOSS, "Reptile has no outer loss")
        require(not self.learn_rates, "learn_rates", True, "False: no gradient of theirs is known")
        require(self.backend == "torch", "backend", self.backend, "torch")
