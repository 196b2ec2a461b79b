"""How advice is judged: the weighted tau against published tables, harm and cost by hand."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from metarl.advise.judge import (
    Judged,
    cost,
    gained,
    mean_tau,
    over_targets,
    real_harm,
    real_sure_harm,
    weighted_tau,
)
from metarl.errors import ConfigError

PUBLISHED = json.loads((Path(__file__).parent / "model_ranking.json").read_text())["tables"]
RECOMPUTES = ("CIFAR10", "StanfordCars", "SUN397")


def recomputed(table):
    accuracy, *scores = np.array(PUBLISHED[table]["rows"]).T
    return [weighted_tau(accuracy, score) for score in scores]


@pytest.mark.parametrize("table", RECOMPUTES)
def test_the_weighted_tau_is_the_published_one(table):
    off = np.abs(np.subtract(recomputed(table), PUBLISHED[table]["tau"]))
    assert off.max() < 6e-4  # three decimals, of which one is cut, not rounded


@pytest.mark.parametrize("table", sorted(set(PUBLISHED) - set(RECOMPUTES)))
def test_two_published_tables_do_not_follow_from_their_own_numbers(table):
    off = np.abs(np.subtract(recomputed(table), PUBLISHED[table]["tau"]))
    assert off.min() > 0.03
    assert off.max() > 0.3


def test_the_order_of_the_best_counts_most():
    measured = [4.0, 3.0, 2.0, 1.0]
    assert weighted_tau(measured, [8, 6, 4, 2]) == pytest.approx(1.0)
    assert weighted_tau(measured, [2, 4, 6, 8]) == pytest.approx(-1.0)
    assert weighted_tau(measured, [4, 3, 1, 2]) > weighted_tau(measured, [3, 4, 2, 1])
    assert weighted_tau(measured, [5, 5, 5, 5]) == 0.0
    with pytest.raises(ConfigError, match="have no order"):
        weighted_tau([1.0], [1.0])


def rows(*triples):
    return [Judged(f"s{i}", t, "fine-tune", "fresh", p, m) for i, (t, p, m) in enumerate(triples)]


def test_harm_and_cost_by_hand():
    given = rows(
        ("a", 0.5, 0.2), ("a", 0.1, 0.4), ("a", -0.3, -0.1),  # takes 0.2, could have 0.4
        ("b", -0.2, 0.3), ("b", -0.1, -0.5),  # takes scratch, could have 0.3
        ("c", 0.2, -0.4), ("c", -0.5, -0.6),  # takes harm of 0.4, could have 0
    )  # fmt: skip
    assert real_harm(given) == pytest.approx(3 / 4)
    assert cost(given) == pytest.approx((0.2 + 0.3 + 0.4) / 3)
    assert gained(given) == pytest.approx((0.4 + 0.3 + 0.0) / 3)
    assert math.isnan(real_harm(rows(("a", 0.1, 0.1))))


def test_sure_harm_is_told_from_guessed_harm():
    given = [
        dataclasses.replace(row, helps=helps)
        for row, helps in zip(rows(("a", -0.1, 0.2), ("a", -0.4, -0.3)), (0.3, 0.05))
    ]
    assert real_harm(given) == 0.5
    assert real_sure_harm(given) == 1.0
    assert math.isnan(real_sure_harm(rows(("a", -0.4, -0.3))))


def test_tau_is_a_mean_over_targets_and_its_interval_draws_targets():
    good = [(t, p, p) for t in "abcd" for p in (0.1, 0.5, -0.2)]
    assert mean_tau(rows(*good)) == pytest.approx(1.0)
    half = rows(*good, *[(t, p, -p) for t in "efgh" for p in (0.1, 0.5, -0.2)])
    assert -0.1 < mean_tau(half) < 0.1
    around = over_targets(half, mean_tau, resamples=200)
    assert around.low < -0.2
    assert around.high > 0.2
    sure = over_targets(rows(*good), mean_tau, resamples=50)
    assert (sure.low, sure.high) == pytest.approx((1.0, 1.0))
    nothing = over_targets(rows(("a", 0.1, 0.1)), real_harm, resamples=5)
    assert math.isnan(nothing.low)
    with pytest.raises(ConfigError, match="two transfers"):
        mean_tau(rows(("a", 0.1, 0.1)))
