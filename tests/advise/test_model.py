"""The model and the rule: by hand, and what they do not know."""

from __future__ import annotations

import json

import numpy as np
import pytest
from transfers import FINE, examples

from metarl.advise.fitting import fit_model
from metarl.advise.model import load_model
from metarl.advise.prediction import Arm
from metarl.advise.rule import TRUNK, WHOLE, Rule
from metarl.errors import CheckpointError, ConfigError


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
