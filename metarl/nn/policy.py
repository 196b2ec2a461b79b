"""Gaussian policies and value functions: features + head, like every network here."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metarl.nn.network import Network
from metarl.nn.trunks import Mlp

HIDDEN = (64, 64)


class GaussianPolicy(Network):
    """A diagonal Gaussian over actions, with a learnable task context.

    The last `context_dim` columns of an observation are the ``task`` block. A parameter of
    that width is added to them: where the block is hidden (zeros), adapting these few
    numbers is inferring the task in the very space in which a policy that saw it was
    trained.

    Args:
        obs_dim: D, the ``task`` block included.
        action_dim: A.
        context_dim: Width of the ``task`` block, 0 for none.
        generator: Draws the first weights.
        hidden: Widths of the trunk's layers.
        log_std: First value of the log standard deviation of every action.
    Source: Finn et al. 2017, arXiv:1709.04905, section 4 (bias transformation); Zintgraf
        et al. 2019, arXiv:1810.03642 (context parameters).
    Deviation: The context is added to the task block instead of concatenated.
    """

    def __init__(
        self,
        obs_dim: int,
        action_dim: int,
        context_dim: int,
        generator: torch.Generator,
        *,
        hidden: Sequence[int] = HIDDEN,
        log_std: float = -0.7,
    ):
        trunk = Mlp(obs_dim, hidden, "tanh", generator=generator)
        super().__init__(trunk, action_dim, generator, head_gain=0.01)
        self.obs_dim = obs_dim
        self.context = nn.Parameter(torch.zeros(context_dim))
        self.log_std = nn.Parameter(torch.full((action_dim,), log_std))

    def forward_features(self, x: Tensor) -> Tensor:
        """Map observations (..., D) to features (..., F)."""
        if self.context.numel():
            split = self.obs_dim - self.context.numel()
            x = torch.cat([x[..., :split], x[..., split:] + self.context], dim=-1)
        return self.trunk(x)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Map observations (..., D) to mean (..., A) and log standard deviation (A,)."""
        mean = self.forward_head(self.forward_features(x))
        return mean, self.log_std.clamp(-3.0, 0.5)


class Critic(Network):
    """A state-value function.

    Args:
        obs_dim: D.
        generator: Draws the first weights.
        hidden: Widths of the trunk's layers.
    """

    def __init__(self, obs_dim: int, generator: torch.Generator, *, hidden: Sequence[int] = HIDDEN):
        super().__init__(Mlp(obs_dim, hidden, "tanh", generator=generator), 1, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map observations (..., D) to values (...)."""
        return super().forward(x).squeeze(-1)
