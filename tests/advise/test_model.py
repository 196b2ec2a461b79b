"""The model and the rule: by hand, and what they do not know."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from metarl.advise.model import PENALTIES, Example, fit_model, load_model
from metarl.advise.prediction import Arm
from metarl.advise.rule import TRUNK, WHOLE, Rule
from metarl.errors import CheckpointError, ConfigError

FINE = Arm("fine-tune", "fresh")


def examples(n_targets=6, noise=0.05, seed=0):
    """Gain rises with zero_update alone."""
    rng = np.random.default_rng(seed)
    found = []
    for t in range(n_targets):
        for s in range(5):
            signals = {
                "zero_update": rng.uniform(-1, 1),
                "greedy": rng.normal(),
                "shared_actions": 1.0,
            }
            gain = 0.1 + 0.5 * signals["zero_update"] + noise * rng.normal()
            found.append(Example(f"s{s}", f"t{t}", FINE, signals, gain))
    return found


def test_it_finds_what_the_gain_depends_on():
    model = fit_model(examples(), made={"command": "here"})
    fit = model.fits[0]
    assert set(fit.coefficients) == {"zero_update", "greedy"}  # what never varies says nothing
    assert fit.coefficients["zero_update"] / model.scale["zero_update"] == pytest.approx(
        0.5, abs=0.05
    )
    assert abs(fit.coefficients["greedy"]) < 0.03
    assert len(fit.errors) == 30
    assert model.made == {"command": "here", "transfers": 30, "targets": 6}
    assert "30 measured transfers between 6 targets" in model.about


def test_it_is_ridge_regression_and_leaves_targets_out():
    given = examples(n_targets=3)
    model = fit_model(given)
    fit = model.fits[0]
    names = list(fit.coefficients)
    x = np.array(
        [[(e.signals[n] - model.centre[n]) / model.scale[n] for n in names] for e in given]
    )
    y, targets = np.array([e.gain for e in given]), np.array([e.target for e in given])

    def slow(x, y, penalty):
        padded = np.hstack([x, np.ones((len(x), 1))])
        free = np.diag([penalty] * x.shape[1] + [0.0])  # nothing pulls at the intercept
        return np.linalg.solve(padded.T @ padded + free, padded.T @ y)

    by_hand = slow(x, y, fit.penalty)
    assert [*fit.coefficients.values(), fit.intercept] == pytest.approx(by_hand.tolist())
    losses, left = {}, {}
    for penalty in PENALTIES:
        errors = []
        for target in ("t0", "t1", "t2"):
            out = targets == target
            w = slow(x[~out], y[~out], penalty)
            errors += (y[out] - x[out] @ w[:-1] - w[-1]).tolist()
        losses[penalty], left[penalty] = np.sum(np.square(errors)), sorted(errors)
    assert fit.penalty == min(losses, key=losses.get)
    assert fit.errors == pytest.approx(left[fit.penalty])


def test_a_prediction_has_reasons_an_interval_and_a_probability():
    model = fit_model(examples())
    up = model.predict(FINE, {"zero_update": 1.0, "greedy": 0.0})
    down = model.predict(FINE, {"zero_update": -1.0, "greedy": 0.0})
    assert up.low < up.gain < up.high
    assert up.gain == pytest.approx(0.6, abs=0.06)
    assert up.helps == 1.0
    assert down.helps == 0.0
    assert next(iter(up.because)) == "zero_update"
    assert sum(up.because.values()) == pytest.approx(up.gain)
    far = model.predict(FINE, {"zero_update": 40.0})
    assert (far.gain, far.high) == (1.0, 1.0)
    unknown = model.predict(FINE, {})
    assert unknown.gain == pytest.approx(model.fits[0].intercept)
    with pytest.raises(ConfigError, match="fitted were fine-tune/fresh"):
        model.predict(Arm("scratch", "fresh"), {})


def test_signals_that_an_example_lacks_count_as_average():
    given = examples()
    lacking = [
        dataclasses.replace(e, signals={k: v for k, v in e.signals.items() if k != "greedy"})
        for e in given[:3]
    ]
    fit = fit_model(lacking + given[3:]).fits[0]
    assert np.isfinite(list(fit.coefficients.values())).all()


def test_too_few_targets_are_no_model():
    with pytest.raises(ConfigError, match="10 transfers to 2 targets"):
        fit_model(examples(n_targets=2))


def test_a_model_is_kept_as_json(tmp_path):
    model = fit_model(examples())
    path = tmp_path / "model.json"
    path.write_text(json.dumps(model.to_json()))
    again = load_model(path)
    signals = {"zero_update": 0.3, "greedy": -1.0}
    assert again.predict(FINE, signals) == model.predict(FINE, signals)
    assert load_model(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("centre"),
        lambda m: m.update(fits=3),
        lambda m: m["fits"][0].pop("errors"),
        lambda m: m["fits"][0].update(errors=[]),
        lambda m: m["fits"][0].update(intercept="0.3"),
        lambda m: m["centre"].pop("greedy"),
        lambda m: m["scale"].update(greedy=0.0),
        lambda m: m["fits"][0]["coefficients"].update(greedy=None),
        lambda m: m["fits"][0]["coefficients"].update(magic=1.0),
    ],
)
def test_a_damaged_model_is_refused(tmp_path, change):
    saved = fit_model(examples()).to_json()
    change(saved)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(saved))
    with pytest.raises(CheckpointError, match="model"):
        load_model(path)


def test_the_rule_by_hand():
    signals = {"zero_update": 0.6, "greedy": 0.2, "logme_actions": 0.3, "h_score_actions": -0.1}
    signals |= {"trans_rate_actions": 9.0, "state_distance": 0.5}
    whole, trunk = Rule().predict(WHOLE, signals), Rule().predict(TRUNK, signals)
    assert whole.gain == pytest.approx(0.4)
    assert trunk.gain == pytest.approx((np.tanh(0.3) - np.tanh(0.1)) / 4)
    assert (whole.low, whole.helps) == (None, None)
    assert Rule().predict(WHOLE, {}).gain == 0.0
    assert list(whole.because) == ["zero_update", "greedy"]
