"""Held-out cells: how the ranges of a variation are split between train and test."""

from __future__ import annotations

import numpy as np

from metarl.streams import Streams
from metarl.types import Split


def draw(
    rng: Streams,
    split: Split,
    low: float,
    high: float,
    *,
    far: tuple[float, float],
    cells: int = 8,
    every: int = 4,
) -> np.ndarray:
    """Draw one number a stream: cells of the range are held out, `far` lies outside it.

    Args:
        rng: One stream per task, n rows.
        split: ``train``, ``test`` or ``far``.
        low: Lower end of the train and test range.
        high: Upper end.
        far: Range of the far split, disjoint from [low, high).
        cells: In how many cells the range is cut.
        every: Every so-many-th cell is held out for test.
    Returns:
        Shape (n,).
    """
    pick, inside = rng.uniform(), rng.uniform()
    if split == "far":
        return far[0] + (far[1] - far[0]) * inside
    held = np.arange(cells) % every == every // 2
    mine = np.flatnonzero(held if split == "test" else ~held)
    cell = mine[(pick * len(mine)).astype(int)]
    return low + (high - low) * (cell + inside) / cells


def is_held_out(
    x: np.ndarray, low: float, high: float, *, cells: int = 8, every: int = 4
) -> np.ndarray:
    """Say which numbers lie in a held-out cell, (n,) bool."""
    cell = np.floor((x - low) / (high - low) * cells).astype(int)
    return (cell % every == every // 2) & (cell >= 0) & (cell < cells)
