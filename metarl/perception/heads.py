"""Heads that are the solution of a convex problem: nothing is drawn, nothing is descended by hand."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

LEAST_SPREAD = 0.1  # by benchmarks/feature_spreads.py
Head = tuple[np.ndarray, np.ndarray]  # weights (out, F), biases (out,)


def ridge_heads(features: np.ndarray, wanted: np.ndarray, penalties: np.ndarray) -> list[Head]:
    """Least squares with a penalty on the weights, for several penalties at once.

    Args:
        features: Shape (n, F).
        wanted: Shape (n, k).
        penalties: Weights of the squared weights, against the sum of squared errors, each > 0.
    Returns:
        A head for each penalty.
    Source: Hoerl and Kennard 1970, Technometrics 12 (ridge regression).
    """
    middle, centre = features.mean(0), wanted.mean(0)
    x, y = features - middle, wanted - centre
    tall = len(x) > x.shape[1]
    values, vectors = np.linalg.eigh(x.T @ x if tall else x @ x.T)  # of the smaller one
    seen = vectors.T @ (x.T @ y if tall else y)
    found = list[Head]()
    for penalty in penalties:
        weight = vectors @ (seen / (np.maximum(values, 0.0) + penalty)[:, None])
        weight = weight.T if tall else weight.T @ x
        found.append((weight, centre - weight @ middle))
    return found


def left_out_answers(
    features: np.ndarray,
    wanted: np.ndarray,
    parts: np.ndarray,
    penalties: np.ndarray,
    least: float = LEAST_SPREAD,
) -> np.ndarray:
    """Answer each part by the heads that the other parts give, features brought to one spread.

    Args:
        features: Shape (n, F).
        wanted: Shape (n, k).
        parts: Which part each is left out with, shape (n,): 0, 1, ...
        penalties: As for `ridge_heads`, per picture's worth of features; P of them.
        least: As for `spreads`.
    Returns:
        Shape (P, n, k).
    """
    answers = np.zeros((len(penalties), *wanted.shape))
    for part in range(parts.max() + 1):
        out = parts == part
        scale = Scale(features[~out], least)
        here = scale(features[~out])
        heads = ridge_heads(here, wanted[~out], penalties * len(here))
        for i, (weight, bias) in enumerate(heads):
            answers[i, out] = scale(features[out]) @ weight.T + bias
    return answers


def logistic_head(
    features: np.ndarray,
    label: np.ndarray,
    ways: int,
    penalty_weight: float,
    start: Head | None = None,
) -> Head:
    """Multinomial logistic regression with an L2 penalty.

    Args:
        features: Shape (n, F).
        label: Shape (n,), 0 to ways - 1.
        ways: How many classes there are.
        penalty_weight: C, the weight of the loss (a sum over pictures) against half the squared weights.
        start: Where the search begins; None: at zeros.
    """
    inputs = np.column_stack((features.astype(np.float64), np.ones(len(label))))
    member = np.eye(ways)[label]  # (n, ways)
    penalised = np.append(np.ones(features.shape[1]), 0.0)  # not the biases
    shape = (ways, inputs.shape[1])

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        head = flat.reshape(shape)
        logits = inputs @ head.T
        log_p = logits - logsumexp(logits, axis=1, keepdims=True)
        lost = -penalty_weight * np.sum(member * log_p)
        slope = penalty_weight * (np.exp(log_p) - member).T @ inputs
        return lost + 0.5 * np.sum(penalised * head**2), (slope + penalised * head).ravel()

    first = np.zeros(shape) if start is None else np.column_stack(start)
    found = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B")
    head = found.x.reshape(shape)
    return head[:, :-1], head[:, -1]


class Scale:
    """Brings features to mean 0 and one spread, together of length 1 on average.

    A feature that hardly varies over these pictures is not blown up to the spread of the others: on a
    picture to come it may lie thousands of its spreads away, and one such answer is off beyond measure.

    Args:
        features: Shape (n, F); those that do not vary become 0.
        least: As for `spreads`.
    """

    def __init__(self, features: np.ndarray, least: float = LEAST_SPREAD):
        self.mean, spread = features.mean(0), spreads(features, least=least)
        self.spread = np.where(spread > 0.0, spread, np.inf) * np.sqrt(features.shape[1])

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return (features - self.mean) / self.spread

    def undo(self, head: Head) -> Head:
        """Make a head of features as they are."""
        weight = head[0] / self.spread
        return weight, head[1] - weight @ self.mean


def spreads(features: np.ndarray, axis: int = 0, least: float = LEAST_SPREAD) -> np.ndarray:
    """Standard deviations of features, (n, F) -> (F,).

    Args:
        features: Shape (n, F).
        axis: Along which pictures lie.
        least: Of those that vary, none is below this share of the root mean square of all.
    """
    spread = features.std(axis)
    return np.where(spread > 0.0, np.maximum(spread, least * np.sqrt(np.mean(spread**2))), 0.0)
