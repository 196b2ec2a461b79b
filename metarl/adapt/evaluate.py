"""Adaptation measured: success on held-out tasks after exactly 0 .. U updates."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from metarl.adapt.adaptation import Adaptation, Adapted, ByParameters, State
from metarl.adapt.protocol import Protocol, held_out_tasks
from metarl.adapt.results import AdaptationResult, Outcome, outcome_of
from metarl.errors import CheckpointError, ConfigError, UnknownNameError
from metarl.family import TaskFamily
from metarl.learn.rollout import collect
from metarl.meta.maml.maml import with_rates
from metarl.methods import adaptation_of, get_method, method_names
from metarl.nn.functional import parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy_for
from metarl.sim.worlds import Worlds
from metarl.transfer import (
    BASELINES,
    DAGGER,
    LEARNERS,
    RESIDUAL,
    SEARCH,
    STRATEGIES,
    UNTRAINED,
    learned,
    prepare,
)
from metarl.transfer.fine_tuning import fine_tune
from metarl.transfer.imitation import imitate
from metarl.transfer.residual_search import ByResidualSearch
from metarl.transfer.strategy_optimization import BySearch
from metarl.types import repeat

Progress = Callable[[int, int], None]
_FIRST_JUDGE = 1 << 20  # index of the first stream that judging draws from


def _judging_worlds(
    family: TaskFamily[Any],
    protocol: Protocol,
    *,
    task_visible: bool = False,
    num_threads: int = 0,
) -> Worlds:
    """Worlds whose streams no adaptation has drawn from, with the protocol's tasks."""
    worlds = Worlds(
        family,
        protocol.num_tasks * protocol.eval_episodes,
        seed=protocol.seed,
        task_visible=task_visible,
        num_threads=num_threads,
        first_stream=_FIRST_JUDGE,
    )
    worlds.assign(repeat(held_out_tasks(family, protocol), protocol.eval_episodes))
    return worlds


def evaluate_adaptation(
    family: TaskFamily[Any],
    method: str,
    checkpoint: Checkpoint,
    protocol: Protocol,
    *,
    num_threads: int = 0,
    progress: Progress | None = None,
    keep: list[State] | None = None,
) -> AdaptationResult:
    """Adapt to held-out tasks whose hidden fields are hidden, and judge after each update.

    Args:
        family: The family.
        method: One of `metarl.transfer.LEARNERS`, or the method that trained the checkpoint;
            scratch takes only the architecture from it.
        checkpoint: Of a pretrained or meta-trained policy.
        protocol: How it is measured.
        num_threads: Physics threads; 0 takes every core.
        progress: Called with (updates done, updates in all).
        keep: If given, the adaptation's state after each update is appended.
    Returns:
        The result; nothing is chosen by it.
    """
    adaptation = start_adaptation(family, method, checkpoint, protocol, num_threads=num_threads)
    judge = _judging_worlds(family, protocol, num_threads=num_threads)
    rows, seconds = [], 0.0
    for u in range(protocol.updates + 1):
        if u:
            start_s = time.perf_counter()
            adaptation.update()
            seconds += time.perf_counter() - start_s
        if keep is not None:
            keep.append(adaptation.state())
        rows.append(outcome_of(adaptation.judge(judge)))
        if progress is not None:
            progress(u, protocol.updates)
    success, score, returns = (np.stack(column) for column in zip(*rows))
    return AdaptationResult(
        method, family.id, success, score, returns, adaptation.num_steps, seconds
    )


def start_adaptation(
    family: TaskFamily[Any],
    method: str,
    checkpoint: Checkpoint,
    protocol: Protocol,
    *,
    num_threads: int = 0,
) -> Adaptation:
    """Put a policy before the protocol's tasks, without any update yet.

    Args:
        family: The family.
        method: As for `evaluate_adaptation`.
        checkpoint: Likewise.
        protocol: Likewise.
        num_threads: Physics threads; 0 takes every core.
    Raises:
        UnknownNameError: If there is no such method.
        CheckpointError: If another method trained the checkpoint, or it is for another interface.
        ConfigError: If the family has no expert, and one is to teach, or hides nothing of its tasks,
            and that is to be inferred, or the episodes cannot be shared among a search's generations.
    """
    adapt = None
    if method not in LEARNERS:
        if method not in (names := method_names()):
            raise UnknownNameError("adaptation method", method, (*LEARNERS, *names))
        adapt = get_method(method).adaptation
        if adapt is None:
            raise ConfigError(
                f"{method!r} has no adaptation of its own; expected one of {', '.join(LEARNERS)}"
            )
        if (trained := checkpoint.meta.get("method")) != method:
            raise CheckpointError(f"the checkpoint was trained by {trained!r}, not by {method!r}")
    if method in DAGGER and not family.has_expert():
        raise ConfigError(
            f"{family.id} has no expert that could teach; expected one of {', '.join(BASELINES)}"
        )
    generations = protocol.residual.generations(protocol.episodes) if method == RESIDUAL else 1
    each = protocol.episodes // generations
    worlds = Worlds(
        family,
        protocol.num_tasks * each,
        seed=protocol.seed,
        split=protocol.split,
        num_threads=num_threads,
    )
    worlds.assign(repeat(held_out_tasks(family, protocol), each))
    generator = torch.Generator().manual_seed(protocol.seed)
    if adapt is not None:
        return adapt(
            checkpoint, worlds,
            num_tasks=protocol.num_tasks, updates=protocol.updates, generator=generator,
        )  # fmt: skip
    policy = load_policy_for(checkpoint, worlds)
    if method == UNTRAINED:
        return _by_untrained_inner_loop(worlds, policy, protocol, generator)
    if method == SEARCH:
        return BySearch(
            worlds, policy, protocol.search, num_tasks=protocol.num_tasks, generator=generator
        )
    if method == RESIDUAL:
        return ByResidualSearch(
            worlds, policy, protocol.residual,
            num_tasks=protocol.num_tasks, generations=generations, generator=generator,
        )  # fmt: skip
    return _by_strategy(worlds, policy, method, protocol, generator, _fresh(checkpoint, protocol))


def _fresh(checkpoint: Checkpoint, protocol: Protocol) -> torch.Generator:
    """What new weights are drawn from: other ones for each training seed."""
    trained = checkpoint.meta.get("config", {}).get("seed", 0)
    state = np.random.SeedSequence([protocol.seed, trained]).generate_state(1)
    return torch.Generator().manual_seed(int(state[0]))


def _by_untrained_inner_loop(
    worlds: Worlds, policy: GaussianPolicy, protocol: Protocol, generator: torch.Generator
) -> Adaptation:
    inner = protocol.untrained
    _explore(policy, protocol.fine_tuning.log_std if inner.log_std is None else inner.log_std)
    rates = inner.rates(parameters_of(policy), worlds.spec.hidden)
    return with_rates(
        worlds, policy, rates, inner,
        num_tasks=protocol.num_tasks, updates=protocol.updates, generator=generator,
    )  # fmt: skip


def _by_strategy(
    worlds: Worlds,
    policy: GaussianPolicy,
    name: str,
    protocol: Protocol,
    generator: torch.Generator,
    fresh: torch.Generator,
) -> Adaptation:
    strategy = {**STRATEGIES, **DAGGER}[name]
    policy = prepare(policy, strategy, generator=fresh)
    if strategy.start == "scratch":
        with torch.no_grad():
            policy.context.zero_()
    teach: Callable[..., Iterator[Adapted]] = imitate if name in DAGGER else fine_tune
    how: Any = protocol.imitation if name in DAGGER else protocol.fine_tuning
    how = dataclasses.replace(how, rate=how.rate * strategy.rate_scale)
    _explore(policy, how.log_std)
    params = parameters_of(policy)
    updates = teach(
        worlds, policy, params, how,
        learned=learned(strategy, params), num_tasks=protocol.num_tasks, updates=protocol.updates,
        generator=generator,
    )  # fmt: skip
    return ByParameters(worlds, policy, updates, num_tasks=protocol.num_tasks, generator=generator)


def _explore(policy: GaussianPolicy, log_std: float) -> None:
    with torch.no_grad():
        policy.log_std.fill_(log_std)


def measure_ceiling(
    family: TaskFamily[Any], checkpoint: Checkpoint, protocol: Protocol, *, task_visible: bool
) -> Outcome:
    """Judge a pretrained policy without adaptation on the protocol's tasks.

    Args:
        family: The family.
        checkpoint: Of the policy.
        protocol: Which tasks, and how many episodes.
        task_visible: Whether it sees the hidden fields (the ceiling) or not (blind).
    """
    judge = _judging_worlds(family, protocol, task_visible=task_visible)
    policy = load_policy_for(checkpoint, judge)
    episodes = collect(
        judge, policy, parameters_of(policy), num_tasks=protocol.num_tasks,
        generator=torch.Generator(), deterministic=True,
    )  # fmt: skip
    return outcome_of(episodes)


def choose_method(checkpoint: Checkpoint, strategy: str) -> str:
    """Choose how a checkpoint adapts: by the method that trained it, if that has a way of its
    own and nothing else is asked for, else by a transfer strategy.

    Args:
        checkpoint: The checkpoint.
        strategy: What is asked for; ``fine-tune`` asks for nothing else.
    """
    own = strategy == "fine-tune" and adaptation_of(checkpoint.meta) is not None
    return checkpoint.meta["method"] if own else strategy
