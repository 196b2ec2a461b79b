"""Adaptation measured: success on held-out tasks after exactly 0 .. U updates.

It knows no method: it asks the registry by name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from metarl.adapt.adaptation import Adaptation, State
from metarl.adapt.meeting import Meeting
from metarl.adapt.protocol import Protocol, held_out_tasks
from metarl.adapt.results import AdaptationResult, Outcome, outcome_of
from metarl.ambient import steady
from metarl.errors import CheckpointError, ConfigError
from metarl.family import TaskFamily
from metarl.learn.rollout import collect
from metarl.methods import get_adapting, get_method
from metarl.nn.functional import parameters_of
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.config import configure
from metarl.runs.policies import load_policy_for
from metarl.sim.kinds import make_worlds
from metarl.sim.worlds import Worlds
from metarl.types import repeat

Progress = Callable[[int, int], None]
_FIRST_JUDGE = 1 << 20  # index of the first stream that judging draws from
_STREAMS = 1 << 21  # of one noise


def _judging_worlds(
    family: TaskFamily[Any],
    protocol: Protocol,
    *,
    task_visible: bool = False,
    num_threads: int = 0,
) -> Worlds:
    """Worlds whose streams no adaptation has drawn from, with the protocol's tasks."""
    worlds = make_worlds(
        family,
        protocol.num_tasks * protocol.eval_episodes,
        seed=protocol.seed,
        task_visible=task_visible,
        num_threads=num_threads,
        first_stream=_FIRST_JUDGE + protocol.noise * _STREAMS,
        held_out=True,
    )
    worlds.assign(repeat(held_out_tasks(family, protocol), protocol.eval_episodes))
    return worlds


@steady(num_threads=1)
def evaluate_adaptation(
    family: TaskFamily[Any],
    method: str,
    checkpoint: Checkpoint,
    protocol: Protocol,
    *,
    settings: Any = None,
    num_threads: int = 0,
    progress: Progress | None = None,
    keep: list[State] | None = None,
) -> AdaptationResult:
    """Adapt to held-out tasks whose hidden fields are hidden, and judge after each update.

    Args:
        family: The family.
        method: A strategy, or the method that trained the checkpoint; scratch takes only the
            architecture from it.
        checkpoint: Of a pretrained or meta-trained policy.
        protocol: How it is measured.
        settings: The method's, as `settings_of` makes them; None: its defaults.
        num_threads: Physics threads; 0 takes every core.
        progress: Called with (updates done, updates in all).
        keep: If given, the adaptation's state after each update is appended.
    Returns:
        The result; nothing is chosen by it.
    """
    adaptation = start_adaptation(
        family, method, checkpoint, protocol, settings=settings, num_threads=num_threads
    )
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
    diverged = adaptation.worlds.num_diverged + judge.num_diverged
    return AdaptationResult(
        method, family.id, success, score, returns, adaptation.num_steps, seconds, diverged
    )


@steady(num_threads=1)
def adapt_only(
    family: TaskFamily[Any],
    method: str,
    checkpoint: Checkpoint,
    protocol: Protocol,
    *,
    settings: Any = None,
    progress: Progress | None = None,
) -> list[State]:
    """Adapt as `evaluate_adaptation` does, and judge nothing.

    Args:
        family: As for `evaluate_adaptation`, like all others.
    Returns:
        The adaptation's state before the first update and after each.
    """
    adaptation = start_adaptation(family, method, checkpoint, protocol, settings=settings)
    states = [adaptation.state()]
    for done in range(protocol.updates):
        adaptation.update()
        states.append(adaptation.state())
        if progress is not None:
            progress(done + 1, protocol.updates)
    return states


@steady(num_threads=1)
def start_adaptation(
    family: TaskFamily[Any],
    method: str,
    checkpoint: Checkpoint,
    protocol: Protocol,
    *,
    settings: Any = None,
    num_threads: int = 0,
) -> Adaptation:
    """Put a policy before the protocol's tasks, without any update yet.

    Args:
        family: The family.
        method: As for `evaluate_adaptation`.
        checkpoint: Likewise.
        protocol: Likewise.
        settings: Likewise.
        num_threads: Physics threads; 0 takes every core.
    Raises:
        UnknownNameError: If there is no such method.
        CheckpointError: If another method trained the checkpoint, or it is for another interface.
        ConfigError: If the method cannot meet tasks, or not these: what it needs is missing.
    """
    adapting = get_adapting(method)
    trained = checkpoint.meta.get("method")
    if get_method(method).training is not None and trained != method:
        raise CheckpointError(f"the checkpoint was trained by {trained!r}, not by {method!r}")
    if settings is None:
        settings = settings_of(method)
    elif not isinstance(settings, adapting.config or type(None)):
        expected = "None" if adapting.config is None else f"a {adapting.config.__name__}"
        raise ConfigError(f"settings of {method} are {settings!r}; expected {expected}")
    tasks = held_out_tasks(family, protocol)

    def worlds_of(each: int) -> Worlds:
        worlds = make_worlds(
            family,
            protocol.num_tasks * each,
            seed=protocol.seed,
            split=protocol.split,
            num_threads=num_threads,
            first_stream=protocol.noise * _STREAMS,
            held_out=True,
        )
        worlds.assign(repeat(tasks, each))
        return worlds

    generator = torch.Generator().manual_seed(protocol.noise_seed)
    meeting = Meeting(
        worlds_of, protocol.num_tasks, protocol.episodes, protocol.updates,
        protocol.noise_seed, generator,
    )  # fmt: skip
    return adapting.start(checkpoint, meeting, settings)


def settings_of(method: str, settings: Mapping[str, Any] | None = None) -> Any:
    """Build a method's settings for meeting tasks from some of them, the others at their defaults.

    Args:
        method: Its name.
        settings: Fields of its adapting config, as JSON values.
    Returns:
        One of its adapting config; None for a method that has none: it goes as it was trained.
    Raises:
        UnknownNameError: If there is no such method.
        ConfigError: If a setting is unknown, of another type, or out of range.
    """
    config, settings = get_adapting(method).config, settings or {}
    if config is not None:
        return configure(config, settings)
    if settings:
        raise ConfigError(
            f"setting {next(iter(settings))!r}; {method} takes no settings, it adapts as it was"
            " trained to"
        )
    return None


@steady(num_threads=1)
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
