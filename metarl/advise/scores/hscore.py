"""H-score: how much of the features' spread lies between classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from metarl.advise.scores.samples import (
    ROUNDING,
    as_classes,
    as_features,
    basis,
    centred,
    class_sums,
)


def h_score(features: Any, labels: Any) -> float:
    """Compute ``tr(cov(f)^-1 cov(E[f | y]))``.

    It lies between 0 and the smaller of D and C - 1. No invertible affine map of the features
    (rotation, scaling of each, shift) changes it, nor does the order of features or samples.
    Directions in which no sample differs are left out (the pseudo-inverse). With fewer samples
    than features every labelling looks perfect: use `shrunk_h_score` there.

    Args:
        features: Shape (N, D).
        labels: Classes, shape (N,); numbers are refused, see `quantile_classes`.
    Returns:
        The score, unitless; 0 where features are constant.
    Raises:
        ShapeError: If shapes or types do not fit, or a number is not finite.
        ScoreError: If all labels are the same.
    Source: Bao et al. 2019, "An information-theoretic approach to transferability in task transfer
        learning", ICIP 2019, definition 2.
    """
    x = as_features(features)
    classes = as_classes(labels, len(x))
    left, _ = basis(centred(x))  # whitened, but for sqrt(N)
    sums, counts = class_sums(left, classes)
    return float((sums**2 / counts[:, None]).sum())


def shrunk_h_score(features: Any, labels: Any) -> float:
    """Compute the H-score with a covariance shrunk towards a multiple of the identity.

    ``tr(S^-1 (1 - a) cov(E[f | y]))`` with ``S = (1 - a) cov(f) + a tr(cov(f)) / D I``, where
    Ledoit and Wolf's a is chosen by the data. It stands firm where samples are few. It does not
    change when features are rotated, shifted, all scaled by one factor, or reordered, or when
    samples are; features scaled each by its own factor do change it.

    Args:
        features: Shape (N, D).
        labels: Classes, shape (N,).
    Returns:
        The score, unitless; 0 where features are constant.
    Raises:
        ShapeError: As `h_score`.
        ScoreError: As `h_score`.
    Source: Ibrahim et al. 2021, arXiv:2110.06893, section 3.1; the weight is that of Ledoit and
        Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
    """
    x = as_features(features)
    classes = as_classes(labels, len(x))
    x = centred(x)
    if not x.any():
        return 0.0
    weight = shrinkage(x)
    n, d = x.shape
    mean_variance = (x**2).sum() / (n * d)
    left, values = basis(x)
    variance = values**2 / n
    sums, counts = class_sums(left, classes)
    between = (sums**2 / counts[:, None]).sum(axis=0) * variance  # of E[f | y], each direction
    return float(
        ((1.0 - weight) * between / ((1.0 - weight) * variance + weight * mean_variance)).sum()
    )


def shrinkage(x: np.ndarray) -> float:
    """Choose how far a covariance is shrunk, in [0, 1].

    Args:
        x: Centred samples, not all 0, shape (N, D).
    Source: Ledoit and Wolf 2004, lemma 3.2 and section 3.
    """
    n, d = x.shape
    values = np.linalg.svd(x, compute_uv=False) ** 2 / n  # of the covariance
    squares = (values**2).sum()
    distance = squares - values.sum() ** 2 / d  # from the multiple of the identity, times D
    error = ((x**2).sum(axis=1) ** 2).mean() / n - squares / n
    if distance <= ROUNDING * squares:
        return 0.0  # it is one already, whatever the weight
    return float(np.clip(error / distance, 0.0, 1.0))
