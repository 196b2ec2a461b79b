"""LogME against the density that it is the maximum of, and against the paper's iteration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from metarl.advise.scores import logme
from metarl.errors import ScoreError, ShapeError


def by_density(x, y):
    """The best log density of y ~ N(0, x x' / alpha + 1 / beta), by brute force."""
    n = len(y)

    def loss(logs):
        cov = x @ x.T * math.exp(-logs[0]) + np.eye(n) * math.exp(-logs[1])
        return -multivariate_normal(np.zeros(n), cov).logpdf(y) / n

    starts = [(a, b) for a in (-3.0, 0.0, 3.0) for b in (-2.0, 0.0, 2.0)]
    found = [
        minimize(loss, s, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-11})
        for s in starts
    ]
    return -min(f.fun for f in found)


def by_fixed_point(x, y):
    """Algorithm 1 of the paper, with plain matrices."""
    (n, d), alpha, beta = x.shape, 1.0, 1.0
    for _ in range(500):
        a = alpha * np.eye(d) + beta * x.T @ x
        m = beta * np.linalg.solve(a, x.T @ y)
        eigen = beta * np.linalg.eigvalsh(x.T @ x)
        gamma = (eigen / (alpha + eigen)).sum()
        alpha, beta = gamma / (m @ m), (n - gamma) / ((x @ m - y) ** 2).sum()
    a = alpha * np.eye(d) + beta * x.T @ x
    m = beta * np.linalg.solve(a, x.T @ y)
    energy = beta / 2 * ((x @ m - y) ** 2).sum() + alpha / 2 * m @ m
    return (
        n / 2 * math.log(beta) + d / 2 * math.log(alpha) - n / 2 * math.log(2 * math.pi)
        - energy - np.linalg.slogdet(a)[1] / 2
    ) / n  # fmt: skip


@pytest.mark.parametrize(("n", "d", "noise"), [(12, 3, 0.5), (12, 3, 3.0), (5, 8, 0.5)])
def test_it_is_the_best_density(n, d, noise):
    rng = np.random.default_rng(n + d)
    x = rng.normal(size=(n, d))
    y = x @ rng.normal(size=d) + noise * rng.normal(size=n)
    assert logme(x, y, regression=True) == pytest.approx(by_density(x, y), abs=1e-5)


def test_it_is_where_the_papers_iteration_ends():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 6))
    y = x @ rng.normal(size=6) + rng.normal(size=80)
    assert logme(x, y, regression=True) == pytest.approx(by_fixed_point(x, y), abs=1e-8)
    labels = (y > 0).astype(int)
    columns = [by_fixed_point(x, (labels == c).astype(float)) for c in (0, 1)]
    assert logme(x, labels) == pytest.approx(np.mean(columns), abs=1e-6)


def test_a_case_done_by_hand():
    """One feature (1, 1, 1, 1), target (1, 2, 3, 4): with r = alpha / beta,
    the target's coordinate along the feature is 5 and 5 lies outside, so that
    unexplained(r) = 25 r / (r + 4) + 5 and evidence = (4 log(4 / unexplained) - 4 log 2 pi - 4
    - log(1 + 4 / r)) / 8; its derivative, times r (r + 4) (3 r + 2), is 8 - 28 r."""
    r = 2 / 7
    unexplained = 25 * r / (r + 4) + 5
    by_hand = (
        4 * math.log(4 / unexplained) - 4 * math.log(2 * math.pi) - 4 - math.log(1 + 4 / r)
    ) / 8
    assert logme(np.ones((4, 1)), [1, 2, 3, 4], regression=True) == pytest.approx(by_hand, abs=1e-9)


def test_features_that_say_nothing_leave_the_density_of_noise():
    y = np.array([1.0, -2.0, 0.5, 3.0])
    noise = -0.5 * (math.log(2 * math.pi * (y**2).mean()) + 1)
    assert logme(np.zeros((4, 2)), y, regression=True) == pytest.approx(noise)


def test_targets_scaled_shift_it_by_the_logarithm_and_outputs_are_averaged():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    once = logme(x, y, regression=True)
    assert logme(x, 10 * y, regression=True) == pytest.approx(once - math.log(10))
    apart = [logme(x, y[:, c], regression=True) for c in (0, 1)]
    assert once == pytest.approx(np.mean(apart))


def test_an_exact_fit_is_finite_and_above_all():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 3))
    exact = x @ [1.0, -2.0, 0.5]
    scores = [logme(x, exact + s * rng.normal(size=40), regression=True) for s in (0, 1e-3, 1.0)]
    assert np.isfinite(scores).all()
    assert scores[0] > scores[1] > scores[2]


def test_an_output_without_a_value_is_refused():
    with pytest.raises(ScoreError, match="output 1 is 0"):
        logme(np.ones((3, 1)), [[1, 0], [2, 0], [3, 0]], regression=True)
    with pytest.raises(ShapeError, match=r"a row for each sample"):
        logme(np.ones((3, 1)), np.zeros((2, 2)), regression=True)
