"""The choice of parts: other pairs than those reported, valid settings, and a hand that goes anywhere."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from metarl.multitask.modular.config import ModularConfig
from metarl.registry import make_family
from metarl.sim.worlds import Worlds

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("pair_choices")


def test_the_pairs_left_out_are_not_those_that_are_reported(script):
    reported = importlib.import_module("unseen_pairs").DESIGN.unseen("main")
    chosen_by = script.DESIGN.unseen("main")
    assert len(chosen_by) == 5
    assert not set(chosen_by) & set(reported)
    assert (
        script.DESIGN.protocol.seed != importlib.import_module("unseen_pairs").DESIGN.protocol.seed
    )


def test_every_choice_can_be_trained(script):
    for choice in script.CHOICES:
        cell = script.judged(choice)
        ModularConfig(**cell.start.settings)
        babbles = [name for name in cell.start.families if "babble" in name]
        assert len(babbles) == 3 * len(script.CHOICES[choice].get("babble", ()))
        assert not [name for name in cell.families if "babble" in name]


@pytest.mark.parametrize("robot", ["gantry", "panda", "ur5e"])
def test_the_hand_goes_where_it_is_told(script, robot):
    family = make_family(f"shared.babble:babble/reach@robot={robot},control=joint,lowest=3")
    worlds = Worlds(family, 16, seed=0, num_threads=1)
    worlds.reset()
    near = [worlds.step(worlds.expert()).reward.copy() for _ in range(11)]
    assert np.mean(near[-1]) > 0.7 > np.mean(near[0])
