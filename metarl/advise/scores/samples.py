"""What a score is computed from: features and targets of the same samples, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from metarl.errors import ScoreError, ShapeError

# Singular values below this share of the largest are rounding: times it they would be noise.
ROUNDING = 1e-10


def as_features(features: Any) -> np.ndarray:
    """Check features.

    Args:
        features: Numbers, shape (N, D).
    Returns:
        The same, float64.
    Raises:
        ShapeError: If they are no finite numbers of that shape.
        ScoreError: If there are fewer than two samples.
    """
    array = _numbers("features", features)
    if array.ndim != 2 or not array.shape[1]:
        raise ShapeError(f"features have shape {array.shape}; expected (samples, features)")
    if len(array) < 2:
        raise ScoreError(f"{len(array)} samples give no score; expected at least 2")
    return array


def as_targets(targets: Any, num_samples: int) -> np.ndarray:
    """Check what is to be predicted by regression.

    Args:
        targets: Numbers, shape (N,) or (N, C).
        num_samples: N.
    Returns:
        The same, float64, shape (N, C).
    Raises:
        ShapeError: If they are no finite numbers, or not one row a sample.
    """
    array = _numbers("targets", targets)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or len(array) != num_samples or not array.shape[1]:
        raise ShapeError(
            f"targets have shape {np.shape(targets)}; expected ({num_samples},) or"
            f" ({num_samples}, outputs), a row for each sample of the features"
        )
    return array


def as_classes(labels: Any, num_samples: int) -> np.ndarray:
    """Check what is to be predicted by classification.

    Args:
        labels: Classes, any integers, shape (N,).
        num_samples: N.
    Returns:
        Classes that have samples, counted from 0, shape (N,).
    Raises:
        ShapeError: If they are no integers, or not one a sample.
        ScoreError: If all are the same.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iub":
        raise ShapeError(
            f"labels are of type {array.dtype}; expected integers: this score is defined for"
            " classes; make some of numbers by quantile_classes(), or use logme()"
        )
    if array.shape != (num_samples,):
        raise ShapeError(f"labels have shape {array.shape}; expected ({num_samples},)")
    found, classes = np.unique(array, return_inverse=True)
    if len(found) < 2:
        raise ScoreError(f"all {num_samples} labels are {found[0]}; expected at least 2 classes")
    return classes.reshape(-1)


def quantile_classes(values: Any, num_classes: int = 5) -> np.ndarray:
    """Sort numbers into classes of about the same size, so that a score of classes takes them.

    Args:
        values: Numbers, shape (N,).
        num_classes: How many, >= 2; fewer come out where many values are the same.
    Returns:
        Classes from 0 in the order of the values, shape (N,), int64. Same values share a class.
    Raises:
        ShapeError: If the values are no finite numbers of that shape, or `num_classes` is below 2.
    """
    array = _numbers("values", values)
    if array.ndim != 1 or not len(array):
        raise ShapeError(f"values have shape {array.shape}; expected (samples,)")
    if num_classes < 2:
        raise ShapeError(f"num_classes is {num_classes}; expected at least 2")
    edges = np.quantile(array, np.arange(1, num_classes) / num_classes)
    return np.unique(np.searchsorted(edges, array), return_inverse=True)[1].reshape(-1)


def centred(x: np.ndarray) -> np.ndarray:
    """Take the mean of the samples away, (N, D) -> (N, D); what rounding leaves of it is 0."""
    out = x - x.mean(axis=0)
    out[:, np.abs(out).max(axis=0) <= ROUNDING * np.abs(x).max(axis=0)] = 0.0
    return out


def basis(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the directions in which samples differ.

    Args:
        x: Shape (N, D).
    Returns:
        Orthonormal columns (N, R) that span those of `x`, and its singular values (R,), R its
        rank.
    """
    left, values, _ = np.linalg.svd(x, full_matrices=False)
    kept = values > ROUNDING * max(values[0], np.finfo(float).tiny)
    return left[:, kept], values[kept]


def class_sums(x: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum samples class by class.

    Args:
        x: Shape (N, D).
        classes: From 0, shape (N,).
    Returns:
        Sums, shape (C, D), and how many samples each class has, shape (C,).
    """
    counts = np.bincount(classes)
    sums = np.zeros((len(counts), x.shape[1]))
    np.add.at(sums, classes, x)
    return sums, counts


def _numbers(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise ShapeError(f"{name} are of type {array.dtype}; expected numbers")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        bad = array.size - int(np.isfinite(array).sum())
        raise ShapeError(f"{bad} of {array.size} numbers of {name} are NaN or infinite")
    return array
