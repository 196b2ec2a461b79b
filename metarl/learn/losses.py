"""Losses and advantages as pure functions of arrays."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from metarl.errors import ShapeError

Array = TypeVar("Array", np.ndarray, Tensor)

_LOG_2PI = math.log(2.0 * math.pi)


def gaussian_log_prob(mean: Tensor, log_std: Tensor, action: Tensor) -> Tensor:
    """Compute the log density of actions under a diagonal Gaussian.

    Args:
        mean: Shape (..., A).
        log_std: Log standard deviation, any shape that broadcasts to (..., A).
        action: Shape (..., A).
    Returns:
        Log densities, shape (...).
    """
    z = (action - mean) * torch.exp(-log_std)
    return (-0.5 * (z * z + _LOG_2PI) - log_std).sum(-1)


def gaussian_entropy(log_std: Tensor) -> Tensor:
    """Compute the entropy [nat] of a diagonal Gaussian, (..., A) -> (...)."""
    return (log_std + 0.5 * (1.0 + _LOG_2PI)).sum(-1)


def gaussian_kl(mean: Tensor, log_std: Tensor, to_mean: Tensor, to_log_std: Tensor) -> Tensor:
    """Compute the KL divergence [nat] of one diagonal Gaussian from another.

    Args:
        mean: Of the first, which the expectation is taken over, shape (..., A).
        log_std: Its log standard deviation, any shape that broadcasts to (..., A).
        to_mean: Of the second, shape (..., A).
        to_log_std: Likewise.
    Returns:
        KL(first || second), shape (...).
    """
    spread = torch.exp(2.0 * log_std) + (mean - to_mean).square()
    return (to_log_std - log_std + 0.5 * (spread * torch.exp(-2.0 * to_log_std) - 1.0)).sum(-1)


def gae(rewards: Array, values: Array, ends: Array, gamma: float, lam: float) -> Array:
    """Estimate advantages; with zero values and lam = 1 these are discounted returns.

    Args:
        rewards: Reward per control step, shape (T, N).
        values: State values; row T is that of the state after the last step. Shape (T+1, N).
        ends: Whether an episode ended at this step: nothing after it counts. Shape (T, N).
        gamma: Discount per control step, in [0, 1].
        lam: Trade of bias against variance, in [0, 1].
    Returns:
        Advantages, shape (T, N).
    Raises:
        ShapeError: If the shapes do not fit; the message shows all three.
    Source: Schulman et al. 2016, arXiv:1506.02438, eq. 16.
    """
    num_steps = rewards.shape[0]
    wanted = (num_steps + 1, *rewards.shape[1:])
    if tuple(values.shape) != wanted or ends.shape != rewards.shape:
        raise ShapeError(
            f"gae needs rewards (T, N), values (T+1, N) and ends (T, N); got"
            f" {tuple(rewards.shape)}, {tuple(values.shape)} and {tuple(ends.shape)}"
        )
    live = 1.0 - 1.0 * ends
    delta = rewards + gamma * values[1:] * live - values[:-1]
    out = delta + 0.0
    for t in range(num_steps - 2, -1, -1):
        out[t] = delta[t] + gamma * lam * live[t] * out[t + 1]
    return out


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Average the last axis where the mask is 1, (..., M) -> (...)."""
    return (x * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)


def surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    """Compute the policy-gradient loss in its ratio form.

    Its first derivative is REINFORCE's; its second has lower variance than that of
    ``log_prob * advantage``, which is what a meta-gradient needs.

    Args:
        log_prob: Under the parameters that learn, shape (..., M).
        old_log_prob: Under those that acted, shape (..., M).
        advantage: Shape (..., M).
        mask: 1 where a sample counts, else 0, shape (..., M).
    Returns:
        Loss to minimise, a mean over M, shape (...).
    Source: Rothfuss et al. 2018, arXiv:1810.06784, eq. 9 (low-variance curvature).
    """
    return -masked_mean(torch.exp(log_prob - old_log_prob.detach()) * advantage, mask)


def clipped_surrogate(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, mask: Tensor, clip: float
) -> Tensor:
    """Compute PPO's loss: `surrogate`, but pessimistic beyond a ratio of 1 +- clip.

    Args:
        log_prob: Under the parameters that learn, shape (..., M).
        old_log_prob: Under those that acted, shape (..., M).
        advantage: Shape (..., M).
        mask: 1 where a sample counts, else 0, shape (..., M).
        clip: How far the ratio may move, > 0.
    Returns:
        Loss to minimise, a mean over M, shape (...).
    Source: Schulman et al. 2017, arXiv:1707.06347, eq. 7.
    """
    ratio = torch.exp(log_prob - old_log_prob.detach())
    bounded = ratio.clamp(1.0 - clip, 1.0 + clip)
    return -masked_mean(torch.minimum(ratio * advantage, bounded * advantage), mask)
