"""What tells a policy that cannot learn on."""

import numpy as np
import pytest
import torch

from metarl.advise.plasticity import plasticity
from metarl.nn.policy import GaussianPolicy

STATES = np.random.default_rng(0).normal(size=(200, 6))


def policy(**changes):
    made = GaussianPolicy(6, 2, 0, torch.Generator().manual_seed(0), hidden=(16,))
    with torch.no_grad():
        for name, change in changes.items():
            dict(made.named_parameters())[name.replace("__", ".")].mul_(change)
    return made


def test_large_first_weights_saturate_units():
    fresh, large = plasticity(policy(), STATES), plasticity(policy(**{FIRST: 100.0}), STATES)
    assert fresh["units_saturated"] < 0.3 < 0.9 < large["units_saturated"] <= 1.0


def test_a_large_head_is_cut():
    fresh, large = plasticity(policy(), STATES), plasticity(policy(head__weight=1e4), STATES)
    assert fresh["actions_cut"] == 0.0
    assert large["actions_cut"] > 0.9
    assert large["action_size"] == pytest.approx(1e4 * fresh["action_size"], rel=1e-3)
    assert large["units_saturated"] == fresh["units_saturated"]


def test_a_policy_that_sees_nothing_depends_on_nothing():
    blind = plasticity(policy(**{FIRST: 0.0}), STATES)
    assert blind["action_depends"] == pytest.approx(0.0, abs=1e-6)
    assert blind["feature_directions"] == 0.0


def test_directions_are_counted():
    narrow = np.outer(np.linspace(-1e-3, 1e-3, 100), np.ones(6))  # a line, where tanh is one too
    assert plasticity(policy(), narrow)["feature_directions"] == pytest.approx(1.0, abs=1e-3)
    assert plasticity(policy(), STATES)["feature_directions"] > 2.0


FIRST = next(n for n, _ in policy().named_parameters() if n.startswith("trunk"))
