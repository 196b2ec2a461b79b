"""Which trunk will serve? Said from the labelled pictures at hand, before anything is trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from metarl.adapt.statistics import Interval, t_interval
from metarl.advise.scores import logme
from metarl.ambient import steady
from metarl.errors import ScoreError
from metarl.perception.backbones import build_backbone, trained_backbone
from metarl.perception.data import Data
from metarl.perception.fitting import look
from metarl.perception.given import SMALL_CNN
from metarl.perception.heads import left_out_answers, spreads
from metarl.perception.questions import Classes, Question
from metarl.perception.solving import FOLDS, PENALTIES, parts_of
from metarl.streams import derive_seed

SERVES, NO_BETTER, MISLEADS = "serves", "no better than untrained", "worse than untrained"


@dataclass(frozen=True)
class TrunkScore:
    """What a trunk's features say of a target.

    Attributes:
        backbone: Its name.
        trunk: Where its weights are from.
        score: LogME of its features [nat a picture and output]; higher is better. Scores are of the
            same pictures and target, or cannot be compared.
        untrained: LogME of the same network's features with weights that are drawn.
        error: Of pictures that are left out in turn, answered by a head that is solved on the others:
            of numbers the mean absolute error, in spreads; of classes the share that is wrong.
        untrained_error: The same on features that nobody trained: of the same network, or of the small
            CNN, whichever errs less.
        harm: 95% interval of how much more it errs than those, pictures compared one by one.
        seconds: What it took [s].
    """

    backbone: str
    trunk: str
    score: float
    untrained: float
    error: float
    untrained_error: float
    harm: Interval
    seconds: float

    @property
    def gain(self) -> float:
        """How much more its features say than those of the same network untrained [nat]."""
        return self.score - self.untrained

    @property
    def verdict(self) -> str:
        """`SERVES` where it surely errs less than untrained features do, `MISLEADS` where it surely
        errs more, else `NO_BETTER`."""
        if self.harm.high < 0.0:
            return SERVES
        return MISLEADS if self.harm.low > 0.0 else NO_BETTER


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
        _features(trunk, pixels)
        for trunk in (network.trunk, build_backbone(backbone, 1, second).trunk)
    )
    untrained = [drawn]
    if backbone != SMALL_CNN:
        untrained.append(_features(build_backbone(SMALL_CNN, 1, second).trunk, pixels))
    wrong = left_out_errors(own, data.question, target)
    floor = min((left_out_errors(each, data.question, target) for each in untrained), key=np.mean)
    return TrunkScore(
        backbone, origin.said(),
        feature_score(own, data.question, target), feature_score(drawn, data.question, target),
        float(wrong.mean()), float(floor.mean()), t_interval(wrong - floor),
        time.monotonic() - begun,
    )  # fmt: skip


def ranked(scores: Sequence[TrunkScore]) -> list[TrunkScore]:
    """Sort trunks by what they are expected to be worth, the best first."""
    return sorted(scores, key=lambda one: -one.score)


def left_out_errors(features: np.ndarray, question: Question, target: Tensor) -> np.ndarray:
    """Answer pictures that are left out in turn, by ridge regression on the others' features.

    Args:
        features: Shape (n, F).
        question: What the target is.
        target: Shape (n,) int64 for classes, (n, k) float32 for numbers.
    Returns:
        How wrong each answer is, with the penalty that does best: of numbers the mean absolute error, in
        spreads; of classes 0 or 1; shape (n,), without those that are alone in their class.
    Raises:
        ScoreError: If there are fewer than two pictures, or no class has two.
    """
    n = len(features)
    if n < 2:
        raise ScoreError(f"{n} pictures are too few to leave one out")
    if isinstance(question, Classes):
        label = target.numpy()
        wanted, parts = np.eye(question.width)[label], parts_of(label)
    else:
        wanted, parts = question.scaled(target).double().numpy(), np.arange(n) % min(FOLDS, n)
    seen = parts >= 0
    if not seen.any():
        raise ScoreError("there is one picture of each class; two of some class are needed")
    answers = left_out_answers(features, wanted, parts, PENALTIES)[:, seen]
    if isinstance(question, Classes):
        wrong = (answers.argmax(-1) != label[seen]).astype(float)
    else:
        wrong = np.abs(answers - wanted[seen]).mean(-1)
    return wrong[wrong.mean(1).argmin()]


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
    return logme(_standard(features, spreads), _standard(wanted, np.std), regression=True)


def _standard(columns: np.ndarray, spread_of: Callable[..., np.ndarray]) -> np.ndarray:
    """Bring columns to mean 0 and one spread, without those that do not vary; one of zeros if none does."""
    columns = columns.astype(np.float64)
    spread = spread_of(columns, axis=0)
    varies = columns.std(axis=0) > 1e-6 * np.maximum(np.abs(columns).max(axis=0), 1e-6)
    if not varies.any():
        return np.zeros((len(columns), 1))
    return (columns[:, varies] - columns[:, varies].mean(axis=0)) / spread[varies]


def _features(trunk: nn.Module, pixels: Tensor) -> np.ndarray:
    return look(trunk, pixels).double().numpy()
