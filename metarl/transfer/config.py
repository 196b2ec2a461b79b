"""Everything that can be set of how strategies learn; checked before torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from typing import Any

from metarl.errors import require
from metarl.runs import fields


@dataclass(frozen=True, kw_only=True)
class FineTuning(fields.Checked):
    """How a policy learns from reward where no inner loop was trained.

    Args:
        rate: Adam's learning rate, > 0.
        epochs: Adam steps on each update's episodes, >= 1.
        clip: PPO's clip, > 0.
        gamma: Discount per control step.
        lam: Of the generalised advantage estimate.
        log_std: First log standard deviation of the actions.
    """

    rate: float = fields.positive(3e-3)
    epochs: int = fields.count(5)
    clip: float = fields.positive(0.2)
    gamma: float = fields.share(0.95)
    lam: float = fields.share(0.95)
    log_std: float = fields.log_std(-1.3)


@dataclass(frozen=True, kw_only=True)
class Imitation(fields.Checked):
    """How a policy learns from an expert.

    Args:
        rate: Adam's learning rate, > 0; over the second half of each update it falls linearly to 0.
        steps: Adam steps an update, >= 1.
        minibatch: Samples of each task in a step, >= 1.
        log_std: Log standard deviation of the actions while the learner acts.
    """

    rate: float = fields.positive(3e-3)
    steps: int = fields.count(200)
    minibatch: int = fields.count(256)
    log_std: float = fields.log_std(-2.0)


@dataclass(frozen=True, kw_only=True)
class StrategyOptimization(fields.Checked):
    """How guesses of the hidden task are searched for the one by which a policy does best.

    Args:
        std: Standard deviation of the guesses before the first update, > 0, in units of the task
            block (a field's range spans 2).
        decay: Factor on it from one update to the next, in (0, 1]; None: it becomes, number by
            number, how far the best guesses lay from the last mean. That takes many episodes, and
            goes further.
        elites: Share of the remembered guesses that the next ones are drawn around, in (0, 1];
            always two or more, where there are two.
        memory: How many of the latest guesses are remembered, >= 2; always all of the last update.
    """

    std: float = fields.positive(0.4)
    decay: float | None = fields.factor(0.7, optional=True)
    elites: float = fields.factor(0.1)
    memory: int = fields.count(40, least=2)


@dataclass(frozen=True, kw_only=True)
class BayesianOptimization(fields.Checked):
    """How a model of the returns looks for the guess of the hidden task by which a policy does best.

    Args:
        known: From how many tasks of the train split guesses are made, >= 2.
        candidates: Among how many guesses the next ones are chosen, >= 3: known tasks, the best guess
            mixed with them, and guesses near it, a third each.
        memory: Of how many guesses at most the model is made, >= 2: the latest, and the best of the
            others. Its time grows with the cube.
    """

    known: int = fields.count(1000, least=2)
    candidates: int = fields.count(900, least=3)
    memory: int = fields.count(160, least=2)


@dataclass(frozen=True, kw_only=True)
class ResidualSearch(StrategyOptimization):
    """How a search looks for the hidden task, and for what is added to the policy's actions.

    Args:
        decay: As for `StrategyOptimization`.
        memory: Likewise.
        residual_std: First standard deviation of what is added to an action, > 0; actions lie in
            [-1, 1].
        knots: At how many moments, evenly over an episode, it is searched for, >= 1; in between it
            changes linearly, and with one it stays the same.
        generation: After how many episodes of a task the search moves, >= 2; an update with fewer is
            one generation, one with more several.
        task_first: For how many of the first updates it looks for the hidden task alone, >= 0: first
            which of the known tasks this one is most like, then what is to be changed there.
    """

    decay: float | None = fields.factor(None, optional=True)
    memory: int = fields.count(2, least=2)
    residual_std: float = fields.positive(0.45)
    knots: int = fields.count(5)
    generation: int = fields.count(40, least=2)
    task_first: int = fields.count(1, least=0)

    def generations(self, episodes: int) -> int:
        """Into how many generations so many episodes of an update are cut.

        Raises:
            ConfigError: If they are not all as large.
        """
        whole = episodes <= self.generation or episodes % self.generation == 0
        valid = f"a multiple of the search's generation, {self.generation}, or fewer"
        require(whole, "episodes", episodes, valid)
        return max(1, episodes // self.generation)


@dataclass(frozen=True, kw_only=True)
class Settings(fields.Checked):
    """What a strategy lets set, beside what the way of learning does: nothing."""


@dataclass(frozen=True, kw_only=True)
class HeadFirst(Settings):
    """How long a new head learns alone.

    Args:
        head_share: Share of the budget in which the trunk is frozen, in (0, 1).
    """

    head_share: float = fields.factor(0.5, below=True)


@dataclass(frozen=True, kw_only=True)
class Lowest(Settings):
    """How much of the trunk is taken.

    Args:
        layers: How many of its layers, from the input, >= 1.
    """

    layers: int = fields.count(1)


@dataclass(frozen=True, kw_only=True)
class LayerDecay(Settings):
    """How fast learning rates fall towards the input.

    Args:
        decay: Factor on the rate from each layer to the one below it, in (0, 1]; the head has the
            whole rate.
    """

    decay: float = fields.factor(0.385)


@dataclass(frozen=True, kw_only=True)
class Pull(Settings):
    """How strongly weights are pulled back.

    Args:
        alpha: Strength of the pull towards the source, >= 0: half of it times the squared distance
            is added to the loss.
        beta: Strength of the pull of a new head towards 0, >= 0, likewise.
    """

    alpha: float = fields.not_negative(0.1)
    beta: float = fields.not_negative(0.01)


@dataclass(frozen=True, kw_only=True)
class Adapters(Settings):
    """How much room adapters have.

    Args:
        rank: Rank of what each layer's weights change by, >= 1; never above what a layer has.
        scale: Factor on what the adapters add, > 0.
    """

    rank: int = fields.count(4)
    scale: float = fields.positive(1.0)


@dataclass(frozen=True, kw_only=True)
class Average(Settings):
    """How what was learned is averaged with the source.

    Args:
        mix: Weight of what was learned, in [0, 1]; the source has the rest.
    """

    mix: float = fields.share(0.5)


@dataclass(frozen=True, kw_only=True)
class Teaching(Settings):
    """How long the source is imitated.

    Args:
        weight: First weight of imitating it, > 0; the loss of the task has 1.
        fade: Share of the budget over which that falls linearly to 0, in (0, 1].
    """

    weight: float = fields.positive(1.0)
    fade: float = fields.factor(0.5)


_JOINED: dict[tuple[type[Any], type[Any]], type[Any]] = {}


def joined(learning: type[Any], settings: type[Any]) -> type[Any]:
    """Join what can be set of a way of learning and of a strategy: one config of both, made once.

    Args:
        learning: `FineTuning` or `Imitation`.
        settings: Of the strategy.
    """
    if settings is Settings:
        return learning
    if (learning, settings) not in _JOINED:
        name = f"{settings.__name__}{learning.__name__}"
        bases = (learning, settings)
        made = make_dataclass(name, (), bases=bases, frozen=True, kw_only=True)
        made.__module__ = settings.__module__  # where other processes find it by name
        _JOINED[learning, settings] = made
    return _JOINED[learning, settings]


HeadFirstFineTuning, HeadFirstImitation = (joined(x, HeadFirst) for x in (FineTuning, Imitation))
LowestFineTuning, LowestImitation = joined(FineTuning, Lowest), joined(Imitation, Lowest)
LayerDecayFineTuning = joined(FineTuning, LayerDecay)
LayerDecayImitation = joined(Imitation, LayerDecay)
PullFineTuning, PullImitation = joined(FineTuning, Pull), joined(Imitation, Pull)
AdaptersFineTuning, AdaptersImitation = joined(FineTuning, Adapters), joined(Imitation, Adapters)
AverageFineTuning, AverageImitation = joined(FineTuning, Average), joined(Imitation, Average)
TeachingFineTuning, TeachingImitation = joined(FineTuning, Teaching), joined(Imitation, Teaching)
