"""A checkpoint made of tensors that others trained: one form for every reader."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from metarl.errors import CheckpointError
from metarl.nn.policy import LOG_STD, LOG_STD_RANGE
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.trained import join
from metarl.sources.statistics import Statistics

OBSERVATION = "observation"  # the one block of who names none
_WEIGHT = re.compile(r"trunk\.layers\.(\d+)\.weight")


@dataclass(frozen=True)
class Found:
    """A policy as its file has it, under the names of a `GaussianPolicy`.

    Args:
        of: Who trained it, for example ``"Stable-Baselines3 PPO"``.
        tensors: ``trunk.layers.*``, ``head.*`` and, if it explores alike everywhere, ``log_std``.
        activation: Of its layers.
        squash: Whether its mean passes through tanh.
        low: Lower bounds of its actions, (A,), float64; None: the file does not say.
        high: Upper bounds, likewise.
        dropped: Shapes of the tensors that have no place here, by their own names.
        notes: What else there is to say.
    """

    of: str
    tensors: Mapping[str, Tensor]
    activation: str = "tanh"
    squash: bool = False
    low: Tensor | None = None
    high: Tensor | None = None
    dropped: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def rename(
    tensors: Mapping[str, Tensor], named: Callable[[str], str]
) -> tuple[dict[str, Tensor], dict[str, tuple[int, ...]]]:
    """Give tensors other names.

    Args:
        tensors: By their own names.
        named: Says what one is called here; empty: it has no place.
    Returns:
        Those that have a place, and the shapes of the others.
    """
    pairs = [(name, named(name), tensor) for name, tensor in tensors.items()]
    kept = {new: tensor for _, new, tensor in pairs if new}
    return kept, {name: tuple(tensor.shape) for name, new, tensor in pairs if not new}


def to_checkpoint(found: Found, statistics: Statistics | None = None) -> Checkpoint:
    """Make the checkpoint of a policy of others: the same actions, from the same observations.

    Actions are metarl's, in [-1, 1]: those between other bounds are scaled, by the head's weights;
    what is squashed lies there by itself.

    Args:
        found: The policy.
        statistics: Of its observations.
    Raises:
        CheckpointError: If it is no policy of plain layers, or its actions have no bounds.
    """
    widths = _widths(found)
    tensors, notes = dict(found.tensors), list(found.notes)
    num_columns, num_actions = widths[0], len(tensors["head.weight"])
    if "log_std" not in tensors:
        tensors["log_std"] = torch.full((num_actions,), LOG_STD)
        notes.append(f"log_std: set to {LOG_STD:g}, for it has none that holds everywhere")
    if found.low is None or found.high is None:
        notes.append("actions: taken to lie in [-1, 1], for the file does not say")
    elif not found.squash:
        tensors |= _scaled(tensors, found.low, found.high, notes)
    _tell_clamped(tensors["log_std"], notes)
    if statistics is not None:
        tensors |= statistics.tensors(num_columns)
        notes.append("normaliser: the observations' statistics go along and stand still")
    tensors["context"] = torch.zeros(0)
    config = {
        "hidden": list(widths[1:]),
        "activation": found.activation,
        "squash": found.squash,
        "normalised": statistics is not None,
    }
    meta: dict[str, Any] = {
        "family": found.of,
        "blocks": {OBSERVATION: num_columns, "task": 0},
        "action_dim": num_actions,
        "config": config,
        "dropped": {name: list(shape) for name, shape in found.dropped.items()},
        "notes": notes,
    }
    return Checkpoint(join("policy", tensors), meta)


def _widths(found: Found) -> tuple[int, ...]:
    """Widths of the input and of the layers, checked against each other before any is built."""
    weights = {
        int(match[1]): tensor
        for name, tensor in found.tensors.items()
        if (match := _WEIGHT.fullmatch(name))
    }
    order, head = sorted(weights), found.tensors.get("head.weight")
    if not order or head is None or head.dim() != 2 or any(weights[i].dim() != 2 for i in order):
        have = ", ".join(list(found.tensors)[:6]) or "none"
        raise CheckpointError(
            f"this file of {found.of} holds no policy of plain layers with a head: {have}"
        )
    shapes = [tuple(weights[i].shape) for i in order] + [tuple(head.shape)]
    fits = all(a[0] == b[1] for a, b in itertools.pairwise(shapes))
    if order != list(range(0, 2 * len(order), 2)) or not fits or min(map(min, shapes)) < 1:
        raise CheckpointError(
            f"this file of {found.of} has layers {order} of the shapes {shapes}; expected each as"
            " wide as the one before, with nothing but an activation in between"
        )
    return (shapes[0][1], *(shape[0] for shape in shapes[:-1]))


def _scaled(
    tensors: Mapping[str, Tensor], low: Tensor, high: Tensor, notes: list[str]
) -> dict[str, Tensor]:
    """Map actions from [low, high] to [-1, 1]: an affine map, which the head takes up."""
    fits = low.shape == high.shape == tensors["log_std"].shape
    if not fits or not (low.isfinite() & high.isfinite() & (low < high)).all():
        raise CheckpointError(
            f"its actions lie between {low.tolist()[:8]} and {high.tolist()[:8]}; only those with"
            " finite bounds can be mapped to [-1, 1]"
        )
    if (low == -1.0).all() and (high == 1.0).all():
        return {}
    notes.append("head: scaled from the bounds of its actions to [-1, 1]")
    scale = 2.0 / (high - low)
    bias = tensors["head.bias"].double()
    return {
        "head.weight": (tensors["head.weight"].double() * scale[:, None]).float(),
        "head.bias": ((bias - low) * scale - 1.0).float(),
        "log_std": (tensors["log_std"].double() + scale.log()).float(),
    }


def _tell_clamped(log_std: Tensor, notes: list[str]) -> None:
    low, high = LOG_STD_RANGE
    if ((log_std < low) | (log_std > high)).any():
        notes.append(
            f"log_std: acts as if within [{low:g}, {high:g}]; it has"
            f" {log_std.min().item():.3g} to {log_std.max().item():.3g}"
        )
