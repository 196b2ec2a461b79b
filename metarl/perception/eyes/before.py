"""Eyes that were trained before: what is taken of them, and how they learn on, as a strategy says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metarl.errors import CheckpointError, ConfigError
from metarl.methods import rule_names
from metarl.perception.eyes.config import EyesConfig
from metarl.perception.eyes.network import Eyes
from metarl.runs.policies import EYES, read_checkpoint
from metarl.runs.shipped import find_checkpoint
from metarl.runs.trained import part
from metarl.transfer.strategy import HEAD, TRUNK, Strategy, get_strategy
from metarl.transfer.student import Student

USUAL = "fine-tune"  # what goes on training everything


def is_plain(strategy: Strategy) -> bool:
    """Whether all that a strategy needs while it learns is the network's own weights."""
    own = type(strategy).leaves is Strategy.leaves and type(strategy).finish is Strategy.finish
    return own and not strategy.keeps_source and not strategy.imitates


def strategy_of(config: EyesConfig) -> Strategy:
    """Make the strategy by which eyes learn.

    Raises:
        UnknownNameError: If there is none of that name.
        ConfigError: If it keeps more than the weights, or what is set of it is not valid.
    """
    strategy = get_strategy(config.swap or USUAL, config.swap_settings)
    if not is_plain(strategy):
        plain = [name for name in rule_names() if is_plain(get_strategy(name))]
        raise ConfigError(
            f"swap {strategy.name!r} keeps more than the weights of the eyes, which they do not hold;"
            f" expected one of {', '.join(plain)}"
        )
    return strategy


def read_eyes(name: str, family: str) -> dict[str, Tensor]:
    """Read the picture network of eyes, by its tensors' names.

    Args:
        name: A run folder, a checkpoint, or the name of a shipped one.
        family: For which; a shipped one of this family is looked for first.
    Raises:
        CheckpointError: If there is none, or it holds no eyes.
    """
    found = part(EYES, read_checkpoint(find_checkpoint(Path(name), family)).tensors)
    if not found:
        raise CheckpointError(
            f"{name} holds no eyes; expected a training by eyes: metarl train ... --method eyes"
        )
    return found


def student_of(config: EyesConfig, eyes: Eyes, family: str, generator: torch.Generator) -> Student:
    """Give eyes that were just drawn what their strategy takes of others, and let them learn so.

    What is asked now may be other numbers than what the others answered: then the head is new, under
    every strategy. Where the head is taken, so are the units of what it answers.

    Args:
        config: With the others' name, the strategy, and the learning rate.
        eyes: The picture network; filled in place.
        family: For the name.
        generator: Is handed to the strategy.
    Raises:
        CheckpointError: If there are no such eyes, or their layers are others.
        UnknownNameError: If there is no such strategy.
        ConfigError: If the strategy keeps more than the weights.
    """
    strategy = strategy_of(config)
    taken: dict[str, Tensor] = {}
    if config.eyes is not None:
        taken = _taken(eyes, read_eyes(config.eyes, family), strategy)
        eyes.load_state_dict(taken, strict=False)
        eyes.has_units = any(name.startswith(HEAD) for name in taken)
    frozen = {n for n, _ in eyes.named_parameters() if n.startswith("trunk.eye.") and config.frozen}
    own = dict(eyes.named_parameters())
    return Student(
        eyes, strategy, rate=config.learning_rate, generator=generator, fixed=frozen,
        source={n: t for n, t in taken.items() if n in own}, new=set(own) - set(taken),
    )  # fmt: skip


def _taken(eyes: Eyes, others: Mapping[str, Any], strategy: Strategy) -> dict[str, Tensor]:
    """Which of the others' tensors eyes begin with; buffers are the units of what is answered."""
    own = eyes.state_dict()
    if strategy.start == "scratch":
        return {}
    trunk = {n: t for n, t in others.items() if n.startswith(TRUNK)}
    unlike = [
        n for n in own if n.startswith(TRUNK) and trunk.get(n, own[n][:0]).shape != own[n].shape
    ]
    if unlike:
        raise CheckpointError(f"these eyes have another picture network: {', '.join(unlike[:4])}")
    left = strategy.left_behind(dict(eyes.named_parameters()))
    rest = {n: t for n, t in others.items() if not n.startswith(TRUNK)}
    if not any(n.startswith(HEAD) for n in left) and all(
        n in rest and rest[n].shape == own[n].shape for n in own if not n.startswith(TRUNK)
    ):
        return {n: t for n, t in {**trunk, **rest}.items() if n in own and n not in left}
    return {n: t for n, t in trunk.items() if n not in left}
