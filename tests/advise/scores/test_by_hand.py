"""LEEP, H-score and TransRate: small cases done by hand or by slow formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metarl.advise.scores import h_score, leep, shrunk_h_score, trans_rate
from metarl.advise.scores.hscore import shrinkage
from metarl.advise.scores.samples import centred
from metarl.errors import ShapeError


def test_leep_by_hand():
    """Two samples a label; p(z, y) = [[.35, .15], [.15, .35]], p(y | z) = .7 / .3."""
    predictions = [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9], [0.5, 0.5]]
    by_hand = (2 * math.log(0.9 * 0.7 + 0.1 * 0.3) + 2 * math.log(0.5)) / 4
    assert leep(predictions, [0, 0, 1, 1]) == pytest.approx(by_hand)


def test_leep_of_sure_sources():
    labels = [0, 0, 1, 1]
    knows = np.eye(2)[labels]
    assert leep(knows, labels) == 0.0
    assert leep(knows[:, ::-1], labels) == 0.0  # its classes may be called otherwise
    assert leep(np.hstack([knows, np.zeros((4, 1))]), labels) == 0.0  # one that it never names
    knows_nothing = leep(np.full((4, 3), 1 / 3), labels)
    assert knows_nothing == pytest.approx(-math.log(2))
    rng = np.random.default_rng(0)
    random = rng.dirichlet(np.ones(5), size=300)
    assert leep(random, rng.integers(4, size=300)) >= -math.log(4) - 1e-12


def test_leep_is_unmoved_by_the_order_of_classes_and_samples():
    rng = np.random.default_rng(1)
    predictions, labels = rng.dirichlet(np.ones(4), size=50), rng.integers(3, size=50)
    score, order = leep(predictions, labels), rng.permutation(50)
    assert leep(predictions[order], labels[order]) == pytest.approx(score)
    assert leep(predictions[:, [2, 0, 3, 1]], labels) == pytest.approx(score)
    assert leep(predictions, 5 - labels) == pytest.approx(score)


def test_leep_refuses_what_is_no_distribution():
    for row in ([0.5, 0.6], [-0.1, 1.1]):
        with pytest.raises(ShapeError, match="the first is row 1"):
            leep([[0.5, 0.5], row], [0, 1])


def test_h_score_by_hand():
    """Features 0, 2 | 4, 6: variance 5, class means 1 and 5, variance of these 4."""
    assert h_score([[0], [2], [4], [6]], [0, 0, 1, 1]) == pytest.approx(4 / 5)
    # 0, 0, 3 | 3: class means 1 and 3 with weights 3/4, 1/4: variance .75; in all 2.25.
    assert h_score([[0], [0], [3], [3]], [0, 0, 0, 1]) == pytest.approx(0.75 / 2.25)


def test_h_score_by_its_formula_and_its_bounds():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(50, 4)), rng.integers(3, size=50)
    means = np.stack([x[labels == c].mean(0) for c in labels])
    slow = np.trace(np.linalg.inv(np.cov(x.T)) @ np.cov(means.T))
    assert h_score(x, labels) == pytest.approx(slow)
    assert 0.0 < slow < 2.0
    assert h_score(np.eye(3)[labels], labels) == pytest.approx(2.0)  # at most C - 1
    assert h_score(rng.normal(size=(5, 9)), [0, 1, 0, 1, 0]) == pytest.approx(1.0)  # always


def slow_shrinkage(x):
    n, d = x.shape
    cov = x.T @ x / n
    middle = np.trace(cov) / d * np.eye(d)
    error = sum(((np.outer(row, row) - cov) ** 2).sum() for row in x) / n**2
    return min(1.0, error / ((cov - middle) ** 2).sum())


@pytest.mark.parametrize(("n", "d"), [(50, 4), (6, 9), (3, 2)])
def test_shrunk_h_score_by_its_formula(n, d):
    rng = np.random.default_rng(n)
    labels = np.resize([0, 1, 1], n)
    x = rng.normal(size=(n, d)) * np.linspace(1, 3, d) + 2.0 * labels[:, None]
    own = centred(x)
    weight = slow_shrinkage(own)
    assert shrinkage(own) == pytest.approx(weight)
    means = np.stack([own[labels == c].mean(0) for c in labels])
    cov, between = own.T @ own / n, means.T @ means / n
    shrunk = (1 - weight) * cov + weight * np.trace(cov) / d * np.eye(d)
    slow = np.trace(np.linalg.inv(shrunk) @ ((1 - weight) * between))
    assert shrunk_h_score(x, labels) == pytest.approx(slow)


def test_with_few_samples_only_the_shrunk_score_tells_noise_from_signal():
    rng = np.random.default_rng(0)
    labels = np.resize([0, 1], 20)
    noise = rng.normal(size=(20, 40))
    signal = noise + 3.0 * np.eye(1, 40) * labels[:, None]
    assert h_score(noise, labels) == pytest.approx(h_score(signal, labels))
    assert shrunk_h_score(signal, labels) > 1.2 * shrunk_h_score(noise, labels)


def test_trans_rate_by_hand():
    """Features -1, -1 | 1, 1 around 0: the classes' second moments are those of all: rate 0.
    Features -3, -1 | 1, 3: second moment 5 in all and in each class: 0 again.
    In two dimensions with classes along two axes there is something to gain."""
    assert trans_rate([[-1], [-1], [1], [1]], [0, 0, 1, 1]) == pytest.approx(0.0)
    assert trans_rate([[-3], [-1], [1], [3]], [0, 0, 1, 1]) == pytest.approx(0.0)
    axes = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    whole = 2 * 0.5 * math.log(1 + 0.5 / 0.1)  # second moments 1/2 and 1/2
    part = 0.5 * math.log(1 + 1 / 0.1)  # 1 and 0
    assert trans_rate(axes, [0, 0, 1, 1], distortion=0.1) == pytest.approx(whole - part)


def test_trans_rate_by_its_listing():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    x = rng.normal(size=(60, 5)) + np.eye(3, 5)[labels]
    own = x - x.mean(0)

    def rate(z):
        return 0.5 * np.linalg.slogdet(np.eye(5) + z.T @ z / (len(z) * 1e-2))[1]

    slow = rate(own) - np.mean([rate(own[labels == c]) for c in range(3)])
    assert trans_rate(x, labels, distortion=1e-2) == pytest.approx(slow)
    uneven = np.repeat([0, 1], [55, 5])
    assert trans_rate(x, uneven) >= 0.0


@pytest.mark.parametrize("distortion", [0.0, -1.0, math.nan, math.inf])
def test_trans_rate_refuses_a_distortion_that_is_none(distortion):
    with pytest.raises(ShapeError, match="expected a finite number > 0"):
        trans_rate([[0.0], [1.0]], [0, 1], distortion=distortion)
