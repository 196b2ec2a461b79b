"""Small pure reward terms."""

from __future__ import annotations

import numpy as np


def tolerance(x: np.ndarray, radius: float, margin: float) -> np.ndarray:
    """Grade a distance: 1 within the radius, then falling smoothly, 0.1 at the margin.

    Args:
        x: Distance from the goal, any unit, shape (N,).
        radius: Where the grade starts to fall, same unit, >= 0.
        margin: How far beyond the radius the grade is 0.1, same unit, > 0.
    Returns:
        Grades in (0, 1], shape (N,).
    Source: Tassa et al. 2018, arXiv:1801.00690, section 2.1 (Gaussian form).
    """
    over = np.maximum(np.abs(x) - radius, 0.0) / margin
    return np.exp(np.log(0.1) * over * over)


def closeness(x: np.ndarray, scale: float) -> np.ndarray:
    """Grade a distance linearly: 1 at 0, 0 at the scale and beyond.

    Args:
        x: Distance from the goal, any unit, shape (N,).
        scale: Where the grade is 0, same unit, > 0.
    Returns:
        Grades in [0, 1], shape (N,).
    """
    return (1.0 - np.abs(x) / scale).clip(0.0, 1.0)


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distance over the last axis, shapes (N, D) -> (N,)."""
    d = a - b
    return np.sqrt(np.einsum("...d,...d->...", d, d))
