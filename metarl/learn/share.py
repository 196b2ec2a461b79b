"""A part of a batch of worlds, which goes as if all of them were here."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

_T = TypeVar("_T")

# What runs episodes: it gives how many control steps its own ones took, and is sent how many the longest
# of the whole batch took. Its own worlds then go on for as long, for what they draw depends on that.
Pace = Generator[int, int, _T]


@dataclass(frozen=True)
class Share:
    """Which of a batch's worlds are here; the others are somewhere else.

    Args:
        first: Number of the first one.
        total: How many the batch has.
    """

    first: int
    total: int


def randn(
    shape: tuple[int, ...],
    axis: int,
    generator: torch.Generator,
    share: Share | None = None,
) -> Tensor:
    """Draw normal numbers of worlds: each world gets the same, whether the others are here or not.

    Args:
        shape: With the worlds that are here.
        axis: Along which the worlds lie.
        generator: Draws, for all worlds.
        share: Which of them are here; None: all.
    """
    if share is None:
        return torch.randn(shape, generator=generator, device=generator.device)
    whole = (*shape[:axis], share.total, *shape[axis + 1 :])
    drawn = torch.randn(whole, generator=generator, device=generator.device)
    return drawn.narrow(axis, share.first, shape[axis])


def alone(pace: Pace[_T]) -> _T:
    """Run episodes of a whole batch: the longest one is among them."""
    try:
        length = next(pace)
        while True:
            length = pace.send(length)
    except StopIteration as end:
        return end.value
