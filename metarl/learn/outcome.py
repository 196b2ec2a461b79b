"""What came of a collection, without its trajectories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metarl.learn.rollout import Trajectories


@dataclass(frozen=True)
class Outcome:
    """What `Trajectories` say of N episodes beside what was seen and done.

    Args:
        success: Shape (N,), bool.
        score: In [0, 1], shape (N,).
        returns: Sum of rewards over the episode, shape (N,).
        terms: Mean per control step of each weighted reward term.
        num_counted: Control steps before the episodes' ends.
        num_steps: Control steps simulated.
        num_diverged: Episodes that physics ended.
    """

    success: np.ndarray
    score: np.ndarray
    returns: np.ndarray
    terms: Mapping[str, float]
    num_counted: float
    num_steps: int
    num_diverged: int


def outcome_of(episodes: Trajectories) -> Outcome:
    """Say what came of episodes."""
    return Outcome(
        episodes.success, episodes.score, episodes.returns, episodes.terms,
        float(episodes.mask.sum()), episodes.num_steps, episodes.num_diverged,
    )  # fmt: skip


def joined(parts: Sequence[Outcome]) -> Outcome:
    """Put together what came of the parts of a batch, in their order."""
    counted = sum(part.num_counted for part in parts)
    return Outcome(
        np.concatenate([part.success for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.returns for part in parts]),
        {
            name: sum(part.terms[name] * part.num_counted for part in parts) / counted
            for name in parts[0].terms
        },
        counted,
        sum(part.num_steps for part in parts),
        sum(part.num_diverged for part in parts),
    )
