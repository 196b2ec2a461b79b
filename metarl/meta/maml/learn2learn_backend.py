"""The same meta-gradients through learn2learn's learners."""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from metarl.errors import ConfigError, MissingDependencyError
from metarl.learn.losses import surrogate
from metarl.meta.maml.inner import Batch, log_prob_of
from metarl.meta.maml.outer import Gradients, Outer

INSTALL = 'pip install learn2learn==0.2.0 --config-settings "--build-option=build_ext"'


def load_learn2learn() -> Any:
    """Import learn2learn, without the notices of the old gym that it imports.

    Returns:
        The module.
    Raises:
        MissingDependencyError: If it is absent; the message is the line that installs it.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import learn2learn
    except ImportError as error:
        raise MissingDependencyError(INSTALL) from error
    return learn2learn


class Learner(Protocol):
    """What a task is learned by: a policy, and how it adapts."""

    def __call__(self, obs: Tensor, /) -> tuple[Tensor, Tensor]: ...
    def adapt(self, loss: Tensor, /) -> None: ...


class _HeadLearner:
    """ANIL: a clone of a policy, whose head is a clone of learn2learn's learner of it."""

    def __init__(self, policy: nn.Module, head: Any):
        self._policy = load_learn2learn().clone_module(policy)
        self._policy.head = head.clone()

    def __call__(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        return self._policy(obs)

    def adapt(self, loss: Tensor) -> None:
        self._policy.head.adapt(loss)


def learner_of(
    policy: nn.Module, rates: Mapping[str, Tensor], *, first_order: bool
) -> Callable[[], Learner]:
    """Wrap a policy into Meta-SGD's, ANIL's or MAML's learner.

    Args:
        policy: The policy.
        rates: Inner rates: learned ones are Meta-SGD's, one of the head alone is ANIL's.
        first_order: Ignore second derivatives.
    Returns:
        What clones the learner for a task.
    Raises:
        ConfigError: If the rates are none that learn2learn has.
        MissingDependencyError: If learn2learn is absent.
    """
    kinds = load_learn2learn().algorithms
    own = dict(policy.named_parameters())
    if any(rate.requires_grad for rate in rates.values()):
        used = [name for name, p in own.items() if p.numel()]
        if list(own) != used or any(name not in rates or len(rates[name]) != 1 for name in own):
            raise ConfigError(
                "learn2learn's Meta-SGD has one rate an element, of all parameters and for all"
                " updates, and no empty parameters; these are others: use backend torch"
            )
        lrs = [rates[name][0] for name in own]
        return kinds.MetaSGD(policy, lrs=lrs, first_order=first_order).clone
    how = {"lr": _single(rates), "first_order": first_order, "allow_unused": True}
    if len(rates) == len(own):
        return kinds.MAML(policy, **how).clone
    return functools.partial(_HeadLearner, policy, kinds.MAML(policy.head, **how))


def outer_gradients(
    policy: nn.Module,
    params: Mapping[str, Tensor],
    rates: Mapping[str, Tensor],
    batches: Sequence[Batch],
    outer: Outer,
) -> Gradients:
    """Differentiate the outer loss, one task after the other.

    Args:
        policy: The policy; `params` are its own parameters.
        params: The parameters before adaptation, each (...).
        rates: As for `learner_of`.
        batches: U + 1 batches of K tasks.
        outer: What the loss is made of.
    Returns:
        The loss, the gradients of the parameters, and those of the rates that require them.
    Raises:
        ConfigError: If the rates are none that learn2learn has.
        MissingDependencyError: If learn2learn is absent.
    """
    clone = learner_of(policy, rates, first_order=outer.first_order)
    num_tasks = len(batches[0].obs)
    weights = [outer.weights(batch) for batch in batches]
    learned = {name: rate for name, rate in rates.items() if rate.requires_grad}
    tensors = [*params.values(), *learned.values()]
    sums = [torch.zeros_like(x) for x in tensors]
    total = torch.zeros((), device=batches[0].obs.device, dtype=batches[0].obs.dtype)
    for k in range(num_tasks):
        own = [batch.of_task(k) for batch in batches]
        loss = _task_loss(clone(), own, outer, [w[k] for w in weights]) / num_tasks
        found = torch.autograd.grad(loss, tensors, allow_unused=True, materialize_grads=True)
        for one, gradient in zip(sums, found):
            one += gradient
        total += loss.detach()
    split = len(params)
    return total, dict(zip(params, sums[:split])), dict(zip(learned, sums[split:]))


def _task_loss(
    learner: Learner, batches: Sequence[Batch], outer: Outer, weights: Sequence[Tensor]
) -> Tensor:
    """Adapt a learner to one task, fields (M, ...), and judge it."""
    losses = []
    for u, batch in enumerate(batches[:-1]):
        log_prob = log_prob_of(learner(batch.obs), batch.action)
        learner.adapt(surrogate(log_prob, batch.log_prob, batch.advantage, batch.mask))
        if outer.multi_step or u == len(batches) - 2:
            post = batches[u + 1]
            losses.append(outer.loss(learner(post.obs), post, weights[u + 1]))
    return torch.stack(losses).mean()


def _single(rates: Mapping[str, Tensor]) -> float:
    values = torch.cat([rate.detach().flatten() for rate in rates.values()])
    if not (values == values[0]).all():
        raise ConfigError("learn2learn has one inner rate; these rates differ: use backend torch")
    return float(values[0])
