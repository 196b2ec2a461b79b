"""One gradient step for all tasks: every task's gradient, what they become together, how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from metarl.multitask.aggregate import Aggregator, cosines
from metarl.multitask.learners import Learner, Samples
from metarl.nn.functional import parameters_of


@dataclass(frozen=True)
class Stepped:
    """What a gradient step found.

    Args:
        losses: Of each task's policy before the step, shape (K,).
        cosines: Of every two tasks' gradients on what they share, shape (K, K), float64.
    """

    losses: Tensor
    cosines: Tensor


def descend(
    learner: Learner,
    some: Sequence[Samples],
    actor: Any,
    optimizer: torch.optim.Optimizer,
    aggregator: Aggregator,
    *,
    max_grad_norm: float,
    generator: torch.Generator,
) -> Stepped:
    """Take one step on the policies of all tasks.

    Args:
        learner: Gives each task's loss.
        some: Samples of each of K tasks.
        actor: What the tasks share, with ``common``.
        optimizer: Of its parameters.
        aggregator: What becomes of K gradients.
        max_grad_norm: Longest gradient, of what is common, and of the rest.
        generator: What the aggregator draws from.
    """
    named = {n: p for n, p in parameters_of(actor).items() if p.requires_grad}
    common = [named[n] for n in actor.common if n in named]
    rest = [p for n, p in named.items() if n not in set(actor.common)]
    losses, rows, owned = [], [], []
    for k, samples in enumerate(some):
        loss = learner.loss(k, samples)
        found = torch.autograd.grad(loss, [*common, *rest], allow_unused=True)
        losses.append(loss.detach())
        rows.append(torch.cat([_or_zero(g, p).flatten() for g, p in zip(found, common)]))
        owned.append(found[len(common) :])
    jacobian, values = torch.stack(rows), torch.stack(losses)
    precise = jacobian.double()
    gramian = precise @ precise.T
    gradient, weights = aggregator(values, jacobian, gramian, generator)
    for p, g in zip(common, gradient.split([p.numel() for p in common])):
        p.grad = g.view_as(p).clone()
    for i, p in enumerate(rest):
        p.grad = torch.zeros_like(p)
        for k, grads in enumerate(owned):
            if grads[i] is not None:
                p.grad += weights[k] * grads[i]
    for group in (common, rest):
        nn.utils.clip_grad_norm_(group, max_grad_norm)
    optimizer.step()
    if aggregator.looks_back:
        with torch.no_grad():
            after = torch.stack([learner.loss(k, samples) for k, samples in enumerate(some)])
        aggregator.look_back(after)
    return Stepped(values, cosines(gramian))


def descend_values(
    learner: Learner,
    some: Sequence[Samples],
    critic: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    max_grad_norm: float,
) -> Tensor:
    """Take one step on the critics of all tasks, along their mean gradient; returns the losses, (K,)."""
    found = [learner.value_loss(k, samples) for k, samples in enumerate(some)]
    losses = torch.stack([loss for loss in found if loss is not None])
    optimizer.zero_grad()
    losses.mean().backward()
    nn.utils.clip_grad_norm_(critic.parameters(), max_grad_norm)
    optimizer.step()
    return losses.detach()


def _or_zero(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if gradient is None else gradient
