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


def join(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name a part's tensors ``PREFIX.NAME``, detached."""
    return {f"{prefix}.{name}": tensor.detach() for name, tensor in tensors.items()}


def part(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pick the tensors that `join` named, by their own names."""
    start = f"{prefix}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
