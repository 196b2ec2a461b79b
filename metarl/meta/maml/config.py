"""Everything that decides what a run of MAML or its kin computes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from metarl.errors import require
from metarl.meta.maml.explore import ContextNoise
from metarl.meta.maml.inner import initial_rates
from metarl.meta.maml.outer import Outer
from metarl.nn.functional import Params

BACKENDS = ("torch", "learn2learn")
ADAPTED = {"all": "", "head": "head."}  # what the inner loop adapts: how the names begin


@dataclasses.dataclass(frozen=True)
class MamlConfig:
    """Everything that decides what a MAML run computes.

    Args:
        num_tasks: K, train tasks an iteration.
        episodes: B, episodes of each task before each inner update and after the last.
        inner_updates: U.
        adapts: What the inner loop changes: all parameters, or the head's alone; the trunk, the
            task context and the actions' standard deviation are then the same in every task.
        inner_rate: First value of every inner rate.
        context_rate: That of the task context, where it stands for hidden fields; None: as the
            others.
        context_decay: Factor from each inner update's first context rate to the next one's.
        context_std: Standard deviation of each episode's guess of the hidden context, before
            the first update; it falls by `context_decay` too. None: no guesses.
        inner_clip: Smooth bound of every element of the inner gradient; None: no bound.
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
        max_grad_norm: Longest meta-gradient; longer ones are shortened.
        gamma: Discount per control step.
        lam: Of the generalised advantage estimate.
        outer_gamma: Discount of the outer loss, which may look further ahead than what teaches
            best within an episode; None: `gamma` and `lam` serve both.
        outer_lam: Of the outer loss's advantage estimate.
        entropy: Weight of the outer entropy bonus.
        iterations: How many meta-updates the run has.
        max_seconds: Stop after this wall time [s]; None: never.
        seed: Of weights, worlds, tasks and noise.
        hidden: Widths of the policy's layers.
        log_std: First log standard deviation of the actions; None: -0.7, or the pretrained one.
        device: Where the networks live.
        backend: Who differentiates.
        task_visible: Whether the policy sees the hidden task; it must infer it, so False.
    """

    num_tasks: int = 20
    episodes: int = 10
    inner_updates: int = 5
    adapts: Literal["all", "head"] = "all"
    inner_rate: float = 1e-3
    context_rate: float | None = 1.2
    context_decay: float = 0.6
    context_std: float | None = None
    inner_clip: float | None = 0.4
    learn_rates: bool = True
    first_order: bool = True
    multi_step: bool = True
    weigh_tasks: bool = False
    outer_rate: float = 1e-3
    rates_rate: float = 3e-4
    anneal: float = 0.5
    outer_epochs: int = 10
    clip: float = 0.2
    max_grad_norm: float = 1.0
    gamma: float = 0.9
    lam: float = 0.8
    outer_gamma: float | None = None
    outer_lam: float = 0.95
    entropy: float = 0.0
    iterations: int = 60
    max_seconds: float | None = None
    seed: int = 0
    hidden: tuple[int, ...] = (64, 64)
    log_std: float | None = -1.3
    device: str = "cpu"
    backend: Literal["torch", "learn2learn"] = "torch"
    task_visible: bool = False

    def __post_init__(self) -> None:
        for name in ("num_tasks", "episodes", "inner_updates", "outer_epochs", "iterations"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "an integer >= 1")
        for name in ("outer_rate", "rates_rate", "clip", "max_grad_norm"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0.0, name, value, "a finite number > 0")
        for name in ("gamma", "lam", "outer_gamma", "outer_lam", "anneal", "context_decay"):
            value = getattr(self, name)
            if value is None:
                continue
            require(0.0 <= value <= 1.0, name, value, "a number in [0, 1]")
        require(math.isfinite(self.inner_rate), "inner_rate", self.inner_rate, "a finite number")
        require(self.entropy >= 0.0, "entropy", self.entropy, "a number >= 0")
        require(self.seed >= 0, "seed", self.seed, "an integer >= 0")
        limit = self.max_seconds
        require(limit is None or limit > 0.0, "max_seconds", limit, "a time > 0 s or None")
        require(all(w >= 1 for w in self.hidden), "hidden", self.hidden, "widths >= 1")
        require(self.backend in BACKENDS, "backend", self.backend, " or ".join(BACKENDS))
        require(not self.task_visible, "task_visible", self.task_visible, "False")
        bound = self.inner_clip
        require(bound is None or bound > 0.0, "inner_clip", bound, "a number > 0 or None")
        std = self.context_std
        require(std is None or std > 0.0, "context_std", std, "a number > 0 or None")
        require(self.adapts in ADAPTED, "adapts", self.adapts, " or ".join(ADAPTED))
        whole = self.adapts == "all"
        require(whole or std is None, "context_std", std, "None: the head alone adapts")
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


def require_default(config: Any, names: tuple[str, ...], why: str) -> None:
    """Check that nobody has set the fields of a config that play no part in its method.

    Args:
        config: A dataclass.
        names: The fields.
        why: Why they play none.
    Raises:
        ConfigError: If one is not at its default.
    """
    defaults = {f.name: f.default for f in dataclasses.fields(config)}
    for name in names:
        value = getattr(config, name)
        require(value == defaults[name], name, value, f"{defaults[name]!r}, its default: {why}")
