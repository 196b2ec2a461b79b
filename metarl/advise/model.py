"""A small model of what transfers, as it was fitted: a line in standardised signals for each arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metarl.advise.prediction import Arm, Prediction, largest_first
from metarl.advise.signals import SIGNALS
from metarl.errors import CheckpointError, ConfigError
from metarl.runs.config import read_json
from metarl.runs.reading import is_number

SHIPPED = Path(__file__).with_name("model.json")


@dataclass(frozen=True)
class Fit:
    """What was fitted of one arm.

    Args:
        strategy: The arm's.
        exploration: The arm's.
        intercept: Gain where every signal has its mean.
        coefficients: Gain for one standard deviation of each signal.
        penalty: Of the squared weights of the score that it shares with other arms.
        errors: Measured minus predicted gain of each example, its target left out; sorted.
    """

    strategy: str
    exploration: str
    intercept: float
    coefficients: Mapping[str, float]
    penalty: float
    errors: tuple[float, ...]


@dataclass(frozen=True)
class Model:
    """Predicts gains as it was fitted.

    Args:
        centre: Mean of each signal over the examples.
        scale: Its standard deviation.
        fits: Of each arm.
        noise: How large a gain other noise alone brought about, a mean over targets.
        made: The command that fitted it, the date, and on how many transfers.
    """

    centre: Mapping[str, float]
    scale: Mapping[str, float]
    fits: tuple[Fit, ...]
    noise: float
    made: Mapping[str, Any]

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What it can predict."""
        return tuple(Arm(fit.strategy, fit.exploration) for fit in self.fits)

    @property
    def about(self) -> str:
        """How its predictions come about, in one line."""
        return (
            f"a regression on {self.made['transfers']} measured transfers between"
            f" {self.made['targets']} targets; intervals are its errors on targets left out"
        )

    def predict(self, arm: Arm, signals: Mapping[str, float]) -> Prediction:
        """Predict one arm's gain; a signal that is not known counts as average.

        The interval is the gain plus the middle 95% of the errors on targets that were left out,
        and `helps` the share of these errors that leave it above 0.

        Raises:
            ConfigError: If the arm was never fitted.
        """
        fit = next((f for f in self.fits if (f.strategy, f.exploration) == arm), None)
        if fit is None:
            known = ", ".join("/".join(one) for one in self.arms)
            raise ConfigError(f"no model of {'/'.join(arm)}; fitted were {known}")
        parts = {
            name: weight * (signals[name] - self.centre[name]) / self.scale[name]
            for name, weight in fit.coefficients.items()
            if name in signals
        }
        gain = fit.intercept + sum(parts.values())
        around = gain + np.array(fit.errors)
        low, high = np.quantile(around, [0.025, 0.975])
        return Prediction(
            _bounded(gain), _bounded(low), _bounded(high), float((around > 0).mean()),
            largest_first({"average": fit.intercept, **parts}),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and texts."""
        return asdict(self)


def _bounded(gain: float) -> float:
    return float(np.clip(gain, -1.0, 1.0))


def load_model(path: Path | str = SHIPPED) -> Model | None:
    """Read a model, by default the shipped one; None if there is none.

    Raises:
        CheckpointError: If the file holds something else.
    """
    path = Path(path)
    if not path.exists():
        return None
    saved = read_json(path)
    try:
        fits = tuple(Fit(**{**fit, "errors": tuple(fit["errors"])}) for fit in saved.pop("fits"))
        model = Model(**saved, fits=fits)
        _require_whole(model)
    except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path} holds no model of transfer: {error}") from error
    return model


def _require_whole(model: Model) -> None:
    """Check that a model's numbers are such, and of signals that there are."""
    names = set(model.centre)
    for fit in model.fits:
        numbers = (fit.intercept, *fit.coefficients.values(), *fit.errors)
        if not set(fit.coefficients) <= names & set(model.scale) & set(SIGNALS):
            raise ValueError(f"{fit.strategy} has coefficients of other signals")
        if not fit.errors or not all(map(is_number, numbers)):
            raise ValueError(f"{fit.strategy} has no errors, or what is no number")
    if not model.fits or not all(map(is_number, (*model.centre.values(), *model.scale.values()))):
        raise ValueError("no fit, or no numbers")
    if not is_number(model.noise) or model.noise < 0:
        raise ValueError("its noise is no size")
    if not all(value > 0 for value in model.scale.values()):
        raise ValueError("a signal's scale is not above 0")
    _ = model.about
