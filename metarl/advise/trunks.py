"""Which trunk will serve? Said from the labelled pictures at hand, before anything is trained."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from metarl.advise.scores import logme
from metarl.ambient import steady
from metarl.perception.backbones import build_backbone, trained_backbone
from metarl.perception.data import Data
from metarl.perception.fitting import look
from metarl.perception.questions import Classes, Question
from metarl.streams import derive_seed

SERVES, NO_BETTER = "serves", "no better than untrained"


@dataclass(frozen=True)
class TrunkScore:
    """What a trunk's features say of a target.

    Attributes:
        backbone: Its name.
        trunk: Where its weights are from.
        score: LogME of its features [nat a picture and output]; higher is better. Scores are of the
            same pictures and target, or cannot be compared.
        untrained: LogME of the same network's features with weights that are drawn.
        seconds: What it took [s].
    """

    backbone: str
    trunk: str
    score: float
    untrained: float
    seconds: float

    @property
    def gain(self) -> float:
        """How much more its features say than those of the same network untrained [nat]."""
        return self.score - self.untrained

    @property
    def verdict(self) -> str:
        """`NO_BETTER` where what it was trained on tells nothing more of the target, else `SERVES`."""
        return SERVES if self.gain > 0.0 else NO_BETTER


@steady()
def score_trunk(
    data: Data, backbone: str, *, weights: Path | str | None = None, seed: int = 0
) -> TrunkScore:
    """Score a trunk on the pictures to learn from; nothing is trained, no test picture is looked at.

    Args:
        data: The pictures.
        backbone: One of `metarl.perception.backbones.BACKBONES`, or a model of timm.
        weights: A file of the trunk's; None: what the backbone brings.
        seed: Draws the untrained network, and what the weights lack.
    Returns:
        The score.
    Raises:
        UnknownNameError: If there is no such backbone; the message lists valid names.
        MissingDependencyError: If it needs what is not installed; the message says how to.
        CheckpointError: If the file cannot be read, or nothing in it fits.
        ScoreError: If there are fewer than two pictures.
    """
    begun = time.monotonic()
    first, second = (
        torch.Generator().manual_seed(derive_seed(seed, f"perceive/advise/{what}"))
        for what in ("trained", "untrained")
    )
    network, origin = trained_backbone(backbone, 1, first, weights=weights)
    pixels, target = data.pixels(data.train), data.target(data.train)
    own, drawn = (
        feature_score(_features(trunk, pixels), data.question, target)
        for trunk in (network.trunk, build_backbone(backbone, 1, second).trunk)
    )
    return TrunkScore(backbone, origin.said(), own, drawn, time.monotonic() - begun)


def ranked(scores: Sequence[TrunkScore]) -> list[TrunkScore]:
    """Sort trunks by what they are expected to be worth, the best first."""
    return sorted(scores, key=lambda one: -one.score)


def feature_score(features: np.ndarray, question: Question, target: Tensor) -> float:
    """Compute LogME of features, as a head that is solved takes them: centred, and of one spread.

    Args:
        features: Shape (n, F); those that are the same on every picture are left out.
        question: What the target is.
        target: Shape (n,) int64 for classes, (n, k) float32 for numbers.
    Returns:
        The mean over outputs, each centred and of variance 1 [nat a picture]; of classes an output
        each, one against the others.
    Raises:
        ScoreError: If there are fewer than two pictures.
    Source: You et al. 2021, arXiv:2102.11005.
    Deviation: Features and targets are centred and scaled; the paper takes them as they are. So it named
        the best trunk more often in a trial on seeds that no benchmark has.
    """
    if isinstance(question, Classes):
        wanted = np.eye(question.width)[target.numpy()]
    else:
        wanted = question.scaled(target).double().numpy()
    return logme(_standard(features), _standard(wanted), regression=True)


def _standard(columns: np.ndarray) -> np.ndarray:
    """Bring columns to mean 0 and variance 1, without those that do not vary; one of zeros if none does."""
    columns = columns.astype(np.float64)
    spread = columns.std(axis=0)
    varies = spread > 1e-6 * np.maximum(np.abs(columns).max(axis=0), 1e-6)
    if not varies.any():
        return np.zeros((len(columns), 1))
    return (columns[:, varies] - columns[:, varies].mean(axis=0)) / spread[varies]


def _features(trunk: nn.Module, pixels: Tensor) -> np.ndarray:
    return look(trunk, pixels).double().numpy()
