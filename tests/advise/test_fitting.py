"""Fitting: by hand, and what it does not believe."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from transfers import FINE, examples

from metarl.advise.fitting import PENALTIES, PRIOR, fit_model
from metarl.advise.prediction import Arm
from metarl.errors import ConfigError


def test_it_finds_what_the_gain_depends_on():
    model = fit_model(examples(), made={"command": "here"})
    fit = model.fits[0]
    assert set(fit.coefficients) == {"zero_update", "greedy"}  # what never varies says nothing
    assert fit.coefficients["zero_update"] / model.scale["zero_update"] == pytest.approx(
        0.5, abs=0.06
    )
    assert abs(fit.coefficients["greedy"]) < 0.03
    assert len(fit.errors) == 30
    assert model.made == {"command": "here", "transfers": 30, "targets": 6}
    assert "30 measured transfers between 6 targets" in model.about


def test_a_signal_never_counts_against_what_it_should():
    fit = fit_model(examples(slope=-0.5)).fits[0]
    assert fit.coefficients["zero_update"] == 0.0
    assert fit.intercept == pytest.approx(0.1, abs=0.15)


def slow_weights(x, y, penalty):
    """The best of all subsets of signals whose weights are not negative."""
    best = None
    x, y = x - x.mean(axis=0), y - y.mean()
    for size in range(x.shape[1] + 1):
        for some in itertools.combinations(range(x.shape[1]), size):
            weights, own = np.zeros(x.shape[1]), x[:, some]
            weights[list(some)] = np.linalg.solve(
                own.T @ own + penalty * np.eye(size), own.T @ y
            ) if size else []  # fmt: skip
            loss = np.sum((y - x @ weights) ** 2) + penalty * weights @ weights
            if (weights >= 0).all() and (best is None or loss < best[0]):
                best = loss, weights
    return best[1]


def slow(x, y, penalty):
    weights = slow_weights(x, y, penalty)
    score = x @ weights + y.mean() - x.mean(axis=0) @ weights
    design = np.column_stack([score, np.ones(len(y))])
    towards = PRIOR * np.diag([np.mean(score**2), 1.0])
    slope, level = np.linalg.solve(
        design.T @ design + towards, design.T @ y + towards @ np.array([1.0, 0.0])
    )
    return slope * weights, slope * (y.mean() - x.mean(axis=0) @ weights) + level


def test_it_is_ridge_regression_with_signs_and_leaves_targets_out():
    given = examples(n_targets=3)
    model = fit_model(given)
    fit = model.fits[0]
    names = list(fit.coefficients)
    x = np.array(
        [[(e.signals[n] - model.centre[n]) / model.scale[n] for n in names] for e in given]
    )
    y, targets = np.array([e.gain for e in given]), np.array([e.target for e in given])
    weights, intercept = slow(x, y, fit.penalty)
    assert list(fit.coefficients.values()) == pytest.approx(weights.tolist())
    assert fit.intercept == pytest.approx(intercept)
    losses, left = {}, {}
    for penalty in PENALTIES:
        errors = []
        for target in ("t0", "t1", "t2"):
            out = targets == target
            w, b = slow(x[~out], y[~out], penalty)
            errors += (y[out] - x[out] @ w - b).tolist()
        losses[penalty], left[penalty] = np.sum(np.square(errors)), sorted(errors)
    assert fit.penalty == min(losses, key=losses.get)
    assert fit.errors == pytest.approx(left[fit.penalty])


def test_an_arm_of_which_little_was_measured_leans_on_the_others():
    rare = Arm("small-rate", "fresh")
    few = [dataclasses.replace(e, arm=rare, gain=0.0) for e in examples(noise=0.0)[::5]]
    model = fit_model([*examples(noise=0.0), *few])
    own, whole = (
        next(f for f in model.fits if f.strategy == name) for name in ("small-rate", "fine-tune")
    )
    assert 0.0 < own.coefficients["zero_update"] < whole.coefficients["zero_update"]


def test_strategies_with_a_new_head_have_a_score_of_their_own():
    new_head = examples(arm=Arm("new-head", "fresh"), slope=0.0, seed=1)
    model = fit_model([*examples(), *new_head])
    kept, drawn = model.fits
    assert kept.coefficients["zero_update"] > 0.2
    assert abs(drawn.coefficients["zero_update"]) < 0.02


def test_no_signal_is_the_mean_of_each_arm():
    fit = fit_model(examples(), names=[]).fits[0]
    assert fit.coefficients == {}
    assert fit.intercept == pytest.approx(np.mean([e.gain for e in examples()]), abs=0.02)


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
    assert FINE in fit_model(examples(n_targets=3)).arms
