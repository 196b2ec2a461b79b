"""What every trained policy's checkpoint says and holds, whoever trained it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from metarl.types import Spec

if TYPE_CHECKING:
    from torch import Tensor


def describe(
    method: str, family: str, spec: Spec, config: Any, *, steps: int, seconds: float
) -> dict[str, Any]:
    """Write down what a policy is for and how it came about, as JSON types.

    Args:
        method: The trainer's name.
        family: The family's.
        spec: Of the worlds it acts in.
        config: The trainer's frozen dataclass.
        steps: Control steps of training.
        seconds: Wall time of training [s].
    """
    return {
        "method": method,
        "family": family,
        "blocks": dict(spec.blocks),
        "action_dim": spec.action_dim,
        "config": dataclasses.asdict(config),
        "steps": steps,
        "seconds": seconds,
    }


def annealed(config: Any, iteration: int, seconds: float) -> float:
    """Compute the share of a learning rate that is left near the end of a budget.

    Args:
        config: With ``iterations``, ``max_seconds`` [s] or None, and ``anneal``, the share of
            the budget, at its end, over which the rate falls linearly to 0.
        iteration: How many iterations are done.
        seconds: How long they took [s].
    Returns:
        In [0, 1].
    """
    left = 1.0 - spent(config, iteration, seconds)
    return max(0.0, min(1.0, left / config.anneal)) if config.anneal > 0.0 else 1.0


def spent(config: Any, iteration: int, seconds: float) -> float:
    """Compute the share of a budget that is spent, at least 0; arguments as for `annealed`."""
    share = iteration / config.iterations
    if config.max_seconds is not None:
        share = max(share, seconds / config.max_seconds)
    return share


def join(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name a part's tensors ``PREFIX.NAME``, detached."""
    return {f"{prefix}.{name}": tensor.detach() for name, tensor in tensors.items()}


def part(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pick the tensors that `join` named, by their own names."""
    start = f"{prefix}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
