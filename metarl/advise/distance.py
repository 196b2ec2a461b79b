"""How far apart two sets of states are."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from metarl.errors import ScoreError, ShapeError

_MOST = 400  # samples of each side: the kernel has their product's size


def thinned(x: np.ndarray, most: int) -> np.ndarray:
    """Take at most so many rows, at equal distances from the first to the last."""
    if len(x) <= most:
        return x
    return x[np.linspace(0, len(x) - 1, most).round().astype(int)]


def mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Compute the maximum mean discrepancy of two samples, with a Gaussian kernel.

    Columns are first scaled by their standard deviation over both, those without any left out; the
    kernel is as wide as the median distance of all pairs. The order of columns and samples plays
    no part, nor does the scale or the shift of a column.

    Args:
        x: Shape (N, D); of more than 400 rows as many are taken, evenly.
        y: Shape (M, D), likewise.
    Returns:
        The distance, unitless, from 0 (one distribution, up to sampling) to sqrt 2.
    Raises:
        ShapeError: If they have other widths.
        ScoreError: If a side has fewer than two samples.
    Source: Gretton et al. 2012, "A kernel two-sample test", JMLR 13, eq. 3 (unbiased; below 0 it
        counts as 0).
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ShapeError(f"samples have shapes {x.shape} and {y.shape}; expected (N, D) and (M, D)")
    if min(len(x), len(y)) < 2:
        raise ScoreError(
            f"{len(x)} and {len(y)} samples have no distance; expected at least 2 each"
        )
    x, y = (thinned(np.asarray(s, np.float64), _MOST) for s in (x, y))
    both = np.concatenate([x, y])
    spread = both.std(axis=0)
    kept = spread > 1e-10 * np.abs(both).max(axis=0)
    if not kept.any():
        return 0.0
    both = (both[:, kept] - both[:, kept].mean(axis=0)) / spread[kept]
    squared = cdist(both, both, "sqeuclidean")
    width = np.median(squared[np.triu_indices(len(both), 1)])
    kernel = np.exp(-squared / (width if width > 0 else squared.mean()))
    n, m = len(x), len(y)
    within = (kernel[:n, :n].sum() - n) / (n * (n - 1)) + (kernel[n:, n:].sum() - m) / (m * (m - 1))
    return float(np.sqrt(max(within - 2.0 * kernel[:n, n:].mean(), 0.0)))
