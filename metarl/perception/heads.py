"""Heads that are the solution of a convex problem: nothing is drawn, nothing is descended by hand."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

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
