"""MAML as published for policies: second order, and a trust region for the outer step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl.meta.finite import require_finite
from metarl.meta.maml.config import TrustRegionConfig
from metarl.meta.maml.explore import Exploration
from metarl.meta.maml.inner import Batch
from metarl.meta.maml.maml import RATES, MamlTrainer, by_inner_loop
from metarl.meta.maml.outer import Outer, adaptation_path, kl_from_acting, remember
from metarl.methods import Adapting, Method, Training
from metarl.nn.functional import Params, apply


class Judged(NamedTuple):
    """What the outer step looks at.

    Args:
        loss: Mean surrogate after adaptation, shape ().
        kl: Mean KL divergence [nat] after adaptation from the policies that acted, shape ().
    """

    loss: Tensor
    kl: Tensor


def judge(
    policy: nn.Module,
    params: Mapping[str, Tensor],
    rates: Mapping[str, Tensor],
    batches: Sequence[Batch],
    outer: Outer,
) -> Judged:
    """Adapt again on stored data, differentiably; see `metarl.meta.maml.outer.outer_loss`."""
    *_, now = adaptation_path(policy, params, rates, batches, outer)
    post = batches[-1]
    output = apply(policy, now, post.obs)
    loss = outer.loss(output, post, outer.weights(post)).mean()
    return Judged(loss, kl_from_acting(output, post).mean())


class Step(NamedTuple):
    """What became of an outer step.

    Args:
        params: The new parameters, or the old ones if no length would do.
        accepted: Whether one would do.
        length: Share of the full step that was taken.
        loss: Before the step.
        kl: After it [nat].
        grad_norm: Of the loss.
    """

    params: Params
    accepted: bool
    length: float
    loss: float
    kl: float
    grad_norm: float


def trust_region_step(
    policy: nn.Module,
    params: Mapping[str, Tensor],
    rates: Mapping[str, Tensor],
    batches: Sequence[Batch],
    outer: Outer,
    config: TrustRegionConfig,
) -> Step:
    """Step along the natural gradient, as far as the surrogate falls within the trust region.

    Args:
        policy: The policy.
        params: Its parameters, each (...), by which the batches were collected.
        rates: Inner rates, each (U, ...).
        batches: U + 1 batches of K tasks, the last with the policy that acted.
        outer: What the loss is made of.
        config: How far and how.
    Raises:
        TrainingError: If loss, gradient or step are not finite.
    Source: Finn et al. 2017, arXiv:1703.03400, section 5.3; Schulman et al. 2015,
        arXiv:1502.05477, appendix C.
    Deviation: Hessian-vector products are exact, not finite differences; the inner surrogate is
        a ratio (`metarl.learn.losses.surrogate`), whose first derivative is REINFORCE's.
    """
    leaves = list(params.values())
    loss, kl = judge(policy, params, rates, batches, outer)
    gradients = _grad(loss, leaves)
    require_finite("the outer loss", {"loss": loss}, RATES)
    require_finite("the meta-gradient", dict(zip(params, gradients)), RATES)
    gradient = _flat(gradients)
    curvature = curvature_of(kl, leaves, config.damping)
    direction = conjugate_gradients(curvature, gradient, config.cg_steps)
    squared = direction @ curvature(direction)
    full = -direction * torch.sqrt(2.0 * config.max_kl / squared.clamp(min=1e-12))
    require_finite("the natural gradient", {"all": full}, RATES)
    before, norm = float(loss.detach()), float(gradient.norm())
    plain = dataclasses.replace(outer, first_order=True)  # values alone are looked at
    for attempt in range(config.backtracks):
        length = config.shrink**attempt
        there = _moved(params, length * full)
        after, moved = (float(x.detach()) for x in judge(policy, there, rates, batches, plain))
        if after < before and moved <= config.max_kl:
            return Step(there, True, length, before, moved, norm)
    return Step(dict(params), False, 0.0, before, 0.0, norm)


def curvature_of(
    kl: Tensor, leaves: Sequence[Tensor], damping: float
) -> Callable[[Tensor], Tensor]:
    """Make products of vectors with a divergence's Hessian.

    Args:
        kl: The divergence, differentiable, shape ().
        leaves: The n parameters, in tensors.
        damping: Added to the Hessian's diagonal.
    Returns:
        (n,) -> (n,).
    """
    slope = _flat(_grad(kl, leaves, twice=True))

    def product(vector: Tensor) -> Tensor:
        return _flat(_grad(slope @ vector, leaves)) + damping * vector

    return product


def conjugate_gradients(product: Callable[[Tensor], Tensor], b: Tensor, num_steps: int) -> Tensor:
    """Solve A x = b approximately, A symmetric and positive definite.

    Args:
        product: Multiplies A by a vector (n,).
        b: Shape (n,).
        num_steps: At most; it stops early at a squared residual below 1e-10 of b's.
    Returns:
        x, shape (n,).
    Source: Hestenes, Stiefel 1952, section 3.
    """
    x, residual = torch.zeros_like(b), b.clone()
    search, squared = b.clone(), b @ b
    enough = 1e-10 * squared
    for _ in range(num_steps):
        if squared <= enough:
            break
        image = product(search)
        step = squared / (search @ image)
        x, residual = x + step * search, residual - step * image
        last, squared = squared, residual @ residual
        search = residual + squared / last * search
    return x


def _grad(scalar: Tensor, leaves: Sequence[Tensor], *, twice: bool = False) -> tuple[Tensor, ...]:
    return torch.autograd.grad(
        scalar, leaves,
        retain_graph=True, create_graph=twice, allow_unused=True, materialize_grads=True,
    )  # fmt: skip


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([x.reshape(-1) for x in tensors])


def _moved(params: Mapping[str, Tensor], step: Tensor) -> Params:
    """Add a flat step, (n,), to parameters; the result is new leaves."""
    parts = step.split([p.numel() for p in params.values()])
    return {
        name: (p.detach() + part.view_as(p)).requires_grad_()
        for (name, p), part in zip(params.items(), parts)
    }


class TrustRegionTrainer(MamlTrainer):
    """Meta-trains by trust-region steps; the arguments are those of `MamlTrainer`."""

    method = "maml-trpo"
    config: TrustRegionConfig

    def _judged(self, found: Exploration, params: Params) -> Batch:
        return remember(self.policy, params, super()._judged(found, params))

    def _learn(self, batches: Sequence[Batch]) -> dict[str, float]:
        step = trust_region_step(
            self.policy, self.params, self.rates, batches, self.outer, self.config
        )
        with torch.no_grad():
            for name, p in self.params.items():
                p.copy_(step.params[name])
        return {
            "loss": step.loss,
            "grad_norm": step.grad_norm,
            "kl": step.kl,
            "step_length": step.length,
            "accepted": float(step.accepted),
        }


METHOD = Method(
    "MAML as published: second order, outer steps in a trust region",
    Training(TrustRegionConfig, TrustRegionTrainer, splits=True),
    Adapting(by_inner_loop),
    "Finn et al. 2017, arXiv:1703.03400",
)
