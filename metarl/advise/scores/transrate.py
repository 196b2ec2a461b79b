"""TransRate: how much shorter features are coded once the class is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from metarl.advise.scores.samples import as_classes, as_features, centred
from metarl.errors import ShapeError


def trans_rate(features: Any, labels: Any, *, distortion: float = 1e-4) -> float:
    """Compute ``R(Z) - R(Z | y)``, rates that code features up to a distortion.

    ``R(Z) = 1/2 logdet(I + Z'Z / (N distortion))`` of centred features. It is at least 0, and 0
    where all classes have the same second moments. Rotated, shifted or reordered features, and reordered samples,
    do not change it; scaled ones do, for the distortion is absolute: compare features of one scale.

    Args:
        features: Shape (N, D), any N and D.
        labels: Classes, shape (N,); numbers are refused, for it is defined for classes alone; see
            `quantile_classes`.
        distortion: Squared error [features squared] that the code may make, > 0.
    Returns:
        The score [nat].
    Raises:
        ShapeError: If shapes or types do not fit, a number or the distortion is not valid.
        ScoreError: If all labels are the same.
    Source: Huang et al. 2022, arXiv:2106.09362, eq. 4 and 5, and its listing.
    Deviation: Classes count by their share of the samples, as in the coding rates it is built on
        (Yu et al. 2020, arXiv:2006.08558, eq. 8); the listing weighs each the same, which is
        below 0 for some features. Where classes are of one size the two are equal.
    """
    x = as_features(features)
    classes = as_classes(labels, len(x))
    if not (np.isfinite(distortion) and distortion > 0):
        raise ShapeError(f"distortion is {distortion}; expected a finite number > 0")
    x = centred(x)
    shares = np.bincount(classes) / len(x)
    given = sum(share * _rate(x[classes == c], distortion) for c, share in enumerate(shares))
    return float(_rate(x, distortion) - given)


def _rate(x: np.ndarray, distortion: float) -> float:
    """The coding rate of samples (N, D) around 0 [nat]."""
    values = np.linalg.svd(x, compute_uv=False)
    return 0.5 * float(np.log1p(values**2 / (len(x) * distortion)).sum())
