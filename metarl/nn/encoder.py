"""What a context says about a task: a product of Gaussian factors, one a transition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metarl.nn.initialise import linear
from metarl.nn.trunks import Mlp

BOUND = 5.0  # of whitened inputs
_SCALE_FLOOR = 1e-3


@dataclass(frozen=True)
class Belief:
    """A Gaussian over H hidden numbers, or a factor of one, in natural parameters.

    Args:
        pull: Precision times mean, shape (..., H), float64.
        precision: Shape (..., H, H), float64.
    """

    pull: Tensor
    precision: Tensor

    def times(self, other: Belief) -> Belief:
        """Multiply two densities."""
        return Belief(self.pull + other.pull, self.precision + other.precision)

    def moments(self, resolution: float = 0.0) -> Gaussian:
        """Give mean and covariance, blurred by independent noise of standard deviation
        `resolution`."""
        covariance = torch.linalg.inv(self.precision)
        mean = (covariance @ self.pull[..., None])[..., 0]
        eye = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device)
        return Gaussian(mean, covariance + resolution**2 * eye)


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian over H hidden numbers.

    Args:
        mean: Shape (..., H).
        covariance: Shape (..., H, H).
    """

    mean: Tensor
    covariance: Tensor

    def sample(self, num: int, generator: torch.Generator) -> Tensor:
        """Draw `num` times from each of K, shape (K, num, H)."""
        shape = (len(self.mean), num, self.mean.shape[-1])
        noise = torch.randn(shape, generator=generator, device=generator.device)
        root = torch.linalg.cholesky(self.covariance)
        return self.mean[:, None] + noise.to(root) @ root.mT

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute the log density of values that broadcast to the mean, shape (...)."""
        root = torch.linalg.cholesky(self.covariance)
        away = (value - self.mean)[..., None]
        white = torch.linalg.solve_triangular(root, away, upper=False)[..., 0]
        half_log_det = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return -0.5 * (white.square() + math.log(2.0 * math.pi)).sum(-1) - half_log_det

    def divergence_from(self, std: float) -> Tensor:
        """Compute the KL divergence [nat] from independent Gaussians N(0, std^2), shape (...)."""
        root = torch.linalg.cholesky(self.covariance / std**2)
        spread = self.covariance.diagonal(dim1=-2, dim2=-1) / std**2
        half_log_det = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return 0.5 * (spread + (self.mean / std).square() - 1.0).sum(-1) - half_log_det


class FactorEncoder(nn.Module):
    """Infer H hidden numbers from transitions, in any order and of any number.

    Each transition makes H linear measurements of what is hidden, ``A z = b`` with unit noise,
    and is thereby a Gaussian factor; the belief is the prior times all factors.

    Args:
        in_features: F, width of a described transition.
        num_hidden: H, >= 1.
        generator: Draws the first weights.
        hidden: Widths of the factor network's layers.
        prior_std: Standard deviation of each hidden number before any transition; their
            mean is 0.
        evidence: Scale of every measurement, > 0.
    Source: Rakelly et al. 2019, arXiv:1903.08254, eq. 2.
    Deviation: Factors have full precision matrices, not diagonal ones: how the reward changes
        along a way tells where a goal lies along that way and nothing of where it lies across,
        which no diagonal factor can say. The prior is a factor, too, so that a short context
        leaves it nearly as it was.
    """

    count: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        in_features: int,
        num_hidden: int,
        generator: torch.Generator,
        *,
        hidden: Sequence[int] = (64, 64),
        prior_std: float = 0.58,
        evidence: float = 1.0,
    ):
        super().__init__()
        self.num_hidden, self.prior_std, self.evidence = num_hidden, prior_std, evidence
        self.trunk = Mlp(in_features, hidden, "tanh", generator=generator)
        width = num_hidden * (num_hidden + 1)
        self.head = linear(self.trunk.num_features, width, generator, gain=0.03)
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("centre", torch.zeros(in_features, dtype=torch.float64))
        self.register_buffer("spread", torch.zeros(in_features, dtype=torch.float64))

    @torch.no_grad()
    def measure(self, x: Tensor, mask: Tensor) -> None:
        """Take note of how inputs are distributed, by which they are whitened.

        Args:
            x: Described transitions, shape (..., F).
            mask: 1 where one counts, else 0, shape (...).
        """
        rows = x[mask > 0.0].double()
        if not len(rows):
            return
        total = self.count + len(rows)
        step = rows.mean(0) - self.centre
        share = len(rows) / total
        self.spread += (rows.var(0, correction=0) - self.spread) * share
        self.spread += step.square() * share * (1.0 - share)
        self.centre += step * share
        self.count.copy_(total)

    def prior(self, *shape: int) -> Belief:
        """Give the belief before any transition, in a batch of a shape."""
        eye = torch.eye(self.num_hidden, dtype=torch.float64, device=self.centre.device)
        precision = (eye / self.prior_std**2).expand(*shape, -1, -1)
        return Belief(torch.zeros_like(precision[..., 0]), precision)

    def forward(self, x: Tensor, mask: Tensor) -> Belief:
        """Multiply the factors of M transitions.

        Args:
            x: Described transitions, shape (..., M, F).
            mask: 1 where one counts, else 0, shape (..., M).
        Returns:
            The product, without the prior, shape (...).
        """
        scale = self.spread.sqrt() + _SCALE_FLOOR
        white = ((x - self.centre.to(x)) / scale.to(x)).clamp(-BOUND, BOUND)
        out = self.evidence * self.head(self.trunk(white)) * mask[..., None]
        rows, target = out.split([self.num_hidden**2, self.num_hidden], -1)
        rows = rows.unflatten(-1, (self.num_hidden, -1)).flatten(-3, -2)  # (..., M * H, H)
        target = target.flatten(-2, -1)[..., None]
        return Belief((rows.mT @ target)[..., 0].double(), (rows.mT @ rows).double())
