"""The outer loss: how good the parameters are after adaptation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metarl.learn.losses import (
    clipped_surrogate,
    gaussian_entropy,
    gaussian_kl,
    masked_mean,
    surrogate,
)
from metarl.meta.maml.inner import Batch, adapt, log_prob_of, policy_gradient
from metarl.nn.functional import Params, apply, expand

# Samples that are differentiated twice at once. One graph of all tasks is fastest while the
# activations of a layer stay in the cache (6000 x 64 floats are 1.5 MB). Twenty tasks of 1200
# samples, one inner step: 199 ms at once, 150 ms in four groups, 195 ms in ten (minimum of 12,
# one thread, `benchmarks/meta_update.py` measures what came of it). Groups gain nothing where the
# inner gradient is a constant (314 ms at once, 379 ms in two groups).
SAMPLES_AT_ONCE = 6000


@dataclass(frozen=True)
class Outer:
    """What the outer loss is made of.

    Args:
        clip: PPO's clip on the post-update data, > 0; None: ratios are not clipped.
        entropy: Weight of the entropy bonus, >= 0.
        first_order: Ignore how the inner gradient depends on the parameters.
        multi_step: Judge the parameters after every inner update, not only after the last.
        inner_clip: Of `adapt`.
        weigh_tasks: Let tasks count by how much is left to gain in them; see `weights`.
        drift: Weight of the KL divergence from the policy that acted before each inner update,
            one an update; empty: none.
    """

    clip: float | None = 0.2
    entropy: float = 0.0
    first_order: bool = False
    multi_step: bool = False
    inner_clip: float | None = None
    weigh_tasks: bool = False
    drift: tuple[float, ...] = ()

    def weights(self, batch: Batch) -> Tensor:
        """Weigh K tasks, by the scale of their advantages or all alike; mean 1, (K,).

        Advantages are normalised per task, so that inner steps are equally long everywhere.
        In the outer loss that makes the noise of solved tasks as loud as what the others say.
        """
        if batch.weight is not None:
            return batch.weight
        if not self.weigh_tasks or batch.scale is None:
            return torch.ones(len(batch.obs), dtype=batch.obs.dtype, device=batch.obs.device)
        return relative(batch.scale)

    def loss(
        self, output: tuple[Tensor, Tensor], batch: Batch, weight: Tensor | float = 1.0
    ) -> Tensor:
        """Judge adapted parameters by the policy's output on data of theirs, -> (...)."""
        log_prob = log_prob_of(output, batch.action)
        advantage = batch.advantage if batch.merit is None else batch.merit
        if self.clip is None:
            loss = surrogate(log_prob, batch.log_prob, advantage, batch.mask)
        else:
            loss = clipped_surrogate(log_prob, batch.log_prob, advantage, batch.mask, self.clip)
        return weight * loss - self.entropy * gaussian_entropy(output[1])


def relative(scale: Tensor) -> Tensor:
    """Weigh tasks by the scales of their advantages, (K,) -> (K,) of mean 1."""
    return scale / (scale.mean() + 1e-8)


Gradients = tuple[Tensor, Params, Params]  # loss (), of the parameters, of the rates
Backend = Callable[
    [nn.Module, Mapping[str, Tensor], Mapping[str, Tensor], Sequence[Batch], Outer], Gradients
]


@torch.no_grad()
def remember(policy: nn.Module, params: Mapping[str, Tensor], batch: Batch) -> Batch:
    """Keep with a batch the policy that acted, by its parameters, each (K, ...)."""
    mean, log_std = apply(policy, params, batch.obs)
    return batch._replace(mean=mean, log_std=log_std)


def kl_from_acting(output: tuple[Tensor, Tensor], batch: Batch) -> Tensor:
    """Compute the mean KL divergence [nat] of a policy from the one that acted, (K,).

    Args:
        output: Of the policy on the batch: mean (K, M, A) and log standard deviation (K, A).
        batch: As `remember` returned it.
    """
    assert batch.mean is not None
    assert batch.log_std is not None
    mean, log_std = output
    kl = gaussian_kl(batch.mean, batch.log_std.unsqueeze(-2), mean, log_std.unsqueeze(-2))
    return masked_mean(kl, batch.mask)


def adaptation_path(
    policy: nn.Module,
    params: Mapping[str, Tensor],
    rates: Mapping[str, Tensor],
    batches: Sequence[Batch],
    outer: Outer,
) -> Iterator[Params]:
    """Adapt again on stored data, differentiably; see `outer_loss` for the arguments.

    Yields:
        The parameters after 0 ... U updates, each (K, ...).
    """
    inner_loss = policy_gradient(policy)
    now = expand(params, len(batches[0].obs))
    yield now
    for u, batch in enumerate(batches[:-1]):
        now = adapt(
            now, batch, rates, inner_loss,
            update=u, first_order=outer.first_order, clip=outer.inner_clip,
        )  # fmt: skip
        yield now


def outer_loss(
    policy: nn.Module,
    params: Mapping[str, Tensor],
    rates: Mapping[str, Tensor],
    batches: Sequence[Batch],
    outer: Outer,
    weights: Sequence[Tensor] | None = None,
) -> Tensor:
    """Adapt again on stored data, differentiably, and judge the result.

    Args:
        policy: The policy.
        params: The parameters before adaptation, each (...).
        rates: Inner rates, each (U, ...).
        batches: U + 1 batches of K tasks; number u was collected after u updates.
        outer: What the loss is made of.
        weights: Of the tasks in each batch, each (K,); None: those of `outer`.
    Returns:
        The mean loss over tasks (and judged updates), shape ().
    Source: Rothfuss et al. 2018, arXiv:1810.06784, algorithm 1; the multi-step loss is
        Antoniou et al. 2018, arXiv:1810.09502, section 4.
    Deviation: Every judged update weighs the same.
    """
    if weights is None:
        weights = [outer.weights(batch) for batch in batches]
    losses, drifts = [], []
    path = adaptation_path(policy, params, rates, batches, outer)
    for u, (now, batch) in enumerate(zip(path, batches)):
        last = u == len(batches) - 1
        if outer.drift and not last:
            drift = kl_from_acting(apply(policy, now, batch.obs), batch)
            drifts.append(outer.drift[u] * drift.mean())
        if last or (outer.multi_step and u > 0):
            loss = outer.loss(apply(policy, now, batch.obs), batch, weights[u])
            if batch.guesses is not None:
                loss = loss + batch.guesses.loss(now["context"])
            losses.append(loss.mean())
    loss = torch.stack(losses).mean()
    return loss + torch.stack(drifts).mean() if drifts else loss


def outer_gradients(
    policy: nn.Module,
    params: Mapping[str, Tensor],
    rates: Mapping[str, Tensor],
    batches: Sequence[Batch],
    outer: Outer,
) -> Gradients:
    """Differentiate `outer_loss`; see there for the arguments.

    Returns:
        The loss, the gradients of the parameters, and those of the rates that require them.
    """
    num_tasks, num_samples = batches[0].mask.shape
    weights = [outer.weights(batch) for batch in batches]
    size = num_tasks if outer.first_order else max(1, SAMPLES_AT_ONCE // num_samples)
    learned = {name: rate for name, rate in rates.items() if rate.requires_grad}
    tensors = [*params.values(), *learned.values()]
    sums: list[Tensor] = []
    for start in range(0, num_tasks, size):
        rows = slice(start, start + size)
        own = [batch.tasks(rows) for batch in batches]
        loss = outer_loss(policy, params, rates, own, outer, [w[rows] for w in weights])
        loss = loss * (len(own[0].obs) / num_tasks)
        found = torch.autograd.grad(loss, tensors, allow_unused=True, materialize_grads=True)
        parts = [loss.detach(), *found]
        sums = [a + b for a, b in zip(sums, parts)] if sums else parts
    split = 1 + len(params)
    return sums[0], dict(zip(params, sums[1:split])), dict(zip(learned, sums[split:]))
