"""How sure an answer is, measured on pictures that no weight was fitted to."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from metarl.errors import CheckpointError
from metarl.perception.questions import Classes, Question

LEVEL = 0.9  # of the intervals of numbers


@dataclass(frozen=True)
class Calibration:
    """What turns outputs into probabilities, or answers into intervals.

    Attributes:
        temperature: Divides logits; 1 where numbers are asked.
        half_widths: Of each number's interval, in its own units: nine of ten truths lie within; None
            where too few pictures were held back to say so, or classes are asked.
    """

    temperature: float = 1.0
    half_widths: tuple[float, ...] | None = None

    def apply(self, outputs: Tensor) -> Tensor:
        """Calibrate outputs, (n, out)."""
        return outputs / self.temperature

    def judge(self, question: Question, outputs: Tensor, target: Tensor) -> dict[str, Any]:
        """Measure itself on other pictures than it was fitted to: its values, and what they hold."""
        if isinstance(question, Classes):
            return {"temperature": self.temperature}
        if self.half_widths is None:
            return {"within interval": None}
        within = (question.answers(outputs) - target).abs() <= torch.tensor(self.half_widths)
        widths = {f"interval {n}": w for n, w in zip(question.names, self.half_widths)}
        return {**widths, "within interval": float(within.double().mean())}

    def to_json(self) -> dict[str, Any]:
        """Write it as JSON values."""
        return asdict(self)


def calibrate(question: Question, outputs: Tensor, target: Tensor) -> Calibration:
    """Fit a temperature, or the width of intervals, to pictures held back.

    They also chose the epoch, so that a little is flattered; the test says how much.

    Args:
        question: What was asked.
        outputs: Of the network, shape (n, out).
        target: Shape (n,) or (n, k).
    Source: Guo et al. 2017, arXiv:1706.04599, for the temperature; for the intervals split conformal
        prediction, Lei et al. 2018, arXiv:1604.04173, algorithm 2.
    Deviation: truths count (n + 1) / (n + 2), the other classes share the rest, as Platt 1999 has it for
        two classes: where all of a few pictures are right, nothing else would stop the temperature
        from falling to 0.
    """
    if not len(target):
        return Calibration()
    if isinstance(question, Classes):
        return Calibration(temperature=_temperature(outputs.double(), target))
    away = (question.answers(outputs) - target).abs().sort(0).values
    rank = math.ceil(LEVEL * (len(away) + 1))
    if rank > len(away):
        return Calibration()
    return Calibration(half_widths=tuple(away[rank - 1].tolist()))


def read_calibration(saved: Any, question: Question, where: object) -> Calibration:
    """Read a calibration that `Calibration.to_json` wrote.

    Args:
        saved: JSON values that may be anything.
        question: What it is of.
        where: The file, for the message.
    Raises:
        CheckpointError: If it is none.
    """
    try:
        temperature, widths = float(saved["temperature"]), saved["half_widths"]
        found = None if widths is None else tuple(map(float, widths))
        if not (math.isfinite(temperature) and temperature > 0.0):
            raise ValueError
        if found is not None and (isinstance(question, Classes) or len(found) != question.width):
            raise ValueError
        if not all(math.isfinite(width) and width >= 0.0 for width in found or ()):
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where} holds no calibration; it is no run of perceive") from error
    return Calibration(temperature, found)


def _temperature(logits: Tensor, target: Tensor) -> float:
    """Minimise the cross-entropy over temperatures from 1/20 to 20: a convex search in 1/T."""
    low, high = math.log(0.05), math.log(20.0)
    doubt = 1.0 / (len(target) + 2)
    classes = logits.shape[1]
    truths = torch.full_like(logits, doubt / (classes - 1))
    truths.scatter_(1, target[:, None], 1.0 - doubt)
    golden = (math.sqrt(5.0) - 1.0) / 2.0

    def nll(log_t: float) -> float:
        return float(nn.functional.cross_entropy(logits / math.exp(log_t), truths))

    for _ in range(60):  # golden section, to 1e-12
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if nll(a) <= nll(b) else (a, high)
    return math.exp(0.5 * (low + high))
