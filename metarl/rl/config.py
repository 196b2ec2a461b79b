"""Everything that decides what a pretraining run computes; checked before torch is loaded."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from metarl.errors import require
from metarl.learn.config import GradientConfig, TrainConfig
from metarl.runs import fields
from metarl.streams import seed_of_noise


@dataclasses.dataclass(frozen=True, kw_only=True)
class PpoConfig(GradientConfig):
    """Everything that decides what a pretraining run computes.

    Args:
        num_worlds: N; an iteration is one episode in each.
        minibatch: Samples in a gradient step.
        epochs: Passes over an iteration's samples.
        learning_rate: Adam's.
        reward_scale: What rewards are multiplied by before anything learns from them; the
            critic is best off with values of a few units.
        log_std: First log standard deviation of the actions; None: that of the policy that
            training starts from, or -0.7.
        strategy: How the actor starts from another policy, and what of it learns: a strategy that is
            no more than that, such as fine-tune; None: it goes on training everything.
        strategy_settings: Fields of that strategy's config; None: its defaults.
        exploration: Whether the log standard deviation of the actions is the source's or fresh; None:
            the source's, where it is of the same family and its weights are taken.
        noise: Which noise of worlds, tasks, actions and minibatches; the first weights stay. Two of
            them tell which differences mean nothing.
    """

    num_worlds: int = fields.count(512)
    minibatch: int = fields.count(5120)
    epochs: int = fields.count(4)
    learning_rate: float = fields.positive(1e-3)
    reward_scale: float = fields.positive(1.0)
    iterations: int = fields.count(120)
    log_std: float | None = fields.log_std(None, optional=True)
    task_visible: bool = True
    strategy: str | None = None
    strategy_settings: dict[str, Any] | None = None
    exploration: Literal["source", "fresh"] | None = None
    noise: int = fields.count(0, least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.exploration == "source":
            require(
                self.log_std is None, "log_std", self.log_std, "None: exploration is the source's"
            )
        if self.strategy is None:
            none = self.strategy_settings is None
            require(none, "strategy_settings", self.strategy_settings, "None: no strategy is named")

    @property
    def noise_seed(self) -> int:
        """Seed of whatever is drawn but first weights."""
        return seed_of_noise(self.seed, self.noise)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DaggerConfig(TrainConfig):
    """Everything that decides what an imitation run computes.

    Args:
        num_worlds: N; an iteration is one episode in each.
        minibatch: Samples in a gradient step.
        epochs: Passes over an iteration's samples.
        learning_rate: Adam's.
        anneal: Share of the budget, at its end, over which the rate falls linearly to 0.
        expert_iterations: First iterations, in which the expert acts.
        mixing: Share of the budget, at its start, over which the expert's share of the acting
            falls linearly from 1 to 0; 0: it acts in the first iterations alone. In a long task
            a learner that does not get beyond the first step would see nothing of the others.
        segment: Control steps for which one of the two acts, while they take turns.
        log_std: Log standard deviation of the actions while the learner acts, and of the
            policy that is saved.
        noise: Which noise of worlds, tasks, actions and minibatches; the first weights stay. Two of
            them tell which differences mean nothing.
    """

    num_worlds: int = fields.count(512)
    minibatch: int = fields.count(2048)
    epochs: int = fields.count(4)
    learning_rate: float = fields.positive(2e-3)
    anneal: float = fields.share(0.5)
    expert_iterations: int = fields.count(1, least=0)
    mixing: float = fields.share(0.0)
    segment: int = fields.count(25)
    iterations: int = fields.count(25)
    log_std: float = fields.log_std(-1.2)
    task_visible: bool = True
    noise: int = fields.count(0, least=0)

    @property
    def noise_seed(self) -> int:
        """Seed of whatever is drawn but first weights."""
        return seed_of_noise(self.seed, self.noise)
