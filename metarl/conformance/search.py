"""Looks for actions that succeed, where nobody is known who does."""

from __future__ import annotations

import time

import numpy as np

from metarl.conformance.subject import Subject
from metarl.sim.worlds import Worlds
from metarl.types import repeat

SEARCHED = 4  # tasks
_CANDIDATES = 16  # for each task at once
_ELITE = 3
_PIECES = 10  # of an episode, in each of which the action stays
_ROUNDS = 20
_MOST_STEPS = 60_000  # control steps of all worlds
_MOST_S = 20.0
_LEAST_STD = 0.1


def search(subject: Subject) -> tuple[bool, int]:
    """Search action sequences that succeed in some task, by the cross-entropy method.

    Returns:
        Whether one was found, and in how many episodes.
    Source: Rubinstein 1999, "The cross-entropy method for combinatorial and continuous
        optimization".
    """
    num_tasks, start_s = min(SEARCHED, subject.num_tasks), time.monotonic()
    probe = subject.worlds(num_tasks, seed=12)
    worlds = subject.worlds(num_tasks * _CANDIDATES, seed=12)
    worlds.assign(repeat(probe.task, _CANDIDATES))
    rng, shape = np.random.default_rng(0), (num_tasks, 1, _PIECES, worlds.spec.action_dim)
    mean, std = np.zeros(shape), np.full(shape, 0.7)
    tried = 0
    for _ in range(_ROUNDS):
        draws = rng.normal(size=(num_tasks, _CANDIDATES, *shape[2:]))
        plans = np.clip(mean + std * draws, -1.0, 1.0)
        success, worth = _outcome(worlds, plans.reshape(-1, *shape[2:]))
        tried += worlds.num_worlds
        if success.any():
            return True, tried
        if tried * subject.family.horizon > _MOST_STEPS or time.monotonic() - start_s > _MOST_S:
            break
        best = np.argsort(worth.reshape(num_tasks, _CANDIDATES), axis=1)[:, -_ELITE:]
        elite = np.take_along_axis(plans, best[:, :, None, None], axis=1)
        mean = elite.mean(axis=1, keepdims=True)
        std = np.maximum(elite.std(axis=1, keepdims=True), _LEAST_STD)
    return False, tried


def _outcome(worlds: Worlds, plans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Success at the end of an episode, (N,) bool, and what it was worth, (N,)."""
    worlds.reset()
    horizon = worlds.family.horizon
    alive = np.ones(worlds.num_worlds, bool)
    success, worth = np.zeros_like(alive), np.zeros(worlds.num_worlds)
    for t in range(horizon):
        step = worlds.step(plans[:, t * _PIECES // horizon])
        ends = alive & worlds.done
        success |= ends & step.success
        # the last reward says how near the end was, the others how the way there was
        worth += np.where(alive, step.reward, 0.0) + np.where(ends, horizon * step.reward, 0.0)
        alive &= ~worlds.done
        if not alive.any():
            break
        if worlds.done.any():
            worlds.reset(worlds.done)
    return success, worth
