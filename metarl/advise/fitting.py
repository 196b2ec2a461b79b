"""Fit a model of what transfers to transfers that were measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from metarl.advise.model import Fit, Model
from metarl.advise.prediction import Arm
from metarl.advise.signals import SIGNALS
from metarl.errors import ConfigError
from metarl.transfer.strategy import get_strategy

PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0)
LEAST_TARGETS = 3  # below it, leaving one out leaves nothing to choose by
PRIOR = 3.0  # so many transfers is it worth that an arm's gain is the score itself


@dataclass(frozen=True)
class Example:
    """A transfer that was measured.

    Args:
        source: The source.
        target: The target.
        arm: How it was started.
        signals: What was known beforehand.
        gain: What was measured, in [-1, 1].
    """

    source: str
    target: str
    arm: Arm
    signals: Mapping[str, float]
    gain: float


def fit_model(
    examples: Sequence[Example],
    names: Sequence[str] | None = None,
    *,
    noise: float = 0.0,
    made: Mapping[str, Any] | None = None,
) -> Model:
    """Fit each arm's gains to signals.

    Two scores, weighted sums of standardised signals, say how well a source suits a target: one for
    strategies that keep the source's head, one for those that draw it anew. No weight has the wrong
    sign: a signal that should rise with the gain counts for it or not at all. Each arm stretches and
    shifts its score, towards not at all where little was measured of it. Signals that an example
    lacks count as average; all transfers of a pair together count once. Each score's penalty is the
    one of `PENALTIES` with the smallest squared error on targets left out.

    Args:
        examples: Measured transfers.
        names: Which signals; None: all of which there are two values.
        noise: How large a gain other noise alone brought about, a mean over targets.
        made: The command and the date, kept with the model.
    Raises:
        ConfigError: If no arm has examples of at least `LEAST_TARGETS` targets.
    Source: Hoerl and Kennard 1970, "Ridge regression", with weights of known sign.
    """
    centre, scale = _standards(examples, SIGNALS if names is None else names)
    arms = [arm for arm in dict.fromkeys(e.arm for e in examples) if _targets(examples, arm)]
    fits: dict[Arm, Fit] = {}
    for new_head in (False, True):
        mine = [arm for arm in arms if get_strategy(arm.strategy).new_head == new_head]
        if mine:
            known = [example for example in examples if example.arm in mine]
            fits |= _Measured.of(known, mine, centre, scale).fit()
    if not fits:
        raise ConfigError(
            f"{len(examples)} transfers to {len({e.target for e in examples})} targets; a model"
            f" needs at least {LEAST_TARGETS} targets of one strategy"
        )
    about = {
        **(made or {}),
        "transfers": len(examples),
        "targets": len({example.target for example in examples}),
    }
    return Model(centre, scale, tuple(fits[arm] for arm in arms), noise, about)


def _targets(examples: Sequence[Example], arm: Arm) -> bool:
    """Whether enough was measured of an arm."""
    return len({example.target for example in examples if example.arm == arm}) >= LEAST_TARGETS


def _standards(
    examples: Sequence[Example], names: Sequence[str] | Mapping[str, Any]
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation of each signal that varies, once a pair of source and target."""
    pairs = {(e.source, e.target): e.signals for e in examples}
    centre, scale = {}, {}
    for name in names:
        values = np.array([s[name] for s in pairs.values() if name in s])
        if len(values) and values.std() > 1e-9 * max(1.0, float(np.abs(values).max())):
            centre[name], scale[name] = float(values.mean()), float(values.std())
    return centre, scale


@dataclass(frozen=True)
class _Score:
    """A score, and what each arm makes of it.

    Args:
        weights: Of the signals, each at least 0, shape (S,).
        intercept: Of the score.
        slopes: Of each arm, shape (A,).
        levels: Likewise.
    """

    weights: np.ndarray
    intercept: float
    slopes: np.ndarray
    levels: np.ndarray

    def predict(self, x: np.ndarray, arm: np.ndarray) -> np.ndarray:
        """Gains of rows of signals, (M, S), by arms, (M,)."""
        return self.slopes[arm] * (x @ self.weights + self.intercept) + self.levels[arm]


@dataclass(frozen=True)
class _Measured:
    """Transfers by arms that share a score, as arrays of M rows.

    Args:
        names: Of the signals.
        signs: 1 where a signal should rise with the gain, else -1, shape (S,).
        arms: That share a score.
        x: Signals, standardised and times their signs, shape (M, S).
        y: Gains, shape (M,).
        arm: Which arm, shape (M,).
        target: Which target, shape (M,).
        weight: What each counts; those of a pair together count 1, shape (M,).
    """

    names: tuple[str, ...]
    signs: np.ndarray
    arms: tuple[Arm, ...]
    x: np.ndarray
    y: np.ndarray
    arm: np.ndarray
    target: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(
        cls,
        examples: Sequence[Example],
        arms: Sequence[Arm],
        centre: Mapping[str, float],
        scale: Mapping[str, float],
    ) -> _Measured:
        signs = np.array([1.0 if SIGNALS[name].rises else -1.0 for name in centre])
        rows = [
            [(e.signals.get(n, centre[n]) - centre[n]) / scale[n] for n in centre] for e in examples
        ]
        each = Counter((e.source, e.target) for e in examples)
        return cls(
            tuple(centre), signs, tuple(arms),
            np.array(rows).reshape(len(examples), len(centre)) * signs,
            np.array([e.gain for e in examples]),
            np.array([arms.index(e.arm) for e in examples]),
            np.array([e.target for e in examples]),
            np.array([1.0 / each[e.source, e.target] for e in examples]),
        )  # fmt: skip

    def fit(self) -> dict[Arm, Fit]:
        """Fit with the penalty that errs least on targets left out."""
        tried = {penalty: self._left_out(penalty) for penalty in PENALTIES}
        penalty = min(tried, key=lambda p: float(self.weight @ tried[p] ** 2))
        score = self._score(np.arange(len(self.y)), penalty)
        found = {}
        for i, arm in enumerate(self.arms):
            weights = score.slopes[i] * score.weights * self.signs
            found[arm] = Fit(
                *arm,
                float(score.slopes[i] * score.intercept + score.levels[i]),
                dict(zip(self.names, weights.tolist())),
                penalty,
                tuple(sorted(tried[penalty][self.arm == i].tolist())),
            )
        return found

    def _left_out(self, penalty: float) -> np.ndarray:
        """Measured minus predicted, each target predicted from all others."""
        errors = np.empty(len(self.y))
        for target in np.unique(self.target):
            out = np.flatnonzero(self.target == target)
            score = self._score(np.flatnonzero(self.target != target), penalty)
            errors[out] = self.y[out] - score.predict(self.x[out], self.arm[out])
        return errors

    def _score(self, rows: np.ndarray, penalty: float) -> _Score:
        x, y, weight = self.x[rows], self.y[rows], self.weight[rows]
        middle, level = np.average(x, axis=0, weights=weight), float(np.average(y, weights=weight))
        root, count = np.sqrt(weight)[:, None], x.shape[1]
        system = np.concatenate([(x - middle) * root, np.sqrt(penalty) * np.eye(count)])
        wanted = np.concatenate([(y - level) * root[:, 0], np.zeros(count)])
        weights = nnls(system, wanted)[0] if count else np.zeros(0)
        intercept = level - float(middle @ weights)
        score, arm = x @ weights + intercept, self.arm[rows]
        lines = [_line(score[arm == i], y[arm == i], score) for i in range(len(self.arms))]
        slopes, levels = np.array(lines).T
        return _Score(weights, intercept, slopes, levels)


def _line(score: np.ndarray, y: np.ndarray, every: np.ndarray) -> tuple[float, float]:
    """Slope and level of gains over their scores, drawn towards 1 and 0."""
    x = np.stack([score, np.ones(len(score))], axis=1)
    size = max(float(np.mean(every**2)), 1e-9)
    towards = PRIOR * np.diag([size, 1.0])
    slope, level = np.linalg.solve(x.T @ x + towards, x.T @ y + towards @ [1.0, 0.0])
    return float(slope), float(level)
