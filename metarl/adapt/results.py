"""What adaptation came to: success, score and return of each task after each update."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from metarl.adapt.statistics import Estimate, estimate
from metarl.learn.rollout import Trajectories


class Outcome(NamedTuple):
    """What a policy reached in each task, on average over its episodes.

    Args:
        success: Rate, (K,).
        score: Graded outcome, (K,).
        returns: Return, (K,).
    """

    success: np.ndarray
    score: np.ndarray
    returns: np.ndarray


def outcome_of(episodes: Trajectories) -> Outcome:
    """Average an episode in each of K * E worlds over each task's E."""
    of_worlds = (episodes.success, episodes.score, episodes.returns)
    return Outcome(
        *(np.asarray(x, float).reshape(episodes.num_tasks, -1).mean(axis=1) for x in of_worlds)
    )


@dataclasses.dataclass(frozen=True)
class AdaptationResult:
    """What one policy reached on K held-out tasks.

    Args:
        method: Its name.
        family: Of the tasks.
        success: Rate after u updates, shape (U+1, K).
        score: Mean graded outcome, shape (U+1, K).
        returns: Mean return, shape (U+1, K).
        steps: Control steps that adaptation took, evaluation not counted.
        seconds: Wall time of adaptation [s], likewise.
        diverged: Episodes that physics ended, those that judged among them.
    """

    method: str
    family: str
    success: np.ndarray
    score: np.ndarray
    returns: np.ndarray
    steps: int
    seconds: float
    diverged: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        fields = dataclasses.asdict(self)
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in fields.items()}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> AdaptationResult:
        """Read what `to_json` wrote."""
        arrays = {k: np.asarray(saved[k]) for k in ("success", "score", "returns")}
        return cls(**{**saved, **arrays})

    def __str__(self) -> str:
        """A table: mean over the tasks, with the interval that the choice of tasks leaves."""
        rng, tasks = np.random.default_rng(0), self.success.shape[1]
        rows = [["after update", *(str(u) for u in range(len(self.success)))]]
        rates = [estimate(row[None], rng).format_percent() for row in self.success]
        rows.append(["success [%]", *rates])
        if not np.array_equal(self.score, self.success):
            rows.append(["score", *(f"{estimate(row[None], rng)}" for row in self.score)])
        rows.append(["return", *(f"{estimate(row[None], rng)}" for row in self.returns)])
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows]
        return "\n".join(
            [
                f"{self.method} on {self.family}: mean of {tasks} tasks [95% interval]",
                *lines,
                f"{self.steps:,} control steps, {self.seconds:.1f} s",
            ]
        )


def summarise(
    results: Sequence[AdaptationResult], rng: np.random.Generator, metric: str = "success"
) -> list[Estimate]:
    """Estimate success (or score, or returns) after each update over seeds (one result each) and
    tasks."""
    table = np.stack([getattr(r, metric) for r in results])  # (S, U+1, K)
    return [estimate(table[:, u], rng) for u in range(table.shape[1])]
