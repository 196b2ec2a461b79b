"""The inner loop: adaptation as a pure, differentiable function of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl.learn.losses import gaussian_log_prob, surrogate
from metarl.nn.functional import Params, apply


class Guesses(NamedTuple):
    """Which task each of B episodes of K tasks took for granted, and how well that went.

    Args:
        value: The context that it acted with, shape (K, B, C).
        offset: From the mean context of then, shape (K, B, C).
        gain: The episode's return, normalised per task, shape (K, B).
        hidden: 1 for the columns that are guessed, shape (C,).
        std: Of the guesses, shape (K, 1).
    """

    value: Tensor
    offset: Tensor
    gain: Tensor
    hidden: Tensor
    std: Tensor

    def loss(self, context: Tensor) -> Tensor:
        """Compute the policy-gradient loss of a mean context, (K, C) -> (K,).

        It is scaled by the standard deviation: its gradient is of order 1 however narrow the
        guesses are, as that of the actions' loss.
        """
        std = self.std[..., None]
        new = (self.value - context[:, None]) * self.hidden / std
        log_ratio = 0.5 * ((self.offset / std).square() - new.square()).sum(-1)
        return -self.std[:, 0] * (log_ratio.exp() * self.gain).mean(-1)

    def tasks(self, rows: slice) -> Guesses:
        """Pick some of the K tasks."""
        value, offset, gain, std = (x[rows] for x in (self.value, self.offset, self.gain, self.std))
        return Guesses(value, offset, gain, self.hidden, std)


class Batch(NamedTuple):
    """What a policy update needs of K tasks, M samples each.

    Args:
        obs: Shape (K, M, D).
        action: Shape (K, M, A).
        log_prob: Under the policy that acted, shape (K, M).
        advantage: Normalised per task, 0 outside the mask, shape (K, M).
        mask: 1 where a sample counts, shape (K, M).
        guesses: The episodes' contexts, where they were drawn; else None.
        scale: Standard deviation of each task's advantages before they were normalised, (K,);
            None: not known.
        merit: The advantage by which an outer loss judges, as `advantage`; None: by that one.
        mean: Mean action of the policy that acted, shape (K, M, A); None: not kept.
        log_std: Its log standard deviation, shape (K, A); None: not kept.
        followed: The inner gradient that was followed after the batch, by parameter, each
            (K, ...): a constant of whoever adapts again on it; None: computed anew.
        weight: What each task counts for in the outer loss, (K,), where other tasks, which are not
            here, have a say in that; None: as `metarl.meta.maml.outer.Outer` weighs it.
    """

    obs: Tensor
    action: Tensor
    log_prob: Tensor
    advantage: Tensor
    mask: Tensor
    guesses: Guesses | None = None
    scale: Tensor | None = None
    merit: Tensor | None = None
    mean: Tensor | None = None
    log_std: Tensor | None = None
    followed: Params | None = None
    weight: Tensor | None = None

    def tasks(self, rows: slice) -> Batch:
        """Pick some of the K tasks."""
        of_each = {name: x[rows] for name, x in self._asdict().items() if isinstance(x, Tensor)}
        guesses = None if self.guesses is None else self.guesses.tasks(rows)
        followed = self.followed
        if followed is not None:
            followed = {name: gradient[rows] for name, gradient in followed.items()}
        return Batch(**of_each, guesses=guesses, followed=followed)

    def of_task(self, k: int) -> Batch:
        """Pick one task, without its axis: fields (M, ...), those with a default left out."""
        return Batch(self.obs[k], self.action[k], self.log_prob[k], self.advantage[k], self.mask[k])


def joined_batch(parts: Sequence[Batch]) -> Batch:
    """Put together the batches of some tasks each, in their order; they hold the same fields."""
    first = parts[0]
    of_each = {
        name: torch.cat([getattr(part, name) for part in parts])
        for name, x in first._asdict().items()
        if isinstance(x, Tensor)
    }
    guesses, followed = first.guesses, first.followed
    if guesses is not None:
        per_task = zip(*(part.guesses for part in parts if part.guesses is not None))
        value, offset, gain, _, std = (torch.cat(tensors) for tensors in per_task)
        guesses = Guesses(value, offset, gain, guesses.hidden, std)
    if followed is not None:
        per_part = [part.followed for part in parts if part.followed is not None]
        followed = {name: torch.cat([each[name] for each in per_part]) for name in followed}
    return Batch(**of_each, guesses=guesses, followed=followed)


Loss = Callable[[Params, Batch], Tensor]


def log_prob_of(output: tuple[Tensor, Tensor], action: Tensor) -> Tensor:
    """Compute log densities from a policy's output (mean (..., M, A), log_std (..., A))."""
    mean, log_std = output
    return gaussian_log_prob(mean, log_std.unsqueeze(-2), action)


def policy_gradient(policy: nn.Module) -> Loss:
    """Make the inner loss: (params (K, ...), batch) -> losses (K,)."""

    def loss(params: Params, batch: Batch) -> Tensor:
        log_prob = log_prob_of(apply(policy, params, batch.obs), batch.action)
        of_actions = surrogate(log_prob, batch.log_prob, batch.advantage, batch.mask)
        if batch.guesses is None:
            return of_actions
        return of_actions + batch.guesses.loss(params["context"])

    return loss


def initial_rates(
    params: Mapping[str, Tensor],
    num_updates: int,
    rate: float,
    context_rate: float | None = None,
    hidden: Sequence[bool] | None = None,
    context_decay: float = 1.0,
) -> Params:
    """Make inner rates, one a parameter element and update.

    Args:
        params: The parameters, each (...).
        num_updates: U.
        rate: Their value.
        context_rate: That of the parameter ``context``, if that is among them; None: as the
            others.
        hidden: Which of the context's elements stand for hidden fields; the rates of the
            others, which a policy sees, are then 0. None: all.
        context_decay: Factor from one update's context rate to the next one's: far at first,
            then finer.
    Returns:
        By name, each (U, ...).
    """
    rates = {name: p.detach().new_full((num_updates, *p.shape), rate) for name, p in params.items()}
    if context_rate is not None and "context" in rates:
        decay = context_decay ** torch.arange(num_updates, dtype=rates["context"].dtype)
        rates["context"][:] = (context_rate * decay)[:, None]
        if hidden is not None:
            rates["context"][:, ~torch.tensor(hidden, dtype=torch.bool)] = 0.0
    return rates


def rate_at(rates: Mapping[str, Tensor], update: int) -> Params:
    """Pick the rates of an update; updates beyond the last one go on with its rates."""
    return {name: rate[min(update, len(rate) - 1)] for name, rate in rates.items()}


def adapt(
    params: Params,
    batch: Batch,
    rates: Mapping[str, Tensor],
    loss: Loss,
    *,
    update: int = 0,
    first_order: bool = False,
    clip: float | None = None,
) -> Params:
    """Take one gradient step on each of K tasks: new = params - rate * gradient.

    Tasks share nothing, so the gradient of the summed losses holds each task's own.

    Args:
        params: Parameters that require gradients, each (K, ...).
        batch: What the step learns from; if it holds the gradient that was followed, that is
            the step's, whatever the parameters are now.
        rates: Inner rates by name, each (U, ...) with (...) a scalar or the parameter's shape;
            parameters without one stay.
        loss: Gives each task's loss, (K,).
        update: Which row of the rates, counted from 0; the last row serves later updates.
        first_order: Take the gradient for a constant, so that the result is differentiable
            only through `params` and `rates` directly.
        clip: Bound c of every element of the gradient, applied smoothly as c tanh(g / c):
            how far a step goes then depends less on how noisy few episodes are. None: no bound.
    Returns:
        All parameters, adapted where there is a rate, each (K, ...).
    Source: Finn et al. 2017, arXiv:1703.03400; rates per element: Li et al. 2017,
        arXiv:1707.09835; per update: Antoniou et al. 2018, arXiv:1810.09502.
    Deviation: The smooth bound is ours.
    """
    gradient = batch.followed
    if gradient is None:
        gradient = inner_gradient(
            params, batch, rates, loss, create_graph=not first_order, clip=clip
        )
    return follow(params, gradient, rates, update)


def inner_gradient(
    params: Params,
    batch: Batch,
    names: Iterable[str],
    loss: Loss,
    *,
    create_graph: bool = False,
    clip: float | None = None,
) -> Params:
    """Differentiate each task's loss by its own parameters of some names, each (K, ...)."""
    names = list(names)
    gradients = torch.autograd.grad(
        loss(params, batch).sum(),
        [params[name] for name in names],
        create_graph=create_graph,
        allow_unused=True,
        materialize_grads=True,
    )
    if clip is not None:
        gradients = tuple(clip * torch.tanh(g / clip) for g in gradients)
    return dict(zip(names, gradients))


def follow(params: Params, gradient: Params, rates: Mapping[str, Tensor], update: int) -> Params:
    """Step down a gradient where there is a rate, each (K, ...)."""
    steps = {name: rate * gradient[name] for name, rate in rate_at(rates, update).items()}
    return {name: p - steps[name] if name in steps else p for name, p in params.items()}


def detached_gradient(
    params: Params, batch: Batch, names: Iterable[str], loss: Loss, clip: float | None = None
) -> Params:
    """Compute `inner_gradient` outside any graph: new data, each (K, ...)."""
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    return inner_gradient(leaves, batch, names, loss, clip=clip)


@torch.no_grad()
def adapted(
    params: Params,
    batch: Batch,
    rates: Mapping[str, Tensor],
    loss: Loss,
    update: int,
    clip: float | None = None,
) -> Params:
    """Take the step of `adapt` outside any graph: the result is new data, each (K, ...)."""
    with torch.enable_grad():
        gradient = detached_gradient(params, batch, rates, loss, clip)
    return follow(params, gradient, rates, update)
