"""The score of a source: hand-worked curves, intervals and verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metarl.errors import ShapeError
from metarl.matrix.score import HARMED, HELPED, NOTHING, UNKNOWN, Score, ahead, area_score

SCRATCH = np.array([0.0, 2.0, 4.0, 6.0])


@pytest.mark.parametrize(
    ("curve", "score"),
    [
        ([0.0, 2.0, 4.0, 6.0], 0.0),
        ([5.0, 5.0, 5.0, 5.0], (5 + 3 + 1 - 1) / 4 / 10),  # learns nothing, from a good start
        ([-10.0, -8.0, -6.0, -4.0], -1.0),
        ([-90.0, -90.0, -90.0, -90.0], -1.0),  # clipped
        ([10.0, 10.0, 10.0, 10.0], (10 + 8 + 6 + 4) / 4 / 10),
    ],
)
def test_the_area_between_two_curves_over_what_lies_between(curve, score):
    assert area_score(np.array(curve), SCRATCH, best=10.0, first=0.0) == pytest.approx(score)


def test_scores_do_not_depend_on_unit_and_zero_of_the_return():
    rng = np.random.default_rng(0)
    curve, scratch = rng.normal(size=(2, 9))
    one = area_score(curve, scratch, best=3.0, first=-1.0)
    other = area_score(7 * curve - 4, 7 * scratch - 4, best=7 * 3.0 - 4, first=-7.0 - 4)
    assert one == pytest.approx(other)
    assert area_score(scratch, curve, best=3.0, first=-1.0) == pytest.approx(-one)


def test_where_nobody_got_better_there_is_no_score():
    assert math.isnan(area_score(SCRATCH, SCRATCH, best=0.0, first=0.0))
    with pytest.raises(ShapeError, match="one \\(I,\\)"):
        area_score(SCRATCH[1:], SCRATCH, best=1.0, first=0.0)


def test_the_interval_is_students():
    score = Score((0.1, 0.2, 0.3))
    # 0.2 +- 4.3027 * 0.1 / sqrt(3)
    assert score.interval.low == pytest.approx(0.2 - 0.24842, abs=1e-4)
    assert score.interval.high == pytest.approx(0.2 + 0.24842, abs=1e-4)
    assert str(score) == "+0.20 [-0.05, +0.45]"
    assert Score((0.9, 0.9, 0.6)).interval.high == 1.0


@pytest.mark.parametrize(
    ("each", "noise", "verdict"),
    [
        ((0.3, 0.31, 0.32), 0.1, HELPED),
        ((-0.3, -0.31, -0.32), 0.1, HARMED),
        ((0.3, 0.31, 0.32), 0.4, NOTHING),  # noise alone does as much
        ((0.3, 0.31, 0.32), math.nan, HELPED),
        ((0.1, -0.1, 0.3), 0.01, NOTHING),
        ((0.9,), 0.0, UNKNOWN),
        ((math.nan, 0.1, 0.2), 0.0, UNKNOWN),
    ],
)
def test_a_verdict_needs_the_interval_and_more_than_noise(each, noise, verdict):
    assert Score(each, noise).verdict == verdict


def test_how_far_ahead_is_counted_seed_by_seed():
    around = ahead([0.5, 0.6, 0.7], [0.4, 0.5, 0.6])
    assert (around.low, around.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert math.isnan(ahead([0.5], [0.4]).low)
