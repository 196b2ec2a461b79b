"""Episodes in which the family's expert is asked at every step, whoever acts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from metarl.runs.trained import spent
from metarl.sim.worlds import Worlds
from metarl.types import Act


class Hindsight(NamedTuple):
    """What was done, and what came of it.

    Args:
        acted: The actions of whoever acted, within their range, shape (M, A), float32.
        later: Observations some steps later, or where the episode ended, shape (M, D), float32.
        as_wanted: Whether until then all actions were about the expert's, shape (M,), bool.
    """

    acted: np.ndarray
    later: np.ndarray
    as_wanted: np.ndarray


class Lesson(NamedTuple):
    """What was seen, and what the expert would have done.

    Args:
        obs: Observations, shape (M, D), float32.
        wanted: The expert's actions, shape (M, A), float32.
        outcome: Success and return of whoever acted, noise included, by name.
        hindsight: What came of it, if that was asked for.
    """

    obs: np.ndarray
    wanted: np.ndarray
    outcome: dict[str, float]
    hindsight: Hindsight | None = None


ABOUT = 0.25  # an action that is less than this from another is about the same


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
    worlds: Worlds,
    act: Act,
    *,
    share: float,
    segment: int,
    generator: torch.Generator,
    horizon: int = 0,
) -> Lesson:
    """Run the worlds until every first episode has ended; ask the expert at each step.

    Args:
        worlds: Their tasks are assigned; all are reset.
        act: The learner.
        share: How much of the acting is the expert's.
        segment: Control steps for which one of the two acts, while they take turns.
        generator: Draws whose turn it is.
        horizon: After how many control steps hindsight looks; 0: nobody asks for any.
    """
    obs, n = worlds.reset(), worlds.num_worlds
    alive, success, returns = np.ones(n, bool), np.zeros(n, bool), np.zeros(n)
    seen, wanted, by_expert, num_steps = [], [], np.ones((n, 1), bool), 0
    kept: list[Kept] = []
    while alive.any():
        if 0.0 < share < 1.0 and num_steps % segment == 0:
            by_expert = (torch.rand(n, 1, generator=generator) < share).numpy()
        num_steps += 1
        answer = np.clip(worlds.expert(), -1.0, 1.0)
        seen.append(obs[alive])
        wanted.append(answer[alive])
        action = answer if share == 1.0 else act(obs)
        action = np.where(by_expert, answer, action) if share > 0.0 else action
        step = worlds.step(action)
        if horizon:
            acted = np.clip(action, -1.0, 1.0).astype(np.float32)
            off = np.abs(acted - answer).max(axis=1)
            kept.append((alive.copy(), acted, np.array(step.obs, np.float32), off))
        returns += np.where(alive, step.reward, 0.0)
        success = np.where(alive, step.success, success)
        alive &= ~(step.terminated | step.truncated)
        obs = step.obs
        if worlds.done.any() and alive.any():
            obs = worlds.reset(worlds.done)
    outcome = {"success": float(success.mean()), "return": float(returns.mean())}
    hindsight = _look_back(kept, horizon) if horizon else None
    return Lesson(np.concatenate(seen), np.concatenate(wanted), outcome, hindsight)


# Of one control step: which worlds lived, what was done, what was seen then, how far it was from the expert's.
Kept = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _look_back(kept: list[Kept], horizon: int) -> Hindsight:
    lived, acted, after, off = (np.stack(column) for column in zip(*kept))
    last = np.minimum(np.arange(len(lived))[:, None] + horizon, lived.sum(axis=0)) - 1
    later = np.take_along_axis(after, last[..., None], axis=0)
    worst = np.stack([off[t : t + horizon].max(axis=0) for t in range(len(off))])
    return Hindsight(acted[lived], later[lived], worst[lived] < ABOUT)
