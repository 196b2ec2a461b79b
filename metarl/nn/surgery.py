"""Network surgery: columns and rows of one layer taken over into another."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

FIRST = "trunk.layers.0.weight"
Pieces = Iterable[tuple[int, int, int, float]]  # first place here, there, how many, factor


def carry_columns(weight: Tensor, pieces: Pieces, width: int) -> Tensor:
    """Give a first layer the columns of other observations; those that nobody carries are zero.

    At first the layer then does what it did before, whatever the new columns hold.

    Args:
        weight: The source's, (F, D').
        pieces: Which columns go where; what the source observed is so many times what is observed
            here.
        width: D.
    Returns:
        Shape (F, D).
    """
    carried = weight.new_zeros(len(weight), width)
    for here, there, count, factor in pieces:
        carried[:, here : here + count] = weight[:, there : there + count] * factor
    return carried


def carry_rows(fresh: Tensor, rows: Tensor, pieces: Pieces) -> Tensor:
    """Give a head the rows of other actions; the others stay as they were drawn.

    Args:
        fresh: What was drawn, (A, ...).
        rows: The source's, (A', ...).
        pieces: Which rows go where; their factors play no part.
    Returns:
        A new tensor, (A, ...).
    """
    carried = fresh.clone()
    for here, there, count, _ in pieces:
        carried[here : here + count] = rows[there : there + count]
    return carried


def carry_statistics(
    mean: Tensor, std: Tensor, pieces: Pieces, width: int
) -> tuple[Tensor, Tensor]:
    """Give a normaliser the statistics of other observations, in their units.

    With x' = factor * x, (x' - mean) / std = (x - mean / factor) / (std / factor).

    Args:
        mean: The source's, (D',).
        std: The source's, (D',).
        pieces: As for `carry_columns`.
        width: D.
    Returns:
        Mean and standard deviation, (D,) each: 0 and 1 where nothing is carried.
    """
    new_mean, new_std = mean.new_zeros(width), std.new_ones(width)
    for here, there, count, factor in pieces:
        new_mean[here : here + count] = mean[there : there + count] / factor
        new_std[here : here + count] = std[there : there + count] / factor
    return new_mean, new_std
