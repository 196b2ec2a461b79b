"""Statistics of observations that came along with a policy, and never change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

UNBOUNDED = torch.finfo(
    torch.float32
).max  # of a column that nothing clips; a file holds no infinity


class Normaliser(nn.Module):
    """Shift and scale observations column by column, then clip them.

    It holds buffers, no parameters: it gets no gradients, and its statistics stand still in
    training, too. They are in double precision, as those who gather them work in it; the answer has
    the precision of the observations. Before any statistics are loaded nothing changes.

    Args:
        num_columns: D.
    Source: Stable-Baselines3 2.9, VecNormalize.normalize_obs.
    """

    mean: Tensor  # (D,)
    std: Tensor  # (D,)
    bound: Tensor  # (D,), of what comes out

    def __init__(self, num_columns: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_columns, dtype=torch.float64))
        self.register_buffer("std", torch.ones(num_columns, dtype=torch.float64))
        self.register_buffer("bound", torch.full((num_columns,), UNBOUNDED, dtype=torch.float64))

    def forget(self) -> None:
        """Go back to changing nothing."""
        self.mean.zero_()
        self.std.fill_(1.0)
        self.bound.fill_(UNBOUNDED)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise observations, (..., D) -> (..., D)."""
        z = (x.to(self.mean.dtype) - self.mean) / self.std
        return z.clamp(-self.bound, self.bound).to(x.dtype)
