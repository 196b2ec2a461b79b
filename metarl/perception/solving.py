"""The best head of a trunk that stands, solved in place of descended."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metarl.errors import ConfigError, TrainingError
from metarl.perception.fitting import Asked
from metarl.perception.heads import Head, Scale, left_out_answers, logistic_head, ridge_heads

FOLDS = 5
PENALTIES = 10.0 ** np.arange(-5.0, 1.01, 0.5)  # of numbers, per picture's worth of features
WEIGHTS = 10.0 ** np.arange(-2.0, 3.01, 1.0)  # of classes: C, against the squared weights
USUAL_WEIGHT = 10.0  # where there is a single picture of each class, so that none can be left out


class Solving:
    """A head that is solved, with the penalty that does best on pictures left out in turn.

    Features are brought to one spread, and what stands in the head in the end takes them as they are.
    Numbers are solved by ridge regression, each with a penalty of its own, classes by logistic
    regression. The penalty is chosen by five parts, each answered by the other four; these answers
    also calibrate, so that no picture has to be held back. Each part has its share of every class; the
    only picture of a class is never left out.

    Args:
        head: Is filled; it takes features (n, F).
        features: Of the pictures to learn from, (n, F), in a random order.
        target: What belongs to them, (n, ...).
        asked: What is asked.
    Attributes:
        epochs: 1 once it is solved.
        best: The same.
        error: Of the answers to pictures left out.
    Raises:
        ConfigError: If there is a single picture.
    Source: Kornblith et al. 2019, arXiv:1805.08974, section 3 (penalty chosen on pictures left out).
    """

    def __init__(self, head: nn.Linear, features: Tensor, target: Tensor, *, asked: Asked):
        if len(features) < 2:
            raise ConfigError(f"{len(features)} pictures are too few to choose a penalty by")
        self.head, self.target, self.asked = head, target, asked
        self.features = features.double().cpu().numpy()
        self.epochs, self.best, self.error = 0, 0, float("inf")
        self._outputs, self._left_out = torch.zeros(0), torch.zeros(0, dtype=torch.bool)

    def epoch(self) -> dict[str, float] | None:
        """Solve it; None if that is done.

        Raises:
            TrainingError: If features are not finite.
        """
        if self.epochs:
            return None
        if not np.isfinite(self.features).all():
            raise TrainingError("features are not finite; the trunk cannot see these pictures")
        wanted = self.asked.wanted(self.target)
        if wanted is None:
            label = self.target.cpu().numpy()
            parts = parts_of(label)
            (weight, bias), outputs = self._classes(label, parts)
        else:
            parts = np.arange(len(self.features)) % min(FOLDS, len(self.features))
            (weight, bias), outputs = self._numbers(wanted.double().cpu().numpy(), parts)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(weight))
            self.head.bias.copy_(torch.from_numpy(bias))
        self._outputs = torch.from_numpy(outputs).float()
        self._left_out = torch.from_numpy(parts >= 0)
        self.epochs = self.best = 1
        if bool(self._left_out.any()):
            self.error = self.asked.error(*self.unseen())
        device = self.head.weight.device
        with torch.no_grad():
            own = self.head(torch.from_numpy(self.features).float().to(device)).cpu()
        row = {"loss": float(self.asked.loss(own, self.target))}
        known = {"held-back error": self.error, "best": self.error}
        return row | (known if np.isfinite(self.error) else {})

    def keep_best(self) -> None:
        """It is the best there is."""

    def unseen(self) -> tuple[Tensor, Tensor]:
        """Answers to pictures that were left out, (n, out), and what belongs to them."""
        return self._outputs[self._left_out], self.target[self._left_out.to(self.target.device)]

    def state(self) -> dict[str, Any]:
        """Everything that going on takes."""
        return {
            "head": dict(self.head.state_dict()), "outputs": self._outputs,
            "left_out": self._left_out,
            "counts": [self.epochs, self.best, self.error],
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: If it is of another head.
        """
        self.head.load_state_dict(state["head"])
        self._outputs, self._left_out = state["outputs"], state["left_out"]
        self.epochs, self.best, self.error = state["counts"]

    # Which head -------------------------------------------------------------------------

    def _numbers(self, wanted: np.ndarray, parts: np.ndarray) -> tuple[Head, np.ndarray]:
        answers = left_out_answers(self.features, wanted, parts, PENALTIES)
        best = np.abs(answers - wanted).mean(1).argmin(0)  # of each number
        scale = Scale(self.features)
        heads = ridge_heads(scale(self.features), wanted, PENALTIES * len(wanted))
        weight = np.stack([heads[i][0][column] for column, i in enumerate(best)])
        bias = np.stack([heads[i][1][column] for column, i in enumerate(best)])
        outputs = np.stack([answers[i, :, column] for column, i in enumerate(best)], 1)
        return scale.undo((weight, bias)), outputs

    def _classes(self, label: np.ndarray, parts: np.ndarray) -> tuple[Head, np.ndarray]:
        ways = self.head.out_features
        logits = np.zeros((len(WEIGHTS), len(label), ways))
        for part in range(parts.max() + 1):
            out, found = parts == part, None
            scale = Scale(self.features[~out])
            here = scale(self.features[~out])
            for i, c in enumerate(WEIGHTS):
                found = logistic_head(here, label[~out], ways, float(c), start=found)
                logits[i, out] = scale(self.features[out]) @ found[0].T + found[1]
        weight, best = USUAL_WEIGHT, 0
        if parts.max() >= 0:
            seen = torch.from_numpy(parts >= 0)
            truth = self.target.cpu()[seen]
            errors = [self.asked.error(torch.from_numpy(each)[seen], truth) for each in logits]
            best = int(np.argmin(errors))
            weight = float(WEIGHTS[best])
        scale = Scale(self.features)
        return scale.undo(logistic_head(scale(self.features), label, ways, weight)), logits[best]


def parts_of(label: np.ndarray) -> np.ndarray:
    """Say which part each picture is left out with, (n,): 0, 1, ... within its class; -1: with none."""
    parts = np.full(len(label), -1)
    for name in np.unique(label):
        mine = np.flatnonzero(label == name)
        if len(mine) > 1:
            parts[mine] = np.arange(len(mine)) % FOLDS
    return parts
