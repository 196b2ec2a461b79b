"""How good advice was, once the transfers have been measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.stats import weightedtau

from metarl.adapt.statistics import Interval
from metarl.advise.prediction import SURE
from metarl.errors import ConfigError


@dataclass(frozen=True)
class Judged:
    """One prediction, and what came true.

    Args:
        source: The source.
        target: The target.
        strategy: The strategy.
        exploration: How widely it explored at first.
        predicted: The gain that was predicted, made without any transfer to this target.
        measured: The gain that was measured.
        helps: Probability that it is above 0, as it was predicted; None: none was.
    """

    source: str
    target: str
    strategy: str
    exploration: str
    predicted: float
    measured: float
    helps: float | None = None


def weighted_tau(measured: Sequence[float], predicted: Sequence[float]) -> float:
    """Compute the weighted Kendall tau of two rankings: the best count most.

    Args:
        measured: What came true, at least two.
        predicted: A score of each.
    Returns:
        In [-1, 1]; 0 where one side is the same for all, for then nothing was ranked.
    Raises:
        ConfigError: If there are fewer than two.
    Source: Vigna 2015, "A weighted correlation index for rankings with ties", with hyperbolic
        weights, the mean over both sides' ranks; this is SciPy's.
    """
    if len(measured) < 2:
        raise ConfigError(f"{len(measured)} transfers have no order; expected at least 2")
    return _tau(tuple(measured), tuple(predicted))


@lru_cache(maxsize=4096)  # the bootstrap asks for the same targets again and again
def _tau(measured: tuple[float, ...], predicted: tuple[float, ...]) -> float:
    tau = float(weightedtau(measured, predicted).statistic)
    return 0.0 if math.isnan(tau) else tau


def mean_tau(rows: Sequence[Judged]) -> float:
    """Average the weighted tau over targets, each with at least two transfers."""
    parts = [group for group in by_target(rows) if len(group) > 1]
    if not parts:
        raise ConfigError("no target has two transfers to rank")
    return float(
        np.mean([weighted_tau([r.measured for r in g], [r.predicted for r in g]) for g in parts])
    )


def real_harm(rows: Sequence[Judged]) -> float:
    """Compute which share of the harm that was predicted is real; NaN where none was."""
    warned = [row.measured < 0 for row in rows if row.predicted < 0]
    return float(np.mean(warned)) if warned else math.nan


def real_sure_harm(rows: Sequence[Judged]) -> float:
    """Compute the same of harm that was predicted for sure: with a probability of `SURE`."""
    return real_harm([r for r in rows if r.helps is not None and 1.0 - r.helps >= SURE])


def cost(rows: Sequence[Judged]) -> float:
    """Compute what following the advice costs, a mean over targets.

    On each target the transfer with the best prediction is taken, or scratch (gain 0) where none is
    above 0. The cost is the best measured gain, or scratch's, minus that of the choice.
    """
    lost = []
    for group in by_target(rows):
        chosen = max(group, key=lambda row: row.predicted)
        got = chosen.measured if chosen.predicted > 0 else 0.0
        lost.append(max(0.0, *(row.measured for row in group)) - got)
    return float(np.mean(lost))


def gained(rows: Sequence[Judged]) -> float:
    """Compute what the best choices gain, a mean over targets; scratch (gain 0) is one of them."""
    return float(np.mean([max(0.0, *(row.measured for row in g)) for g in by_target(rows)]))


def by_target(rows: Sequence[Judged]) -> list[list[Judged]]:
    """Part predictions by their target, in order of appearance."""
    return [[r for r in rows if r.target == t] for t in dict.fromkeys(r.target for r in rows)]


def over_targets(
    rows: Sequence[Judged], statistic: Callable[[Sequence[Judged]], float], *, resamples: int = 2000
) -> Interval:
    """Bound a statistic by drawing targets anew, 95% percentile bootstrap.

    Args:
        rows: Predictions.
        statistic: Of these, for example `mean_tau`.
        resamples: How often.
    Returns:
        The interval; draws in which the statistic is not defined are left out.
    """
    groups, rng = by_target(rows), np.random.default_rng(0)
    values = []
    for _ in range(resamples):
        drawn = rng.integers(len(groups), size=len(groups))
        values.append(statistic(_renamed([groups[i] for i in drawn])))
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return Interval(math.nan, math.nan)
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(float(low), float(high))


def _renamed(groups: Sequence[Sequence[Judged]]) -> list[Judged]:
    """A target that is drawn twice counts as two."""
    return [replace(r, target=f"{i}") for i, group in enumerate(groups) for r in group]
