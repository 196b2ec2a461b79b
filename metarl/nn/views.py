"""One task's plain network as a view of what several tasks share: differentiable, and data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Part:
    """Where a tensor of the plain network comes from.

    Args:
        tensor: Which of the shared tensors it is, or is part of.
        columns: Which places of its last axis, in order; None: all of them.
        plus: Another shared tensor, (..., C), and the column of it that is added; None: nothing is.
    """

    tensor: str
    columns: tuple[int, ...] | None = None
    plus: tuple[str, int] | None = None


View = Mapping[str, Part]  # by the plain network's names


def seen(view: View, shared: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take a plain network's tensors out of the shared ones.

    Args:
        view: What is where.
        shared: By name; gradients reach them.
    Raises:
        KeyError: If a tensor is missing.
        RuntimeError, IndexError: If a column is.
    """
    return {name: _taken(part, shared) for name, part in view.items()}


def _taken(part: Part, shared: Mapping[str, Tensor]) -> Tensor:
    tensor = shared[part.tensor]
    if part.columns is not None:
        places = torch.tensor(part.columns, dtype=torch.long).to(tensor.device)
        tensor = tensor.index_select(-1, places)
    if part.plus is not None:
        name, column = part.plus
        tensor = tensor + shared[name][..., column]
    return tensor
