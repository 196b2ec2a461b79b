"""How much a source helped or harmed: the signed score of a curve against another, and its verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from metarl.adapt.statistics import Interval, t_interval
from metarl.errors import ShapeError

HELPED, HARMED, NOTHING, UNKNOWN = "helped", "harmed", "nothing sure", "not known"


def area_score(curve: np.ndarray, scratch: np.ndarray, best: float, first: float) -> float:
    """Compare two learning curves by the area between them.

    A point of a curve is the mean over an iteration's episodes, so that the area over the budget is
    the mean of the points.

    Args:
        curve: Return in each iteration, from a source, shape (I,).
        scratch: The same from nothing, shape (I,).
        best: The best return that anyone reached on that target.
        first: The return of scratch at its start.
    Returns:
        In [-1, 1]; negative is harm. 1: the best from the first iteration on, where scratch stays
        as it was. NaN where nobody got better than scratch was at its start: nothing could be won
        or lost.
    Raises:
        ShapeError: If the curves are not of one shape (I,), I > 0.
    Source: Taylor and Stone 2009, "Transfer learning for reinforcement learning domains: a survey"
        (total reward); scaled so that targets can be compared.
    """
    if np.ndim(curve) != 1 or np.shape(curve) != np.shape(scratch) or not np.size(curve):
        raise ShapeError(
            f"curves have shapes {np.shape(curve)} and {np.shape(scratch)}; expected one (I,), I > 0"
        )
    if not best > first:
        return math.nan
    area = float(np.mean(np.asarray(curve, float) - np.asarray(scratch, float)))
    return min(1.0, max(-1.0, area / (best - first)))


@dataclasses.dataclass(frozen=True)
class Score:
    """What several training seeds say of one arm.

    Args:
        each: The score of each seed, at least one.
        noise: The largest score, in size, of the control arm: what means nothing. NaN: unknown.
    """

    each: tuple[float, ...]
    noise: float = math.nan

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(np.mean(self.each))

    @property
    def interval(self) -> Interval:
        """95% t interval of the mean, within [-1, 1] as scores are; NaN with one seed."""
        if not np.isfinite(self.each).all():
            return Interval(math.nan, math.nan)
        around = t_interval(np.array(self.each))
        return Interval(*map(float, np.clip([around.low, around.high], -1.0, 1.0)))

    @property
    def verdict(self) -> str:
        """Helped or harmed where the interval is wholly on one side of zero, and the mean beyond
        what other noise alone brings about."""
        around, mean = self.interval, self.mean
        if math.isnan(around.low):
            return UNKNOWN
        if not math.isnan(self.noise) and abs(mean) <= self.noise:
            return NOTHING
        return HELPED if around.low > 0.0 else HARMED if around.high < 0.0 else NOTHING

    def __str__(self) -> str:
        around = self.interval
        if math.isnan(self.mean):
            return "–"
        if math.isnan(around.low):
            return f"{signed(self.mean)}"
        return f"{signed(self.mean)} [{signed(around.low)}, {signed(around.high)}]"


def signed(value: float) -> str:
    """Write a score: ``+0.31``, never ``-0.00``."""
    return f"{round(value, 2) + 0.0:+.2f}"


def ahead(best: Sequence[float], other: Sequence[float]) -> Interval:
    """Bound by how much one arm's mean score is above another's, seed by seed.

    Args:
        best: Scores, one a seed, shape (S,).
        other: Of the same seeds, shape (S,).
    Returns:
        The 95% t interval of the mean difference.
    """
    return t_interval(np.asarray(best, float) - np.asarray(other, float))
