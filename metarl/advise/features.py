"""Do a trunk's features say more of a target than fresh ones? And does its policy?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import ndtr

from metarl.advise.distance import thinned
from metarl.advise.scores import leep, logme, quantile_classes, shrunk_h_score, trans_rate
from metarl.errors import ScoreError
from metarl.nn.policy import GaussianPolicy

_MOST = 3000  # samples: a singular value decomposition of these takes a hundredth of a second
_THIRDS = (-1.0 / 3.0, 1.0 / 3.0)  # where actions in [-1, 1] are cut into classes
_CLASSES = 5  # of numbers, for scores that are defined for classes


@torch.no_grad()
def features_of(policy: GaussianPolicy, states: np.ndarray) -> np.ndarray:
    """Compute a trunk's features of states, (M, D) -> (M, F), float64."""
    return policy.forward_features(torch.from_numpy(states.astype(np.float32))).double().numpy()


@torch.no_grad()
def mean_actions(policy: GaussianPolicy, states: np.ndarray) -> np.ndarray:
    """Compute mean actions, clipped to [-1, 1], (M, D) -> (M, A), float64."""
    mean, _ = policy(torch.from_numpy(states.astype(np.float32)))
    return mean.double().clamp(-1.0, 1.0).numpy()


def score_gain(
    name: str, policy: GaussianPolicy, untrained: GaussianPolicy, states: np.ndarray, y: np.ndarray
) -> float:
    """Compute how much better a trunk's features are than an untrained one's, by a score.

    Features are centred and of mean square 1 a feature; targets are centred and of variance 1.

    Args:
        name: ``logme``, ``h_score`` (the shrunk one) or ``trans_rate``.
        policy: The source's.
        untrained: What it is held against.
        states: Shape (M, D).
        y: Targets, shape (M, C); outputs that do not vary are left out.
    Returns:
        The difference; the two other scores than LogME take numbers in five classes of the same
        size, and their means over outputs.
    Raises:
        ScoreError: If no output varies.
    """
    states, y = thinned(states, _MOST), thinned(y, _MOST)
    varies = y.std(axis=0) > 1e-6 * np.maximum(np.abs(y).max(axis=0), 1e-6)
    if not varies.any():
        raise ScoreError("it is the same in every state")
    y = (y[:, varies] - y[:, varies].mean(axis=0)) / y[:, varies].std(axis=0)
    one, other = (_scaled(features_of(p, states)) for p in (policy, untrained))
    return _SCORE[name](one, y) - _SCORE[name](other, y)


def _scaled(features: np.ndarray) -> np.ndarray:
    features = features - features.mean(axis=0)
    size = np.sqrt((features**2).mean())
    return features / size if size > 0 else features


def _of_classes(score: Callable[..., float]) -> Callable[[np.ndarray, np.ndarray], float]:
    def mean_over_outputs(features: np.ndarray, y: np.ndarray) -> float:
        found = [quantile_classes(column, _CLASSES) for column in y.T]
        scores = [score(features, classes) for classes in found if classes.any()]
        if not scores:
            raise ScoreError("nearly every state has the same")
        return float(np.mean(scores))

    return mean_over_outputs


_SCORE: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "logme": lambda features, y: logme(features, y, regression=True),
    "h_score": _of_classes(shrunk_h_score),
    "trans_rate": _of_classes(trans_rate),
}


def leep_gain(
    policy: GaussianPolicy, untrained: GaussianPolicy, states: np.ndarray, actions: np.ndarray
) -> float:
    """Compute how much better a policy's actions tell the expert's than an untrained one's, by LEEP.

    Each action is cut into thirds of [-1, 1]: the policy's classes are the thirds in which its
    Gaussian lies, the target's labels those of the expert. A mean over actions.

    Args:
        policy: The source's.
        untrained: What it is held against.
        states: Shape (M, D).
        actions: The expert's, shape (M, A).
    Raises:
        ScoreError: If the expert's actions are in the same third always.
    """
    states, actions = thinned(states, _MOST), thinned(actions, _MOST)
    labels = np.digitize(actions, _THIRDS)
    used = [a for a in range(labels.shape[1]) if len(np.unique(labels[:, a])) > 1]
    if not used:
        raise ScoreError("the expert's actions are in the same third always")
    one, other = (
        np.mean([leep(_thirds(p, states, a), labels[:, a]) for a in used])
        for p in (policy, untrained)
    )
    return float(one - other)


def _thirds(policy: GaussianPolicy, states: np.ndarray, action: int) -> np.ndarray:
    """How probable each third is for one action, (M, 3)."""
    mean = mean_actions(policy, states)[:, action]
    std = float(policy.log_std.detach().exp()[action])
    below = ndtr((np.array(_THIRDS) - mean[:, None]) / std)  # (M, 2)
    return np.stack([below[:, 0], below[:, 1] - below[:, 0], 1.0 - below[:, 1]], axis=1)
