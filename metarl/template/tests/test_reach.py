"""The family passes every check of metarl, and its expert solves it."""

import my_package  # noqa: F401  (registers the families)
import numpy as np

from metarl.conformance import check_family
from metarl.registry import make_family
from metarl.sim.kinds import make_worlds

NAME = "my_package/reach"


def test_it_passes_every_check():
    failed = [f"{result.name}: {result.detail}" for result in check_family(NAME) if result.failed]
    assert not failed, failed


def test_the_expert_solves_it():
    worlds = make_worlds(make_family(NAME), 64, seed=0, split="test")
    worlds.reset()
    for _ in range(worlds.spec.horizon):
        step = worlds.step(worlds.expert())
    assert np.mean(step.success) > 0.9
