"""LogME: the evidence of a linear model on the features."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from metarl.advise.scores.samples import as_classes, as_features, as_targets, basis
from metarl.errors import ScoreError

# Of a target's mean square: below it a fit counts as exact, whose evidence has no bound.
_EXACT = 1e-12
_LOW, _HIGH, _GRID = 30.0, 18.0, 250  # how far the search goes below and above, and its points


def logme(features: Any, targets: Any, *, regression: bool = False) -> float:
    """Compute the maximum log evidence of a Bayesian linear model, a sample and an output.

    The model is ``y = F w + noise`` with ``w ~ N(0, 1 / alpha)`` and noise of precision
    ``beta``; evidence is the density of y with w integrated out, at the best alpha and beta.
    There is no intercept: centre features and targets where one is wanted. It does not change
    when features are rotated, all scaled by one factor, or reordered, or when samples are; nor by
    features that are 0. Targets scaled by c change it by ``-log c``: compare on the same targets.

    Args:
        features: Shape (N, D), any N and D.
        targets: Classes (N,), or with `regression` numbers (N,) or (N, C).
        regression: Whether targets are numbers.
    Returns:
        The score [nat], a mean over samples and outputs (of classes: one against the others).
    Raises:
        ShapeError: If shapes or types do not fit, or a number is not finite.
        ScoreError: If an output is 0 for every sample, or all samples are of one class.
    Source: You et al. 2021, arXiv:2102.11005, eq. 2 to 4.
    Deviation: For a given alpha / beta the best beta is known, so that one number is left to find;
        it is sought on a grid and then between its neighbours, where the paper iterates to a fixed
        point, which can be another maximum or none. A fit that is exact up to rounding counts as
        one with a residual of 1e-12 of the target's mean square: else its evidence is infinite.
    """
    x = as_features(features)
    if regression:
        y = as_targets(targets, len(x))
    else:
        classes = as_classes(targets, len(x))
        y = (classes[:, None] == np.arange(classes.max() + 1)).astype(np.float64)
    empty = ~(y != 0).any(axis=0)
    if empty.any():
        raise ScoreError(f"output {int(empty.argmax())} is 0 for every sample; leave it out")
    return float(np.mean([_evidence(x, column) for column in _prepared(x, y)]))


class _Column:
    """One target in the coordinates of the features' singular vectors.

    Args:
        power: Its squared coordinates along them, shape (R,).
        rest: What lies outside of them, squared.
        squared: The singular values, squared, shape (R,).
    """

    def __init__(self, power: np.ndarray, rest: float, squared: np.ndarray):
        self.power, self.rest, self.squared = power, rest, squared


def _prepared(x: np.ndarray, y: np.ndarray) -> list[_Column]:
    left, values = basis(x)
    along = left.T @ y  # (R, C)
    rest = ((y - left @ along) ** 2).sum(axis=0)
    return [_Column(a**2, float(r), values**2) for a, r in zip(along.T, rest)]


def _evidence(x: np.ndarray, column: _Column) -> float:
    """The best evidence of one target over alpha / beta, divided by N."""
    n = len(x)
    if not len(column.squared):  # features without any value
        return _at(column, n, np.zeros(1))[0]
    least, most = math.log(column.squared[-1]), math.log(column.squared[0])
    grid = np.linspace(least - _LOW, most + _HIGH, _GRID)
    best = int(np.argmax(_at(column, n, grid)))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    found = minimize_scalar(
        lambda t: -_at(column, n, np.array([t]))[0],
        bounds=(low, high), method="bounded", options={"xatol": 1e-10},
    )  # fmt: skip
    return max(float(-found.fun), float(_at(column, n, grid[best : best + 1])[0]))


def _at(column: _Column, n: int, log_ratio: np.ndarray) -> np.ndarray:
    """Evidence at log(alpha / beta), each with its best beta, divided by N: (G,) -> (G,)."""
    ratio = np.exp(log_ratio)[:, None]
    unexplained = (column.power * ratio / (ratio + column.squared)).sum(axis=1) + column.rest
    total = column.power.sum() + column.rest
    unexplained = np.maximum(unexplained, _EXACT * total)
    volume = np.log1p(column.squared / ratio).sum(axis=1)
    fit = n * (np.log(n / unexplained) - math.log(2.0 * math.pi) - 1.0)
    return 0.5 * (fit - volume) / n
