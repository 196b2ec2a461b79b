"""What a family says of a control step: rewards, success, failure, score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metarl.errors import FamilyError
from metarl.family import TaskFamily
from metarl.sim.scene import Scene


@dataclass
class Verdict:
    """What n worlds earned in a control step.

    Args:
        terms: Each weighted reward term, in the order of the weights, (n,) float32.
        success: Judged now, (n,) bool.
        terminated: The family said failure, (n,) bool.
        score: Graded outcome in [0, 1], (n,) float32.
    """

    terms: dict[str, np.ndarray]
    success: np.ndarray
    terminated: np.ndarray
    score: np.ndarray

    @classmethod
    def joined(cls, parts: list[tuple[np.ndarray | slice, Verdict]], n: int) -> Verdict:
        """Join what parts of n worlds earned, each with its rows among all."""
        first = parts[0][1]
        if len(parts) == 1:
            return first
        terms = {name: np.zeros(n, np.float32) for name in first.terms}
        whole = cls(terms, np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, np.float32))
        for rows, part in parts:
            for name, values in part.terms.items():
                terms[name][rows] = values
            whole.success[rows], whole.terminated[rows] = part.success, part.terminated
            whole.score[rows] = part.score
        return whole

    def reward(self) -> np.ndarray:
        """The sum of the terms, (n,) float32."""
        reward = np.zeros(len(self.success), np.float32)
        for values in self.terms.values():
            reward = reward + values
        return reward

    def clear(self, mask: np.ndarray) -> None:
        """Take back what some worlds earned."""
        for values in (*self.terms.values(), self.success, self.terminated, self.score):
            values[mask] = 0


class Judge:
    """Asks a family, once a control step.

    Args:
        family: The family.
    """

    def __init__(self, family: TaskFamily[Any]):
        self.family = family

    def judge(self, scene: Scene, task: Any, action: np.ndarray) -> Verdict:
        """Advance the worlds' state beyond physics and judge them.

        Raises:
            FamilyError: If `terms` gives a term that has no weight.
        """
        family, n = self.family, scene.num_worlds
        family.advance(scene, task)
        terms = self._terms(scene, task, action)
        success = _row(family.success(scene, task), bool, n)
        failed = np.zeros(n, bool)
        if not _is_default(family.failure, TaskFamily.failure):
            failed = _row(family.failure(scene, task), bool, n)
        graded = not _is_default(family.score, TaskFamily.score)
        score = _row(family.score(scene, task) if graded else success, np.float32, n)
        return Verdict(terms, success, failed, score)

    def _terms(self, scene: Scene, task: Any, action: np.ndarray) -> dict[str, np.ndarray]:
        n, weights = scene.num_worlds, self.family.weights
        given = self.family.terms(scene, task, action)
        if not given.keys() <= weights.keys():
            unknown = next(name for name in given if name not in weights)
            raise FamilyError(
                f"{self.family.id}: terms() gave {unknown!r}; weights has {', '.join(weights)}"
            )
        return {
            name: _row(weight * given[name] if name in given else 0.0, np.float32, n)
            for name, weight in weights.items()
        }


def _is_default(method: Any, default: Any) -> bool:
    return getattr(method, "__func__", method) is default


def _row(values: Any, dtype: type, n: int) -> np.ndarray:
    row = values.astype(dtype) if hasattr(values, "astype") else np.array(values, dtype)
    return row if np.shape(row) == (n,) else np.array(np.broadcast_to(row, (n,)))
