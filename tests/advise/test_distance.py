"""The distance of samples: by a slow formula, and what leaves it as it is."""

from __future__ import annotations

import numpy as np
import pytest

from metarl.advise.distance import mmd, thinned
from metarl.errors import ScoreError, ShapeError


def slow(x, y):
    both = np.concatenate([x, y])
    x, y = ((z - both.mean(0)) / both.std(0) for z in (x, y))
    both = np.concatenate([x, y])
    pairs = [((a - b) ** 2).sum() for i, a in enumerate(both) for b in both[i + 1 :]]
    width = np.median(pairs)

    def mean(one, other, same):
        found = [
            np.exp(-((a - b) ** 2).sum() / width)
            for i, a in enumerate(one)
            for j, b in enumerate(other)
            if not (same and i == j)
        ]
        return np.mean(found)

    return np.sqrt(max(0.0, mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)))


def test_it_is_the_slow_formula_and_tells_near_from_far():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    found = [mmd(x, rng.normal(size=(30, 3)) + shift) for shift in (0.0, 1.0, 5.0)]
    y = rng.normal(size=(30, 3)) + 1.0
    assert mmd(x, y) == pytest.approx(slow(x, y))
    assert found[0] < 0.15 < found[1] < found[2] < np.sqrt(2)


def test_order_scale_and_shift_of_columns_play_no_part():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(30, 3)) + 0.7
    before = mmd(x, y)
    change = lambda z: z[:, ::-1] * [1e-3, 1.0, 1e4] + [5.0, 0.0, -2.0]  # noqa: E731
    assert mmd(change(x), change(y)) == pytest.approx(before)
    assert mmd(y, x) == pytest.approx(before)
    same = np.full((40, 1), 3.3)
    assert mmd(np.hstack([x, same]), np.hstack([y, same[:30]])) == pytest.approx(before)


def test_degenerate_samples():
    assert mmd(np.ones((5, 2)), np.ones((4, 2))) == 0.0
    assert mmd(np.ones((5, 0)), np.ones((4, 0))) == 0.0
    assert mmd(np.zeros((9, 1)), np.ones((9, 1))) > 0.9
    with pytest.raises(ShapeError, match="expected"):
        mmd(np.ones((5, 2)), np.ones((5, 3)))
    with pytest.raises(ScoreError, match="at least 2"):
        mmd(np.ones((1, 2)), np.ones((5, 2)))


def test_many_samples_are_thinned_evenly():
    assert thinned(np.arange(10)[:, None], 4)[:, 0].tolist() == [0, 3, 6, 9]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 2))
    assert mmd(x, x + 1.0) == pytest.approx(mmd(x[:400], x[:400] + 1.0), abs=0.05)
