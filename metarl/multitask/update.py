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
        cosines: Of every two tasks' gradients on what they share, shape (K, K), float64; None: nobody saw
            one task's gradient alone.
    """

    losses: Tensor
    cosines: Tensor | None


def descend(
    learner: Learner,
    some: Sequence[Samples],
    actor: Any,
    optimizer: torch.optim.Optimizer,
    aggregator: Aggregator,
    *,
    max_grad_norm: float,
    generator: torch.Generator,
    apart: bool = True,
) -> Stepped:
    """Take one step on the policies of all tasks.

    Args:
        learner: Gives the tasks' losses.
        some: Samples of each of K tasks.
        actor: What the tasks share, with ``common``.
        optimizer: Of its parameters.
        aggregator: What becomes of K gradients.
        max_grad_norm: Longest gradient, of what is common, and of the rest.
        generator: What the aggregator draws from.
        apart: Whether each task's gradient is taken alone, which tells how they agree and takes K passes
            back; an aggregator that does more than add them up always has it so.
    """
    named = {n: p for n, p in parameters_of(actor).items() if p.requires_grad}
    common = [named[n] for n in actor.common if n in named]
    rest = [p for n, p in named.items() if n not in set(actor.common)]
    if apart or not aggregator.plain:
        stepped = _apart(learner, some, common, rest, aggregator, generator)
    else:
        stepped = _at_once(learner, some, common, rest, aggregator)
    for group in (common, rest):
        nn.utils.clip_grad_norm_(group, max_grad_norm)
    optimizer.step()
    if aggregator.looks_back:
        with torch.no_grad():
            aggregator.look_back(learner.losses(some))
    return stepped


def _apart(
    learner: Learner,
    some: Sequence[Samples],
    common: Sequence[Tensor],
    rest: Sequence[Tensor],
    aggregator: Aggregator,
    generator: torch.Generator,
) -> Stepped:
    """Set gradients by looking at each task's alone."""
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
    return Stepped(values, cosines(gramian))


def _at_once(
    learner: Learner,
    some: Sequence[Samples],
    common: Sequence[Tensor],
    rest: Sequence[Tensor],
    aggregator: Aggregator,
) -> Stepped:
    """Set the same gradients by one pass back: what is one task's own has its whole gradient."""
    losses = learner.losses(some)
    found = torch.autograd.grad(losses.sum(), [*common, *rest], allow_unused=True)
    share = 1.0 / len(some) if aggregator.name == "mean" else 1.0
    for i, (p, g) in enumerate(zip([*common, *rest], found)):
        p.grad = _or_zero(g, p) * (share if i < len(common) else 1.0)
    return Stepped(losses.detach(), None)


def descend_values(
    learner: Learner,
    some: Sequence[Samples],
    critic: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    max_grad_norm: float,
) -> Tensor:
    """Take one step on the critics of all tasks, along their mean gradient; returns the losses, (K,)."""
    losses = learner.value_losses(some)
    assert losses is not None  # who learns by reward has critics
    optimizer.zero_grad()
    losses.mean().backward()
    nn.utils.clip_grad_norm_(critic.parameters(), max_grad_norm)
    optimizer.step()
    return losses.detach()


def _or_zero(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if gradient is None else gradient
