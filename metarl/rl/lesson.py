"""Episodes in which the family's expert is asked at every step, whoever acts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from metarl.runs.trained import spent
from metarl.sim.worlds import Worlds
from metarl.types import Act


class Lesson(NamedTuple):
    """What was seen, and what the expert would have done.

    Args:
        obs: Observations, shape (M, D), float32.
        wanted: The expert's actions, shape (M, A), float32.
        outcome: Success and return of whoever acted, noise included, by name.
    """

    obs: np.ndarray
    wanted: np.ndarray
    outcome: dict[str, float]


def expert_share(config: Any, iteration: int, seconds: float) -> float:
    """Compute how much of an iteration's acting is the expert's, in [0, 1].

    Args:
        config: With ``expert_iterations``, ``mixing`` and a budget.
        iteration: How many iterations are done.
        seconds: How long they took [s].
    """
    if iteration < config.expert_iterations:
        return 1.0
    if config.mixing == 0.0:
        return 0.0
    return max(0.0, 1.0 - spent(config, iteration, seconds) / config.mixing)


def collect_lesson(
    worlds: Worlds, act: Act, *, share: float, segment: int, generator: torch.Generator
) -> Lesson:
    """Run the worlds until every first episode has ended; ask the expert at each step.

    Args:
        worlds: Their tasks are assigned; all are reset.
        act: The learner.
        share: How much of the acting is the expert's.
        segment: Control steps for which one of the two acts, while they take turns.
        generator: Draws whose turn it is.
    """
    obs, n = worlds.reset(), worlds.num_worlds
    alive, success, returns = np.ones(n, bool), np.zeros(n, bool), np.zeros(n)
    seen, wanted, by_expert, num_steps = [], [], np.ones((n, 1), bool), 0
    while alive.any():
        if 0.0 < share < 1.0 and num_steps % segment == 0:
            by_expert = (torch.rand(n, 1, generator=generator) < share).numpy()
        num_steps += 1
        answer = np.clip(worlds.expert(), -1.0, 1.0)
        seen.append(obs[alive])
        wanted.append(answer[alive])
        action = answer if share == 1.0 else act(obs)
        step = worlds.step(np.where(by_expert, answer, action) if share > 0.0 else action)
        returns += np.where(alive, step.reward, 0.0)
        success = np.where(alive, step.success, success)
        alive &= ~(step.terminated | step.truncated)
        obs = step.obs
        if worlds.done.any() and alive.any():
            obs = worlds.reset(worlds.done)
    outcome = {"success": float(success.mean()), "return": float(returns.mean())}
    return Lesson(np.concatenate(seen), np.concatenate(wanted), outcome)
