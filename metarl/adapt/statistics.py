"""Aggregate scores over seeds and tasks, with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from metarl.errors import ConfigError, ShapeError

# Maps score tables of shape (R, S, K) to R numbers, shape (R,).
Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Interval:
    """A confidence interval; both ends are NaN where the data cannot give one."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """Mean and IQM of a table of scores, each with its 95 % interval."""

    mean: float
    mean_low: float
    mean_high: float
    iqm: float
    iqm_low: float
    iqm_high: float
    num_seeds: int
    num_tasks: int

    def __str__(self) -> str:
        if math.isnan(self.mean_low):
            return f"{self.mean:.3g}"
        return f"{self.mean:.3g} [{self.mean_low:.3g}, {self.mean_high:.3g}]"

    def format_percent(self) -> str:
        """Write the mean and its interval in whole percent.

        Returns:
            For example ``"93 [88, 97]"``; only ``"93"`` if the interval is unknown.
        """
        if math.isnan(self.mean_low):
            return f"{100 * self.mean:.0f}"
        low, high = 100 * self.mean_low, 100 * self.mean_high
        return f"{100 * self.mean:.0f} [{low:.0f}, {high:.0f}]"


def mean(scores: np.ndarray) -> np.ndarray:
    """Average scores over seeds and tasks.

    Args:
        scores: Finite scores, shape (..., S, K): S seeds, K tasks.
    Returns:
        The mean, shape (...): a scalar for one table.
    Raises:
        ShapeError: If there are fewer than two axes, no scores, or scores that are not finite.
    """
    return np.mean(_flatten(scores), axis=-1)


def iqm(scores: np.ndarray) -> np.ndarray:
    """Average the middle half of all seed and task scores (interquartile mean).

    Args:
        scores: Finite scores, shape (..., S, K): S seeds, K tasks.
    Returns:
        The 25 % trimmed mean, shape (...): a scalar for one table.
    Raises:
        ShapeError: If there are fewer than two axes, no scores, or scores that are not finite.
    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3.
    """
    return stats.trim_mean(_flatten(scores), 0.25, axis=-1)


def mean_iqm(scores: np.ndarray) -> tuple[float, float]:
    """Compute mean and IQM of one table; either alone hides something.

    Args:
        scores: Finite scores, shape (S, K).
    Returns:
        Mean and IQM.
    Raises:
        ShapeError: If `scores` is no finite, non-empty (S, K) table.
    """
    table = _table(scores)
    return float(mean(table)), float(iqm(table))


def stratified_bootstrap(
    scores: np.ndarray,
    statistic: Statistic,
    *,
    rng: np.random.Generator,
    num_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Bound a statistic by the percentile bootstrap, with the tasks as strata.

    With S > 1 the seeds of each task are drawn anew, independently of the other tasks. The
    interval then covers how far the statistic would move with *other training seeds on these same
    tasks*. It does not cover the choice of tasks, so it says nothing about tasks never evaluated.
    It is too narrow with few seeds (by a factor of about sqrt((S - 1) / S)), and where the tasks
    of one seed rise and fall together because they share one trained policy.

    Deviation: with S = 1 the seeds of a task cannot be drawn anew, so the tasks are. The interval
    then covers the choice of tasks, given this one training run, and not the training seed.

    Args:
        scores: Finite scores, shape (S, K).
        statistic: Maps tables (R, S, K) to values (R,), as `mean` and `iqm` do.
        rng: Source of the resampling.
        num_resamples: R, > 0.
        confidence: Probability inside the interval, in (0, 1).
    Returns:
        The interval; (NaN, NaN) for a single score, which has none.
    Raises:
        ShapeError: If `scores` is no finite, non-empty (S, K) table.
        ConfigError: If `confidence` or `num_resamples` is out of range.
    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.1.
    """
    table = _table(scores)
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence is {confidence}; expected a number in (0, 1)")
    if num_resamples < 1:
        raise ConfigError(f"num_resamples is {num_resamples}; expected at least 1")
    if table.size == 1:
        return Interval(math.nan, math.nan)
    values = statistic(_resample(table, rng, num_resamples))  # (R,)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return Interval(float(low), float(high))


def t_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """Bound the mean of a few values that are drawn as one normal distribution draws.

    For a handful of training seeds: a bootstrap of three can only be as wide as they lie apart,
    and holds the true mean in about three of four cases where it promises nineteen of twenty.

    Args:
        values: Finite values, shape (S,): one a training seed.
        confidence: Probability inside the interval, in (0, 1).
    Returns:
        The interval; (NaN, NaN) for a single value, which has none.
    Raises:
        ShapeError: If `values` is no finite, non-empty (S,).
    Source: Student 1908, "The probable error of a mean".
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ShapeError(f"values are {array}; expected finite ones of shape (S,), S > 0")
    if array.size == 1:
        return Interval(math.nan, math.nan)
    error = array.std(ddof=1) / math.sqrt(array.size)
    reach = float(error * stats.t.ppf(0.5 + confidence / 2.0, array.size - 1))
    center = float(array.mean())
    return Interval(center - reach, center + reach)


def estimate(scores: np.ndarray, rng: np.random.Generator) -> Estimate:
    """Summarise a table of scores by mean and IQM with 95 % bootstrap intervals.

    Args:
        scores: Finite scores, shape (S, K): one row a training seed, one column a task.
        rng: Source of the resampling.
    Returns:
        The estimate; `stratified_bootstrap` says what its intervals cover.
    Raises:
        ShapeError: If `scores` is no finite, non-empty (S, K) table.
    """
    table = _table(scores)
    center, middle = mean_iqm(table)
    around_mean = stratified_bootstrap(table, mean, rng=rng)
    around_iqm = stratified_bootstrap(table, iqm, rng=rng)
    return Estimate(
        mean=center,
        mean_low=around_mean.low,
        mean_high=around_mean.high,
        iqm=middle,
        iqm_low=around_iqm.low,
        iqm_high=around_iqm.high,
        num_seeds=table.shape[0],
        num_tasks=table.shape[1],
    )


def _resample(table: np.ndarray, rng: np.random.Generator, num_resamples: int) -> np.ndarray:
    num_seeds, num_tasks = table.shape
    shape = (num_resamples, num_seeds, num_tasks)
    if num_seeds == 1:
        return table[0, rng.integers(num_tasks, size=shape)]
    return table[rng.integers(num_seeds, size=shape), np.arange(num_tasks)]


def _table(scores: np.ndarray) -> np.ndarray:
    if np.ndim(scores) != 2:
        raise ShapeError(f"scores have shape {np.shape(scores)}; expected (seeds, tasks)")
    return np.asarray(scores, dtype=np.float64)


def _flatten(scores: np.ndarray) -> np.ndarray:
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim < 2 or array.size == 0:
        raise ShapeError(f"scores have shape {array.shape}; expected non-empty (seeds, tasks)")
    if not np.isfinite(array).all():
        bad = array.size - int(np.isfinite(array).sum())
        raise ShapeError(f"{bad} of {array.size} scores are NaN or infinite; expected finite ones")
    return array.reshape(*array.shape[:-2], -1)
