"""Do two tasks pull a network the same way? Policy gradients, and the angle between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.learn.losses import gaussian_log_prob, surrogate
from metarl.learn.rollout import Trajectories
from metarl.meta.baseline import make_batch
from metarl.nn.policy import GaussianPolicy
from metarl.nn.surgery import FIRST


@dataclass(frozen=True)
class Common:
    """Which parameters two policies have in common, though they observe and do different things.

    Args:
        here: Columns of the first layer of the one, shape (C,), int64.
        there: The same columns in the first layer of the other.
        factor: What the other observes there is so many times what the one does, shape (C,).
        rows_here: Actions of the one, shape (R,), int64.
        rows_there: The same actions of the other.
        in_weights: Whether factors are in the first layer's weights, not in statistics before it.
    """

    here: Tensor
    there: Tensor
    factor: Tensor
    rows_here: Tensor
    rows_there: Tensor
    in_weights: bool = True

    @property
    def weight_factor(self) -> Tensor:
        """What the one's weights of these columns are times the other's, shape (C,)."""
        return self.factor if self.in_weights else torch.ones_like(self.factor)


def policy_gradient(
    policy: GaussianPolicy, episodes: Trajectories, *, gamma: float, lam: float
) -> dict[str, Tensor]:
    """Estimate the gradient of the expected return with respect to what the policy's mean is made of.

    Args:
        policy: What acted in the episodes.
        episodes: As it acted, with noise.
        gamma: Discount per control step.
        lam: Of the generalised advantage estimate, with a linear baseline; advantages are
            normalised over all episodes.
    Returns:
        By name, for the trunk and the head; uphill.
    Raises:
        TrainingError: If rewards are not finite.
    Source: Sutton et al. 2000, by the surrogate of arXiv:1506.02438 and arXiv:1810.06784.
    """
    batch = make_batch(episodes, gamma, lam)
    params = {n: p for n, p in policy.named_parameters() if n.startswith(("trunk.", "head."))}
    with torch.enable_grad():
        asked = {n: p.requires_grad for n, p in params.items()}
        for p in params.values():
            p.requires_grad_()
        mean, log_std = policy(batch.obs)
        log_prob = gaussian_log_prob(mean, log_std, batch.action)
        gain = -surrogate(log_prob, batch.log_prob, batch.advantage, batch.mask).mean()
        found = torch.autograd.grad(gain, list(params.values()))
        for n, p in params.items():
            p.requires_grad_(asked[n])
    return dict(zip(params, found))


def cosine(here: dict[str, Tensor], there: dict[str, Tensor], common: Common) -> float | None:
    """Compute the cosine between two gradients over what two policies have in common.

    1: a step that helps the one task helps the other; -1: it undoes it.

    Args:
        here: Of the one, as `policy_gradient` gives it.
        there: Of the other.
        common: What counts.
    Returns:
        In [-1, 1]; None if one of them is 0.
    Source: Abe et al. 2026, arXiv:2602.18025, who compare the actor's gradients of robots that
        share a network, and find that cosines go along with transfer (r = 0.8).
    Deviation: There, one network learns from all robots' data at once; here, what is common to
        two tasks' policies is compared at weights that both start from.
    """
    one = _flat(here, common, here=True)
    other = _flat(there, common, here=False)
    size = one.norm() * other.norm()
    return float(one @ other / size) if size > 0 else None


def _flat(gradient: dict[str, Tensor], common: Common, *, here: bool) -> Tensor:
    """A gradient over what is common, in the other's coordinates."""
    parts = []
    for name, value in gradient.items():
        if name == FIRST:
            columns = common.here if here else common.there
            scale = common.weight_factor if here else 1.0  # a step there is so many steps here
            value = value[:, columns] * scale
        elif name.startswith("head."):
            value = value[common.rows_here if here else common.rows_there]
        parts.append(value.double().flatten())
    return torch.cat(parts)


@torch.no_grad()
def give_common(to: GaussianPolicy, of: GaussianPolicy, common: Common) -> None:
    """Make what two policies have in common the same.

    Args:
        to: Is changed; the side ``there``.
        of: Gives; the side ``here``.
        common: What.
    """
    given = dict(of.named_parameters())
    for name, p in to.named_parameters():
        if name == FIRST:
            p[:, common.there] = given[name][:, common.here] / common.weight_factor
        elif name.startswith("trunk."):
            p.copy_(given[name])
        elif name.startswith("head."):
            p[common.rows_there] = given[name][common.rows_here]
