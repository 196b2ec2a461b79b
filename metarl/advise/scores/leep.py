"""LEEP: how well a source's own classes tell those of the target."""

from __future__ import annotations

from typing import Any

import numpy as np

from metarl.advise.scores.samples import as_classes, as_features, class_sums
from metarl.errors import ShapeError

_SUM = 1e-3  # by which a row of probabilities may miss 1: single precision, many classes


def leep(predictions: Any, labels: Any) -> float:
    """Compute the log expected empirical prediction.

    It predicts a label by way of the source's classes z, with ``p(label | z)`` counted on these
    very samples. It is at most 0, and for no source below minus the entropy of the labels' empirical
    distribution. It does not change when samples, source classes or the names of labels are
    reordered.

    Args:
        predictions: The source's probabilities of its own classes, shape (N, Z); rows sum to 1.
        labels: Classes of the target, shape (N,); numbers are refused, for it is defined for
            classes alone.
    Returns:
        The score [nat].
    Raises:
        ShapeError: If shapes or types do not fit, or a row is no distribution.
        ScoreError: If all labels are the same.
    Source: Nguyen et al. 2020, arXiv:2002.12462, eq. 1 and 2.
    """
    given = as_features(predictions)
    classes = as_classes(labels, len(given))
    wrong = (given < 0).any(axis=1) | (np.abs(given.sum(axis=1) - 1.0) > _SUM)
    if wrong.any():
        row = int(wrong.argmax())
        raise ShapeError(
            f"{int(wrong.sum())} rows of predictions are no probabilities, the first is row {row};"
            " expected numbers >= 0 that sum to 1"
        )
    given = given / given.sum(axis=1, keepdims=True)
    joint, _ = class_sums(given, classes)  # (C, Z)
    mass = joint.sum(axis=0)
    seen = mass > 0  # a class that the source gives no sample says nothing
    conditional = joint[:, seen] / mass[seen]  # p(label | z)
    predicted = (given[:, seen] * conditional[classes]).sum(axis=1)
    return float(np.log(predicted).mean())
