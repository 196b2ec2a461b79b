"""One task's plain network as a view of what several tasks share: differentiable, and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Part:
    """Where a tensor of the plain network comes from, or some of its rows.

    Args:
        tensor: Which of the shared tensors it is, or is part of.
        columns: Which places of its last axis, in order; None: all of them.
        plus: Another shared tensor, (..., C), and the column of it that is added; None: nothing is.
        at: Of rows: where in the plain tensor's last axis these columns stand; the others are zero. None:
            they are all there is.
    """

    tensor: str
    columns: tuple[int, ...] | None = None
    plus: tuple[str, int] | None = None
    at: tuple[int, ...] | None = None


Stack = tuple[Part, ...]  # one above the other
View = Mapping[str, Part | Stack]  # by the plain network's names


def seen(view: View, shared: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take a plain network's tensors out of the shared ones.

    Args:
        view: What is where.
        shared: By name; gradients reach them.
    Raises:
        KeyError: If a tensor is missing.
        RuntimeError, IndexError: If a column is.
    """
    return {
        name: _taken(parts, shared) if isinstance(parts, Part) else _stacked(parts, shared)
        for name, parts in view.items()
    }


def indices(places: Sequence[int], like: Tensor) -> Tensor:
    """Places as a tensor where another one lives, (N,)."""
    return torch.tensor(places, dtype=torch.long).to(like.device)


def _stacked(parts: Stack, shared: Mapping[str, Tensor]) -> Tensor:
    taken = [_taken(part, shared) for part in parts]
    places = {place for part in parts for place in part.at or ()}
    if not places:
        return torch.cat(taken)
    if places != set(range(len(places))):
        raise IndexError("columns of a view are missing")
    return torch.cat(
        [_spread(rows, part.at or (), len(places)) for rows, part in zip(taken, parts)]
    )


def _spread(rows: Tensor, at: tuple[int, ...], width: int) -> Tensor:
    """Rows whose columns stand elsewhere, (R, C) -> (R, width)."""
    return rows.new_zeros(len(rows), width).index_add(1, indices(at, rows), rows)


def _taken(part: Part, shared: Mapping[str, Tensor]) -> Tensor:
    tensor = shared[part.tensor]
    if part.columns is not None:
        tensor = tensor.index_select(-1, indices(part.columns, tensor))
    if part.plus is not None:
        name, column = part.plus
        tensor = tensor + shared[name][..., column]
    return tensor
