"""Everything that decides what a training on several families computes; checked before torch is loaded."""

from __future__ import annotations

import dataclasses
from typing import Literal

from metarl.errors import require
from metarl.learn.config import GradientConfig, require_default
from metarl.runs import fields
from metarl.streams import seed_of_noise

Aggregation = Literal[
    "mean", "sum", "pcgrad", "upgrad", "mgda", "aligned-mtl", "imtl-g", "graddrop",
    "uncertainty", "famo",
]  # fmt: skip
COSINE, BETWEEN = "cosine", " ~ "  # a metric of two tasks: "cosine/heat ~ season"
OF_LOSSES = ("uncertainty", "famo")  # weigh losses, which must be positive, not gradients
BY_EXPERT = ("expert_iterations", "mixing", "segment")
BY_REWARD = ("gamma", "lam", "clip", "entropy")
# What imitation asks to have other defaults.
LEARNERS = {
    "ppo": {},
    "dagger": {"learning_rate": 2e-3, "anneal": 0.5, "log_std": -1.2, "iterations": 25},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiTaskConfig(GradientConfig):
    """Everything that decides what a training on several families computes.

    Args:
        learner: What the tasks are learned from: their rewards (ppo) or their experts (dagger, for
            which learning_rate is 2e-3, anneal 0.5, log_std -1.2 and iterations 25 unless given).
        heads: A head for each task (per-task), or one head for all that sees which task it is (shared).
        aggregation: What the tasks' gradients on the shared trunk become; uncertainty and famo weigh
            the tasks' losses instead, which imitation alone has.
        num_worlds: N, of each task; an iteration is one episode in each.
        minibatch: Samples of the longest task in a gradient step; the others have as large a share of
            theirs.
        epochs: Passes over an iteration's samples.
        learning_rate: Adam's.
        anneal: Share of the budget, at its end, over which the rate falls linearly to 0.
        expert_iterations: Of imitation: first iterations, in which the expert acts.
        mixing: Of imitation: share of the budget, at its start, over which the expert's share of the
            acting falls linearly from 1 to 0; 0: it acts in the first iterations alone.
        segment: Of imitation: control steps for which one of the two acts, while they take turns.
        noise: Which noise of worlds, tasks, actions and minibatches; the first weights stay. Two of
            them tell which differences mean nothing.
    """

    learner: Literal["ppo", "dagger"] = "ppo"
    heads: Literal["per-task", "shared"] = "per-task"
    aggregation: Aggregation = "mean"
    num_worlds: int = fields.count(128)
    minibatch: int = fields.count(2048)
    epochs: int = fields.count(4)
    learning_rate: float = fields.positive(1e-3)
    anneal: float = fields.share(0.0)
    expert_iterations: int = fields.count(1, least=0)
    mixing: float = fields.share(0.0)
    segment: int = fields.count(25)
    noise: int = fields.count(0, least=0)
    iterations: int = fields.count(120)
    log_std: float | None = fields.log_std(-0.7)
    hidden: tuple[int, ...] = fields.widths((64, 64), least=1)
    task_visible: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            not self.normalised, "normalised", self.normalised, "False: nothing brings any along"
        )
        if self.learner == "ppo":
            require(
                self.aggregation not in OF_LOSSES, "aggregation", self.aggregation,
                "another one, for it weighs positive losses and those of ppo are not; or learner=dagger",
            )  # fmt: skip
            require_default(self, BY_EXPERT, "ppo has no expert")
        else:
            require_default(self, BY_REWARD, "dagger learns from no reward")

    @property
    def noise_seed(self) -> int:
        """Seed of whatever is drawn but the first weights."""
        return seed_of_noise(self.seed, self.noise)
