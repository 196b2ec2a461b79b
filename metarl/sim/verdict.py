"""What a family says of a control step: rewards, success, failure, score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarl.family import TaskFamily, broken
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
            FamilyError: If a method gives something else than the contract says.
        """
        n = scene.num_worlds
        self.family.advance(scene, task)
        terms = self._terms(scene, task, action)
        success = self._verdict("success", scene, task)
        failed = np.zeros(n, bool)
        if not _is_default(self.family.failure, TaskFamily.failure):
            failed = self._verdict("failure", scene, task)
        graded = not _is_default(self.family.score, TaskFamily.score)
        score = self._score(scene, task) if graded else success.astype(np.float32)
        return Verdict(terms, success, failed, score)

    def _terms(self, scene: Scene, task: Any, action: np.ndarray) -> dict[str, np.ndarray]:
        n, weights = scene.num_worlds, self.family.weights
        given = self.family.terms(scene, task, action)
        if not isinstance(given, Mapping):
            raise broken(self.family, "terms", f"gave {_kind(given)}; expected a mapping")
        if not given.keys() <= weights.keys():
            unknown = next(name for name in given if name not in weights)
            raise broken(
                self.family, "terms", f"gave {unknown!r}; weights has {', '.join(weights)}"
            )
        out = {}
        for name, weight in weights.items():
            if name not in given:
                out[name] = np.zeros(n, np.float32)
                continue
            values = given[name]
            if not _is_row(values, "fiub", n):
                said = f"gave {_kind(values)} as {name!r}; expected numbers of shape ({n},)"
                raise broken(self.family, "terms", said)
            out[name] = np.multiply(weight, values).astype(np.float32)
        return out

    def _verdict(self, method: str, scene: Scene, task: Any) -> np.ndarray:
        n = scene.num_worlds
        values = getattr(self.family, method)(scene, task)
        if not _is_row(values, "b", n):
            said = f"gave {_kind(values)}; expected bool of shape ({n},)"
            raise broken(self.family, method, said)
        return values.astype(bool)

    def _score(self, scene: Scene, task: Any) -> np.ndarray:
        n = scene.num_worlds
        values = self.family.score(scene, task)
        if not _is_row(values, "fiub", n):
            said = f"gave {_kind(values)}; expected numbers in [0, 1] of shape ({n},)"
            raise broken(self.family, "score", said)
        return values.astype(np.float32)


def _is_default(method: Any, default: Any) -> bool:
    return getattr(method, "__func__", method) is default


def require_numbers(
    family: TaskFamily[Any], terms: Mapping[str, np.ndarray], score: np.ndarray
) -> None:
    """Check what worlds earned.

    Args:
        family: Who said so.
        terms: Each weighted reward term, (N,).
        score: The grades, (N,).
    Raises:
        FamilyError: If a term, or the sum of all, is not finite, or a score not in [0, 1]; names
            the method, the term and the worlds.
    """
    for name, values in terms.items():
        if not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(values))
            said = f"gave {values[bad[0]]} as {name!r} in worlds {bad.tolist()[:10]}"
            raise broken(family, "terms", f"{said}; expected finite numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        total = sum(terms.values(), np.zeros(len(score), np.float32))
    if not np.isfinite(total).all():
        bad = np.flatnonzero(~np.isfinite(total))
        raise broken(
            family, "terms", f"gave terms that sum to {total[bad[0]]} in worlds {bad.tolist()[:10]}"
        )
    good = (score >= -_ROUNDING) & (score <= 1.0 + _ROUNDING)
    if not good.all():
        bad = np.flatnonzero(~good)
        said = f"gave {score[bad[0]]} in worlds {bad.tolist()[:10]}; expected numbers in [0, 1]"
        raise broken(family, "score", said)


_ROUNDING = 1e-6  # of single precision


def are_numbers(reward: np.ndarray, score: np.ndarray) -> bool:
    """Whether rewards are finite and scores in [0, 1]; `require_numbers` says what is not."""
    good = (score >= -_ROUNDING) & (score <= 1.0 + _ROUNDING)
    return np.count_nonzero(np.isfinite(reward)) == np.count_nonzero(good) == len(reward)


def is_number(reward: float, score: float) -> bool:
    """The same for one world."""
    return math.isfinite(reward) and -_ROUNDING <= score <= 1.0 + _ROUNDING


def _is_row(values: Any, kinds: str, n: int) -> bool:
    """Whether something is an array of n numbers of some kinds."""
    return isinstance(values, np.ndarray) and values.dtype.kind in kinds and values.shape == (n,)


def _kind(values: Any) -> str:
    """What something is, in words."""
    if isinstance(values, np.ndarray):
        return f"{values.dtype} of shape {values.shape}"
    return "None" if values is None else type(values).__name__
