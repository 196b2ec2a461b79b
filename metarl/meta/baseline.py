"""What a task's episodes are compared with: a linear baseline in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from metarl.errors import TrainingError
from metarl.learn.losses import gae, masked_mean
from metarl.learn.rollout import Trajectories
from metarl.meta.maml.inner import Batch


def features(obs: Tensor) -> Tensor:
    """Build the baseline's features: obs, obs**2, t, t**2, t**3, 1.

    Args:
        obs: Observations, shape (T, N, D).
    Returns:
        Shape (T, N, 2 D + 4), float64; t runs from 0 to 1.
    Source: Duan et al. 2016, arXiv:1604.06778, supplement, section 2.
    """
    num_steps, num_worlds, _ = obs.shape
    x = obs.double()
    t = torch.linspace(0.0, 1.0, num_steps, dtype=x.dtype, device=x.device)
    powers = torch.stack([t, t**2, t**3, torch.ones_like(t)], -1)  # (T, 4)
    return torch.cat([x, x**2, powers[:, None].expand(-1, num_worlds, -1)], -1)


def fit_values(batch: Trajectories, gamma: float, ridge: float = 1e-5) -> Tensor:
    """Fit each task's returns by ridge regression on `features`.

    Args:
        batch: Episodes of K tasks.
        gamma: Discount per control step.
        ridge: Penalty on the squared weights, times the number of samples, > 0.
    Returns:
        State values; 0 after the last step, since episodes end there. Shape (T+1, N).
    """
    reward = batch.reward.double()
    zeros = torch.zeros(
        len(reward) + 1, *reward.shape[1:], dtype=reward.dtype, device=reward.device
    )
    returns = gae(reward, zeros, batch.ends.double(), gamma, 1.0)
    phi = features(batch.obs)
    x = batch.by_task(phi) * batch.by_task(batch.mask)[..., None]  # (K, M, F)
    y = batch.by_task(returns)[..., None]  # (K, M, 1)
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    gram = x.mT @ x + ridge * x.shape[1] * eye
    weights = torch.linalg.solve(gram, x.mT @ y)[..., 0]  # (K, F)
    per_world = weights.repeat_interleave(phi.shape[1] // len(weights), 0)
    zeros[:-1] = torch.einsum("tnf,nf->tn", phi, per_world)
    return zeros


@torch.no_grad()
def make_batch(trajectories: Trajectories, gamma: float, lam: float) -> Batch:
    """Turn episodes into what a policy update needs, advantages normalised per task.

    Args:
        trajectories: Episodes of K tasks.
        gamma: Discount per control step.
        lam: Of `gae`.
    Returns:
        The batch, each field (K, T * B, ...).
    Raises:
        TrainingError: If rewards are not finite.
    """
    by_task = trajectories.by_task
    if not torch.isfinite(trajectories.reward).all():
        bad = (~torch.isfinite(by_task(trajectories.reward)).all(1)).nonzero()[:, 0]
        raise TrainingError(f"rewards are not finite in tasks {bad.tolist()[:10]}; update refused")
    values = fit_values(trajectories, gamma)
    advantage = gae(trajectories.reward.double(), values, trajectories.ends.double(), gamma, lam)
    advantage, mask = by_task(advantage), by_task(trajectories.mask).double()
    advantage = advantage - masked_mean(advantage, mask)[:, None]
    scale = masked_mean(advantage**2, mask).sqrt()[:, None]
    dtype = trajectories.obs.dtype
    return Batch(
        obs=by_task(trajectories.obs),
        action=by_task(trajectories.action),
        log_prob=by_task(trajectories.log_prob),
        advantage=(advantage / (scale + 1e-8) * mask).to(dtype),
        mask=mask.to(dtype),
        scale=scale[:, 0].to(dtype),
    )
