"""Gaussian processes, one for each of K tasks, all at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_JITTER = 1e-6
_STEPS, _RATE = 60, 0.1  # of the search for the hyperparameters
_LEAST_NOISE = 1e-4
_SQRT5 = math.sqrt(5.0)


class GaussianProcess(NamedTuple):
    """What N values at N points say of all others, for K tasks; mean 0 and variance 1 beforehand.

    Args:
        points: (K, N, D).
        lengths: Over which distance values change, for each dimension, (K, D).
        factor: Lower Cholesky factor of the values' covariance, (K, N, N).
        weights: Inverse covariance times values, (K, N, 1).
    """

    points: Tensor
    lengths: Tensor
    factor: Tensor
    weights: Tensor

    def predict(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation at M points, (K, M, D) -> (K, M) each."""
        across = matern(at, self.points, self.lengths)
        explained = torch.linalg.solve_triangular(self.factor, across.mT, upper=False)
        variance = (1.0 - explained.square().sum(-2)).clamp(min=0.0)
        return (across @ self.weights)[..., 0], variance.sqrt()

    def sample(self, at: Tensor, num: int, generator: torch.Generator) -> Tensor:
        """Draw functions and give their values at M points, (K, M, D) -> (K, num, M)."""
        across = matern(at, self.points, self.lengths)
        mean = (across @ self.weights)[..., 0]
        explained = torch.linalg.solve_triangular(self.factor, across.mT, upper=False)
        covariance = matern(at, at, self.lengths) - explained.mT @ explained
        root = _cholesky(covariance)
        noise = torch.randn(
            (len(at), at.shape[1], num), generator=generator, device=generator.device
        )
        return mean[:, None] + (root @ noise.to(mean)).mT


def matern(a: Tensor, b: Tensor, lengths: Tensor) -> Tensor:
    """Matern kernel of smoothness 5/2, (K, N, D) and (K, M, D) -> (K, N, M)."""
    scale = lengths[:, None]
    away = torch.cdist(a / scale, b / scale, compute_mode="donot_use_mm_for_euclid_dist")
    return (1.0 + _SQRT5 * away + 5.0 / 3.0 * away.square()) * (-_SQRT5 * away).exp()


def fit(points: Tensor, values: Tensor) -> GaussianProcess:
    """Find for each task the lengths and the noise that explain its values best, by gradient.

    Args:
        points: (K, N, D), double.
        values: (K, N), of mean 0 and variance 1, or nearly.
    Source: Rasmussen and Williams 2006, ch. 5; the prior on lengths by Hvarfner et al. 2024,
        arXiv:2402.02229, which expects that the more dimensions there are, the less each matters.
    """
    tasks, _, dims = points.shape
    centre, spread = math.sqrt(2.0) + 0.5 * math.log(dims), math.sqrt(3.0)
    free = points.new_full((tasks, dims + 1), math.log(0.5))
    free[:, -1] = math.log(0.1)
    free.requires_grad_()
    adam = torch.optim.Adam(
        [free], lr=_RATE, betas=(0.9, 0.99)
    )  # number by number: no task sees another
    with torch.enable_grad():
        for _ in range(_STEPS):
            lengths, noise = free[:, :-1].exp(), free[:, -1].exp()
            loss = _surprise(points, values, lengths, noise)
            loss = loss + 0.5 * ((free[:, :-1] - centre) / spread).square().sum(-1)
            loss = loss + 0.5 * ((free[:, -1] - math.log(0.05)) / 1.5).square()
            adam.zero_grad()
            loss.sum().backward()
            adam.step()
    with torch.no_grad():
        lengths, noise = free[:, :-1].exp(), free[:, -1].exp()
        factor = _cholesky(_covariance(points, lengths, noise))
        weights = torch.cholesky_solve(values[..., None], factor)
    return GaussianProcess(points, lengths, factor, weights)


def _surprise(points: Tensor, values: Tensor, lengths: Tensor, noise: Tensor) -> Tensor:
    """Negative log likelihood of the values, (K,)."""
    factor = _cholesky(_covariance(points, lengths, noise))
    half = torch.linalg.solve_triangular(factor, values[..., None], upper=False)
    return 0.5 * half.square().sum((-2, -1)) + factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _covariance(points: Tensor, lengths: Tensor, noise: Tensor) -> Tensor:
    own = torch.eye(points.shape[1], dtype=points.dtype, device=points.device)
    return matern(points, points, lengths) + (noise + _LEAST_NOISE)[:, None, None] * own


def _cholesky(covariance: Tensor) -> Tensor:
    own = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    return torch.linalg.cholesky(covariance + _JITTER * own)
