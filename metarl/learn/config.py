"""What every training's config holds, and what those that learn by policy gradients share."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

from metarl.errors import require
from metarl.machine import require_network_fits, require_worlds_fit
from metarl.runs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(fields.Checked):
    """What every training's config holds.

    Args:
        iterations: How many iterations the run has.
        max_seconds: Stop after this wall time [s]; None: never.
        seed: Of weights, worlds, tasks and noise.
        hidden: Widths of the networks' layers.
        activation: Of the policy's layers.
        squash: Whether the policy's mean passes through tanh.
        normalised: Whether the policy observes through standing statistics, which only one that it
            starts from can bring along.
        log_std: First log standard deviation of the actions; None: -0.7, or that of the policy
            that training starts from.
        max_grad_norm: Longest gradient; longer ones are shortened.
        device: Where the networks live.
        task_visible: Whether the policy sees the hidden task fields.
    """

    iterations: int = fields.count(60)
    max_seconds: float | None = fields.seconds(None, optional=True)
    seed: int = fields.seed()
    hidden: tuple[int, ...] = fields.widths((64, 64))
    activation: Literal["tanh", "relu", "elu"] = "tanh"
    squash: bool = False
    normalised: bool = False
    log_std: float | None = fields.log_std(-1.3, optional=True)
    max_grad_norm: float = fields.positive(1.0)
    device: str = "cpu"
    task_visible: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientConfig(TrainConfig):
    """What those share that learn from returns by a clipped policy gradient.

    Args:
        gamma: Discount per control step.
        lam: Of the generalised advantage estimate.
        clip: PPO's clip.
        entropy: Weight of the entropy bonus.
    """

    gamma: float = fields.share(0.95)
    lam: float = fields.share(0.95)
    clip: float = fields.positive(0.2)
    entropy: float = fields.not_negative(0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlindConfig(TrainConfig):
    """What those share that learn to adapt: their tasks are hidden from them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(not self.task_visible, "task_visible", self.task_visible, "False")


def require_fits(config: Any, horizon: int) -> None:
    """Refuse a run that this machine's memory cannot hold, before it is tried.

    Args:
        config: A `TrainConfig`.
        horizon: Control steps of the family's episodes.
    Raises:
        ConfigError: If its worlds or its networks cannot fit.
    """
    num_tasks = getattr(config, "num_tasks", 0)
    if config.device == "cpu":
        require_network_fits(config.hidden, num_tasks)
    names = [n for n in ("num_worlds", "num_tasks", "episodes") if hasattr(config, n)]
    sizes = [getattr(config, name) for name in names]
    asked = " ".join(f"{name}={size}" for name, size in zip(names, sizes))
    require_worlds_fit(math.prod(sizes), horizon, asked)


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
