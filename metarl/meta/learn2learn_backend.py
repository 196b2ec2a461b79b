"""The same meta-gradient through learn2learn's MAML learner."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metarl.errors import ConfigError, MissingDependencyError
from metarl.losses import surrogate
from metarl.meta.inner import Batch, log_prob_of
from metarl.meta.outer import Gradients, Outer

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
        rates: Inner rates; one value everywhere, since learn2learn's MAML has a single rate.
        batches: U + 1 batches of K tasks.
        outer: What the loss is made of.
    Returns:
        The loss, the gradients of the parameters, and none for the rates.
    Raises:
        ConfigError: If the rates differ from each other.
        MissingDependencyError: If learn2learn is absent.
    """
    learner = load_learn2learn().algorithms.MAML(
        policy,
        lr=_single(rates),
        first_order=outer.first_order,
        allow_unused=True,
    )
    num_tasks = len(batches[0].obs)
    weights = [outer.weights(batch) for batch in batches]
    total = torch.zeros((), device=batches[0].obs.device, dtype=batches[0].obs.dtype)
    sums = {name: torch.zeros_like(p) for name, p in params.items()}
    for k in range(num_tasks):
        own = [batch.of_task(k) for batch in batches]
        loss = _task_loss(learner.clone(), own, outer, [w[k] for w in weights]) / num_tasks
        gradients = torch.autograd.grad(
            loss, list(params.values()), allow_unused=True, materialize_grads=True
        )
        for name, gradient in zip(params, gradients):
            sums[name] += gradient
        total += loss.detach()
    return total, sums, {}


def _task_loss(
    learner: Any, batches: Sequence[Batch], outer: Outer, weights: Sequence[Tensor]
) -> Tensor:
    """Adapt a clone to one task, fields (M, ...), and judge it."""
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
