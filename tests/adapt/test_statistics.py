import math

import numpy as np
import pytest
from scipy import stats

from metarl.adapt.statistics import (
    Estimate,
    estimate,
    iqm,
    mean,
    mean_iqm,
    stratified_bootstrap,
    t_interval,
)
from metarl.errors import ConfigError, ShapeError


def rng(seed=0):
    return np.random.default_rng(seed)


def test_iqm_drops_the_lowest_and_highest_quarter_of_all_scores():
    scores = np.array([[100.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, -50.0]])
    assert iqm(scores) == (2.0 + 3.0 + 4.0 + 5.0) / 4  # sorted: -50 1 | 2 3 4 5 | 6 100
    assert mean(scores) == (100 + 1 + 2 + 3 + 4 + 5 + 6 - 50) / 8
    assert mean_iqm(scores) == (mean(scores), iqm(scores))


def test_successes_may_be_boolean():
    assert mean_iqm(np.array([[True, False], [True, True]])) == (0.75, 1.0)


def test_statistics_keep_leading_axes():
    tables = rng().normal(size=(5, 3, 4))
    np.testing.assert_allclose(iqm(tables), [float(iqm(table)) for table in tables])
    np.testing.assert_allclose(mean(tables), [float(mean(table)) for table in tables])


def test_one_task_agrees_with_scipy():
    scores = rng(1).normal(size=(20, 1))
    ours = stratified_bootstrap(scores, mean, rng=rng(2), num_resamples=20_000)
    theirs = stats.bootstrap(
        (scores[:, 0],), np.mean, n_resamples=20_000, method="percentile", rng=rng(3)
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_one_seed_resamples_tasks_as_scipy_does():
    scores = rng(1).normal(size=(1, 24))
    ours = stratified_bootstrap(scores, iqm, rng=rng(2), num_resamples=20_000)
    theirs = stats.bootstrap(
        (scores[0],),
        lambda x, axis: stats.trim_mean(x, 0.25, axis=axis),
        n_resamples=20_000,
        method="percentile",
        rng=rng(3),
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.03)
    assert ours.high == pytest.approx(theirs.high, abs=0.03)


def test_tasks_are_strata():
    """Tasks that differ while their seeds agree leave nothing uncertain; the transpose does."""
    scores = np.tile(np.arange(6.0), (4, 1))  # (S, K): every seed has the same score per task
    inside = stratified_bootstrap(scores, mean, rng=rng())
    assert inside.low == inside.high == 2.5
    across = stratified_bootstrap(scores.T, mean, rng=rng())
    assert across.high - across.low > 1.0


def test_interval_covers_the_true_mean_about_as_often_as_it_claims():
    hits = 0
    draws = rng(7)
    for _ in range(200):
        scores = draws.normal(loc=0.5, scale=0.2, size=(10, 5))
        interval = stratified_bootstrap(scores, mean, rng=draws, num_resamples=400)
        hits += interval.low <= 0.5 <= interval.high
    assert 0.86 <= hits / 200 <= 0.98  # nominal 0.95, less a little: ten seeds


def test_higher_confidence_is_wider():
    scores = rng(3).uniform(size=(5, 8))
    narrow = stratified_bootstrap(scores, mean, rng=rng(), confidence=0.5)
    wide = stratified_bootstrap(scores, mean, rng=rng(), confidence=0.95)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("shape", [(3, 7), (1, 7), (3, 1)])
def test_constant_scores_have_no_width(shape):
    result = estimate(np.full(shape, 0.3), rng())
    assert result.mean_low == result.mean_high == pytest.approx(0.3)
    assert result.iqm_low == result.iqm_high == pytest.approx(0.3)


def test_a_single_score_has_no_interval():
    result = estimate(np.array([[0.93]]), rng())
    assert math.isnan(result.mean_low)
    assert math.isnan(result.iqm_high)
    assert result.format_percent() == "93"
    assert str(result) == "0.93"


def test_estimate_brackets_its_statistics_and_repeats_with_its_seed():
    scores = rng(5).uniform(size=(4, 30))
    result = estimate(scores, rng(6))
    assert result == estimate(scores, rng(6))
    assert result.mean_low < result.mean < result.mean_high
    assert result.iqm_low < result.iqm < result.iqm_high
    assert (result.num_seeds, result.num_tasks) == (4, 30)


def test_format_percent():
    result = Estimate(0.934, 0.88, 0.97, 1.0, 0.9, 1.0, num_seeds=3, num_tasks=40)
    assert result.format_percent() == "93 [88, 97]"
    assert str(result) == "0.934 [0.88, 0.97]"


@pytest.mark.parametrize("scores", [np.zeros(4), np.zeros((2, 3, 4)), np.zeros((0, 3))])
def test_wrong_shape_is_refused(scores):
    with pytest.raises(ShapeError, match="shape"):
        estimate(scores, rng())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(bad):
    scores = np.zeros((2, 3))
    scores[1, 2] = bad
    with pytest.raises(ShapeError, match="1 of 6 scores"):
        estimate(scores, rng())


def test_options_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="95"):
        stratified_bootstrap(np.zeros((2, 2)), mean, rng=rng(), confidence=95)
    with pytest.raises(ConfigError, match="num_resamples"):
        stratified_bootstrap(np.zeros((2, 2)), mean, rng=rng(), num_resamples=0)


def test_a_t_interval_holds_the_mean_as_often_as_it_says():
    samples = rng().normal(1.0, 2.0, size=(2000, 3))
    around = [t_interval(sample) for sample in samples]
    held = np.mean([i.low <= 1.0 <= i.high for i in around])
    assert 0.93 < held < 0.97
    low, high = stats.t.interval(0.95, 2, samples[0].mean(), stats.sem(samples[0]))
    assert (around[0].low, around[0].high) == (pytest.approx(low), pytest.approx(high))
    assert math.isnan(t_interval(np.array([1.0])).low)
    for bad in (np.array([]), np.array([[1.0]]), np.array([1.0, np.nan])):
        with pytest.raises(ShapeError, match="of shape \\(S,\\)"):
            t_interval(bad)
