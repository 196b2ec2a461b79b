"""Network surgery: a trained policy under other observations, block by named block."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

FIRST = "trunk.layers.0.weight"


def carry_blocks(
    tensors: Mapping[str, Tensor],
    there: Mapping[str, int],
    here: Mapping[str, int],
    *,
    strange: Collection[str] = (),
) -> dict[str, Tensor]:
    """Give a policy's first layer the columns of other observations.

    Columns of blocks with the same name and width go along. The others are zero: at first the
    policy does what it did before, whatever these blocks hold.

    Args:
        tensors: Parameters of a `GaussianPolicy`.
        there: Blocks of the observations it was trained on, name -> width, in their order.
        here: Blocks of the new ones.
        strange: Blocks that mean something else now, though they may be alike in name and width.
    Returns:
        The parameters; other ones as they were.
    """
    first = tensors.get(FIRST)
    if first is None or first.shape[1] != sum(there.values()):
        return dict(tensors)
    columns = dict(zip(there, first.split(list(there.values()), dim=1)))
    kept = [
        columns[name]
        if name not in strange and there.get(name) == width
        else first.new_zeros(len(first), width)
        for name, width in here.items()
    ]
    return {**tensors, FIRST: torch.cat(kept, dim=1)}
