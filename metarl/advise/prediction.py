"""What is predicted of one way of starting from one source, whoever predicts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

SURE = 0.9  # of a prediction that something helps, or harms


class Arm(NamedTuple):
    """A way of starting from a source.

    Args:
        strategy: A strategy of transfer, by name.
        exploration: ``fresh``, or ``source``: how widely it explores at first.
    """

    strategy: str
    exploration: str


@dataclass(frozen=True)
class Prediction:
    """How much better than from scratch learning will go.

    Args:
        gain: Area between the two curves of return, as a share of what can be gained, in [-1, 1];
            below 0: harm.
        low: Lower end of its 95% interval; None: nobody has measured how far it errs.
        high: Upper end.
        helps: Probability that the gain is above 0; None likewise.
        because: What the gain is the sum of, signal by signal, the largest first.
    """

    gain: float
    low: float | None
    high: float | None
    helps: float | None
    because: Mapping[str, float]


class Predictor(Protocol):
    """Predicts gains from signals."""

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What it can predict."""

    @property
    def about(self) -> str:
        """How its predictions come about, in one line."""

    @property
    def noise(self) -> float:
        """How large a gain means nothing: other noise alone brings it about."""

    def predict(self, arm: Arm, signals: Mapping[str, float]) -> Prediction:
        """Predict one arm's gain; signals that are not known play no part."""


def largest_first(parts: Mapping[str, float]) -> dict[str, float]:
    """Sort contributions by their size."""
    return dict(sorted(parts.items(), key=lambda part: -abs(part[1])))
