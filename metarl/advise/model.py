"""A small model of what transfers: ridge regression on standardised signals, one for each arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
PENALTIES = tuple(float(x) for x in np.geomspace(1.0, 1000.0, 7))
LEAST_TARGETS = 3  # below it, leaving one out leaves nothing to choose by


@dataclass(frozen=True)
class Example:
    """A transfer that was measured.

    Args:
        source: The source.
        target: The target.
        arm: How it was started.
        signals: What was known beforehand.
        gain: What was measured, in [-1, 1].
    """

    source: str
    target: str
    arm: Arm
    signals: Mapping[str, float]
    gain: float


@dataclass(frozen=True)
class Fit:
    """What was fitted of one arm.

    Args:
        strategy: The arm's.
        exploration: The arm's.
        intercept: Gain where every signal has its mean.
        coefficients: Gain for one standard deviation of each signal.
        penalty: Of the squared coefficients.
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
        made: The command that fitted it, the date, and on how many transfers.
    """

    centre: Mapping[str, float]
    scale: Mapping[str, float]
    fits: tuple[Fit, ...]
    made: Mapping[str, Any]

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What it can predict."""
        return tuple(Arm(fit.strategy, fit.exploration) for fit in self.fits)

    @property
    def about(self) -> str:
        """How its predictions come about, in one line."""
        return (
            f"ridge regression on {self.made['transfers']} measured transfers between"
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


def load_model(path: Path = SHIPPED) -> Model | None:
    """Read a model, by default the shipped one; None if there is none.

    Raises:
        CheckpointError: If the file holds something else.
    """
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
    if not all(value > 0 for value in model.scale.values()):
        raise ValueError("a signal's scale is not above 0")
    _ = model.about


def fit_model(
    examples: Sequence[Example],
    names: Sequence[str] | None = None,
    made: Mapping[str, Any] | None = None,
) -> Model:
    """Fit each arm's gains to signals.

    Signals are standardised over all examples, and those that an example lacks count as average.
    Each arm's penalty is the one of `PENALTIES` with the smallest squared error on targets left out.

    Args:
        examples: Measured transfers.
        names: Which signals; None: all of which there are two values.
        made: The command and the date, kept with the model.
    Raises:
        ConfigError: If no arm has examples of at least `LEAST_TARGETS` targets.
    Source: Hoerl and Kennard 1970, "Ridge regression".
    """
    centre, scale = _standards(examples, SIGNALS if names is None else names)
    fits = []
    for arm in dict.fromkeys(example.arm for example in examples):
        mine = [example for example in examples if example.arm == arm]
        if len({example.target for example in mine}) >= LEAST_TARGETS:
            fits.append(_fit(arm, mine, centre, scale))
    if not fits:
        raise ConfigError(
            f"{len(examples)} transfers to {len({e.target for e in examples})} targets; a model"
            f" needs at least {LEAST_TARGETS} targets of one strategy"
        )
    about = {
        **(made or {}),
        "transfers": len(examples),
        "targets": len({example.target for example in examples}),
    }
    return Model(centre, scale, tuple(fits), about)


def _standards(
    examples: Sequence[Example], names: Sequence[str] | Mapping[str, Any]
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation of each signal that varies, once a pair of source and target."""
    pairs = {(e.source, e.target): e.signals for e in examples}
    centre, scale = {}, {}
    for name in names:
        values = np.array([s[name] for s in pairs.values() if name in s])
        if len(values) and values.std() > 1e-9 * max(1.0, float(np.abs(values).max())):
            centre[name], scale[name] = float(values.mean()), float(values.std())
    return centre, scale


def _fit(
    arm: Arm, examples: Sequence[Example], centre: Mapping[str, float], scale: Mapping[str, float]
) -> Fit:
    x = np.array(
        [[(e.signals.get(n, centre[n]) - centre[n]) / scale[n] for n in centre] for e in examples]
    ).reshape(len(examples), len(centre))
    y = np.array([e.gain for e in examples])
    targets = np.array([e.target for e in examples])
    tried = {penalty: _left_out(x, y, targets, penalty) for penalty in PENALTIES}
    penalty = min(tried, key=lambda p: float((tried[p] ** 2).sum()))
    intercept, weights = _ridge(x, y, penalty)
    return Fit(
        *arm, intercept, dict(zip(centre, weights.tolist())), penalty,
        tuple(sorted(tried[penalty].tolist())),
    )  # fmt: skip


def _left_out(x: np.ndarray, y: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """Measured minus predicted, each target predicted from all others."""
    errors = np.empty(len(y))
    for target in np.unique(targets):
        out = targets == target
        intercept, weights = _ridge(x[~out], y[~out], penalty)
        errors[out] = y[out] - intercept - x[out] @ weights
    return errors


def _ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
    """Least squares with a penalty on the weights, not on the intercept."""
    middle, level = x.mean(axis=0), float(y.mean())
    own = x - middle
    weights = np.linalg.solve(own.T @ own + penalty * np.eye(x.shape[1]), own.T @ (y - level))
    return level - float(middle @ weights), weights
