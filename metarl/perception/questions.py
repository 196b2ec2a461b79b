"""What pictures are asked: which class is it, or which numbers? Either on the same trunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metarl.errors import CheckpointError, ConfigError

BINS = 10  # of confidence, where calibration is judged


@dataclass(frozen=True)
class Classes:
    """Which of some classes is it?

    Attributes:
        names: Of the classes, in the order of the head's outputs.
    """

    names: tuple[str, ...]

    @property
    def width(self) -> int:
        """Of the head."""
        return len(self.names)

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy, a scalar; outputs (n, classes), target (n,) int64."""
        return nn.functional.cross_entropy(outputs, target)

    def error(self, outputs: Tensor, target: Tensor) -> float:
        """What decides when to end: the cross-entropy, which the last mistakes still move."""
        return float(self.loss(outputs, target))

    def wanted(self, target: Tensor) -> None:
        """No numbers: the target names classes."""

    def wrong(self, outputs: Tensor, target: Tensor) -> np.ndarray:
        """How wrong each answer is, for the worst first: 1 - p(truth), shape (n,)."""
        return 1.0 - outputs.softmax(-1).gather(1, target[:, None])[:, 0].numpy()

    def judge(self, outputs: Tensor, target: Tensor) -> dict[str, float]:
        """Measure answers.

        Args:
            outputs: Calibrated logits, shape (n, classes).
            target: Shape (n,), int64.
        Returns:
            ``accuracy``; ``error``, the share that is wrong; ``nll``, and ``calibration-error``: how
            far confidence lies from accuracy on average (Guo et al. 2017, arXiv:1706.04599).
        """
        confidence, answer = outputs.softmax(-1).max(-1)
        right = (answer == target).double()
        bins = (confidence.double() * BINS).long().clamp(0, BINS - 1)
        gaps = [
            float((confidence[bins == b].double() - right[bins == b]).sum().abs())
            for b in range(BINS)
        ]
        accuracy = float(right.mean())
        return {
            "accuracy": accuracy,
            "error": 1.0 - accuracy,
            "nll": float(self.loss(outputs, target)),
            "calibration-error": sum(gaps) / len(target),
        }

    def truth(self, target: Tensor) -> str:
        """One picture's target, as the name of a class."""
        return self.names[int(target)]

    def constant(self, train: Tensor, target: Tensor) -> float:
        """The error of always answering the training pictures' most frequent class."""
        most = torch.bincount(train, minlength=self.width).argmax()
        return float((target != most).double().mean())


@dataclass(frozen=True)
class Numbers:
    """Which numbers belong to it?

    The head answers in units of the training pictures' spread.

    Attributes:
        names: Of the numbers, in the order of the head's outputs.
        mean: Of each on the training pictures.
        std: Likewise, > 0.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def width(self) -> int:
        """Of the head."""
        return len(self.names)

    def scaled(self, target: Tensor) -> Tensor:
        """Bring numbers, (n, k), to the head's units."""
        mean, std = (torch.tensor(x, device=target.device) for x in (self.mean, self.std))
        return (target - mean) / std

    def wanted(self, target: Tensor) -> Tensor:
        """What the head should give, (n, k)."""
        return self.scaled(target)

    def answers(self, outputs: Tensor) -> Tensor:
        """Bring the head's outputs, (n, k), to the numbers' own units."""
        mean, std = (torch.tensor(x, device=outputs.device) for x in (self.mean, self.std))
        return outputs * std + mean

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Squared error in the head's units, a scalar; both (n, k)."""
        return nn.functional.mse_loss(outputs, self.scaled(target))

    def error(self, outputs: Tensor, target: Tensor) -> float:
        """What decides when to end: the mean absolute error in the head's units."""
        return float((outputs - self.scaled(target)).abs().mean())

    def wrong(self, outputs: Tensor, target: Tensor) -> np.ndarray:
        """How wrong each answer is, for the worst first, in the head's units; shape (n,)."""
        return (outputs - self.scaled(target)).abs().mean(-1).numpy()

    def judge(self, outputs: Tensor, target: Tensor) -> dict[str, float]:
        """Measure answers.

        Args:
            outputs: Of the head, shape (n, k).
            target: Shape (n, k).
        Returns:
            ``mae NAME`` of each number in its own units, and ``error``: their mean, each over the
            training pictures' spread where there are several.
        """
        away = (self.answers(outputs) - target).abs().mean(0)
        each = {f"mae {name}": float(a) for name, a in zip(self.names, away)}
        error = float(away[0]) if self.width == 1 else self.error(outputs, target)
        return {"error": error, **each}

    def truth(self, target: Tensor) -> list[float]:
        """One picture's target, a number a name."""
        return target.tolist()

    def constant(self, train: Tensor, target: Tensor) -> float:
        """The error of always answering the training pictures' median."""
        away = (target - train.median(0).values).abs()
        return float(away.mean() if self.width == 1 else (away / torch.tensor(self.std)).mean())


Question = Classes | Numbers


def numbers_of(names: Sequence[str], target: np.ndarray) -> Numbers:
    """Make the question after some numbers, from what the training pictures have.

    Args:
        names: Of the numbers.
        target: Shape (n, k), finite.
    Raises:
        ConfigError: If one of them is the same on every picture.
    """
    mean, std = target.astype(np.float64).mean(0), target.astype(np.float64).std(0)
    for name, spread in zip(names, std):
        if not spread > 0.0:
            raise ConfigError(f"{name} is the same on every picture; there is nothing to learn")
    return Numbers(tuple(names), tuple(mean.tolist()), tuple(std.tolist()))


def describe_question(question: Question) -> dict[str, Any]:
    """Write a question as JSON values."""
    kind = "classes" if isinstance(question, Classes) else "numbers"
    return {"kind": kind, **asdict(question)}


def read_question(saved: Any, where: object) -> Question:
    """Read a question that `describe_question` wrote.

    Args:
        saved: JSON values that may be anything.
        where: The file, for the message.
    Raises:
        CheckpointError: If it is none.
    """
    try:
        if not isinstance(saved, Mapping):
            raise TypeError
        names = tuple(saved["names"])
        if not names or not all(isinstance(name, str) for name in names):
            raise TypeError
        if saved["kind"] == "classes":
            return Classes(names)
        mean, std = (tuple(map(float, saved[key])) for key in ("mean", "std"))
        if saved["kind"] != "numbers" or {len(mean), len(std)} != {len(names)} or min(std) <= 0.0:
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{where} holds no question to pictures; it is no run of perceive"
        ) from error
    return Numbers(names, mean, std)
