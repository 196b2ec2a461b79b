"""The outer loss: how good the parameters are after adaptation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metarl.losses import clipped_surrogate, gaussian_entropy
from metarl.meta.inner import Batch, adapt, log_prob_of, policy_gradient
from metarl.nn.functional import Params, apply, expand


@dataclass(frozen=True)
class Outer:
    """What the outer loss is made of.

    Args:
        clip: PPO's clip on the post-update data, > 0.
        entropy: Weight of the entropy bonus, >= 0.
        first_order: Ignore how the inner gradient depends on the parameters.
        multi_step: Judge the parameters after every inner update, not only after the last.
        inner_clip: Of `adapt`.
        weigh_tasks: Let tasks count by how much is left to gain in them; see `weights`.
    """

    clip: float = 0.2
    entropy: float = 0.0
    first_order: bool = False
    multi_step: bool = False
    inner_clip: float | None = None
    weigh_tasks: bool = False

    def weights(self, batch: Batch) -> Tensor:
        """Weigh K tasks, by the scale of their advantages or all alike; mean 1, (K,).

        Advantages are normalised per task, so that inner steps are equally long everywhere.
        In the outer loss that makes the noise of solved tasks as loud as what the others say.
        """
        if not self.weigh_tasks or batch.scale is None:
            return torch.ones(len(batch.obs), dtype=batch.obs.dtype, device=batch.obs.device)
        return batch.scale / (batch.scale.mean() + 1e-8)

    def loss(
        self, output: tuple[Tensor, Tensor], batch: Batch, weight: Tensor | float = 1.0
    ) -> Tensor:
        """Judge adapted parameters by the policy's output on data of theirs, -> (...)."""
        log_prob = log_prob_of(output, batch.action)
        advantage = batch.advantage if batch.merit is None else batch.merit
        loss = clipped_surrogate(log_prob, batch.log_prob, advantage, batch.mask, self.clip)
        return weight * loss - self.entropy * gaussian_entropy(output[1])


Gradients = tuple[Tensor, Params, Params]  # loss (), of the parameters, of the rates
Backend = Callable[
    [nn.Module, Mapping[str, Tensor], Mapping[str, Tensor], Sequence[Batch], Outer], Gradients
]


def outer_loss(
    policy: nn.Module,
    params: Mapping[str, Tensor],
    rates: Mapping[str, Tensor],
    batches: Sequence[Batch],
    outer: Outer,
) -> Tensor:
    """Adapt again on stored data, differentiably, and judge the result.

    Args:
        policy: The policy.
        params: The parameters before adaptation, each (...).
        rates: Inner rates, each (U, ...).
        batches: U + 1 batches of K tasks; number u was collected after u updates.
        outer: What the loss is made of.
    Returns:
        The mean loss over tasks (and judged updates), shape ().
    Source: Rothfuss et al. 2018, arXiv:1810.06784, algorithm 1; the multi-step loss is
        Antoniou et al. 2018, arXiv:1810.09502, section 4.
    Deviation: No KL penalty; every judged update weighs the same.
    """
    inner_loss = policy_gradient(policy)
    now = expand(params, len(batches[0].obs))
    losses = []
    for u, batch in enumerate(batches[:-1]):
        now = adapt(
            now, batch, rates, inner_loss,
            update=u, first_order=outer.first_order, clip=outer.inner_clip,
        )  # fmt: skip
        if outer.multi_step or u == len(batches) - 2:
            post = batches[u + 1]
            loss = outer.loss(apply(policy, now, post.obs), post, outer.weights(post))
            if post.guesses is not None:
                loss = loss + post.guesses.loss(now["context"])
            losses.append(loss.mean())
    return torch.stack(losses).mean()


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
    loss = outer_loss(policy, params, rates, batches, outer)
    learned = {name: rate for name, rate in rates.items() if rate.requires_grad}
    tensors = [*params.values(), *learned.values()]
    gradients = torch.autograd.grad(loss, tensors, allow_unused=True, materialize_grads=True)
    split = len(params)
    return (
        loss.detach(),
        dict(zip(params, gradients[:split])),
        dict(zip(learned, gradients[split:])),
    )
