"""What is tried next: the same from the same trials, never twice, and better than blind."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metarl.rl.config import PpoConfig
from metarl.tune.propose import propose
from metarl.tune.search import STARTUP
from metarl.tune.space import every, holds, parse_space

SPACE = parse_space(
    ["learning_rate=1e-5..1e-1:log", "epochs=1..6", "hidden=[8],[64,64]"], PpoConfig
)


def worth(settings):
    """Best at a rate of 1e-3 and the larger network."""
    return -abs(math.log10(settings["learning_rate"]) + 3) + (settings["hidden"] == [64, 64])


def searched(seed, count=30):
    told = []
    for number in range(count):
        settings = propose(SPACE, told, seed=seed, number=number)
        assert holds(SPACE, settings)
        told.append((settings, worth(settings)))
    return told


def test_the_same_seed_proposes_the_same():
    first, second = searched(3, 14), searched(3, 14)
    assert first == second
    assert first != searched(4, 14)
    # From any point on, by a process that knows nothing but the trials.
    assert propose(SPACE, first[:12], seed=3, number=12) == first[12][0]


def test_the_first_depend_on_no_result():
    told = searched(0, STARTUP)
    unknown = [(settings, None) for settings, _ in told]
    for number in range(STARTUP):
        assert propose(SPACE, unknown[:number], seed=0, number=number) == told[number][0]


def test_it_learns_from_results():
    late, early = [], []
    for seed in range(4):
        values = [value for _, value in searched(seed)]
        early += values[:STARTUP]
        late += values[STARTUP:]
    assert np.mean(late) > np.mean(early) + 0.3


def test_a_small_search_is_gone_through_without_a_repetition():
    space = parse_space(["epochs=2..4", "hidden=[8],[16]", "activation=tanh,relu"], PpoConfig)
    told = []
    for number in range(12):
        told.append((propose(space, told, seed=1, number=number), float(number)))
    found = [settings for settings, _ in told]
    assert all(settings in found for settings in every(space))


def test_trials_under_way_and_elsewhere_are_no_obstacle(recwarn, capfd):
    told = searched(0, 12)
    told += [({"learning_rate": 5.0, "epochs": 1, "hidden": [8]}, 1.0), (told[0][0], None)]
    assert holds(SPACE, propose(SPACE, told, seed=0, number=14))
    assert capfd.readouterr() == ("", "")  # Optuna says what it does, otherwise
    assert not recwarn.list


@pytest.mark.parametrize("low", ["1e-300", "1e-9"])
def test_wide_ranges(low):
    space = parse_space([f"learning_rate={low}..1e9:log"], PpoConfig)
    for number in range(5):
        assert holds(space, propose(space, [], seed=0, number=number))
