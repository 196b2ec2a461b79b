"""How an actor begins: as another policy, as a strategy says, or as its own checkpoint had it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from metarl.errors import CheckpointError, ConfigError
from metarl.nn.functional import parameters_of
from metarl.nn.network import load_partial
from metarl.nn.policy import GaussianPolicy
from metarl.rl.actor_critic import CONTEXT, ActorCritic
from metarl.rl.config import PpoConfig
from metarl.transfer.strategy import Strategy, get_strategy
from metarl.transfer.student import EXPLORATION, Student

USUAL = "fine-tune"  # what goes on training everything


def strategy_of(config: PpoConfig) -> Strategy:
    """Make the strategy of a training.

    Raises:
        UnknownNameError: If there is none of that name.
        ConfigError: If what is set of it is unknown, of another type, or out of range.
    """
    return get_strategy(config.strategy or USUAL, config.strategy_settings)


def begin(networks: ActorCritic, config: PpoConfig, initial: Mapping[str, Tensor] | None) -> None:
    """Give an actor that was just drawn what its strategy takes of another policy.

    Args:
        networks: The actor, with its critic; the critic stays as it was drawn.
        config: With the strategy, and whose exploration it is.
        initial: Parameters of a `GaussianPolicy`; None: it begins as it was drawn, and a strategy that
            needs more can only `resume`.
    Raises:
        ConfigError: If none of the parameters fits, or some are missing that are needed.
    """
    strategy, actor = strategy_of(config), networks.actor
    if initial is None and config.strategy is None and config.exploration != "source":
        return
    given = {name: t for name, t in (initial or {}).items() if name != CONTEXT}
    left = strategy.left_behind(parameters_of(actor))
    taken = {n: t for n, t in given.items() if n not in left and _takes(strategy, config, n)}
    loaded: set[str] = set()
    if initial is not None and (taken or strategy.start == "source"):
        report = load_partial(actor, taken)
        if not report.loaded:
            raise ConfigError(f"none of the initial parameters fits this policy:\n{report}")
        loaded = set(report.loaded)
    if initial is not None and config.exploration == "source" and EXPLORATION not in loaded:
        raise ConfigError("exploration is 'source', but no log_std of that many actions was given")
    own = parameters_of(actor)
    source = {name: own[name] for name in loaded & set(own) if name != EXPLORATION}
    teacher = _teacher(actor, given) if strategy.imitates and initial is not None else None
    generator = torch.Generator().manual_seed(config.seed)
    networks.follow(
        Student(
            actor, strategy, **networks.how(generator),
            source=source, new=set(own) - loaded, teacher=teacher,
        )
    )  # fmt: skip


def _takes(strategy: Strategy, config: PpoConfig, name: str) -> bool:
    """Whether a strategy begins with the source's tensor of that name."""
    if name == EXPLORATION:
        usual = strategy.start == "source" and config.log_std is None
        return config.exploration == "source" or (config.exploration is None and usual)
    return strategy.start == "source"


def _teacher(actor: GaussianPolicy, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The whole policy that is imitated; without an exploration of its own it has the student's.

    Raises:
        ConfigError: If it is not whole.
    """
    own = actor.state_dict()
    fits = {name: t for name, t in given.items() if name in own and t.shape == own[name].shape}
    lacks = [name for name in own if name not in fits and name not in (CONTEXT, EXPLORATION)]
    if lacks:
        raise ConfigError(
            f"there is nothing to imitate: the source has no {', '.join(lacks)} of the same shape"
        )
    return {**own, **fits}


def resume(networks: ActorCritic, config: PpoConfig, saved: Any) -> None:
    """Let an actor go on as a checkpoint had it, without its source.

    Args:
        networks: The actor, with the weights that were handed out.
        config: As for `begin`.
        saved: What the checkpoint holds of its student; None: nothing but its weights.
    Raises:
        CheckpointError: If it does not fit the strategy.
    """
    found = saved or {"source": {}, "new": [], "teacher": {}}
    student = Student(
        networks.actor, strategy_of(config), **networks.how(torch.Generator().manual_seed(0)),
        source=found["source"], new=found["new"], teacher=found["teacher"],
    )  # fmt: skip
    if saved is None and (student.added or student.lacks_source()):
        raise CheckpointError(f"this checkpoint holds nothing of strategy {config.strategy}")
    if saved is not None:
        student.load(saved["own"])
    networks.follow(student)
